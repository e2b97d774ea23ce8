"""A real Rekor v2 log: our proofs, our verdicts, and a process that is killed while it remembers."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import logkit
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519
from rekorlog import ORIGIN, Files, RealLog, free_port

from exporters import config as common
from exporters import metrics as m
from exporters.collector import Instruments
from exporters.fetch import Fetcher
from exporters.outcome import Refused
from exporters.rekor import Config, build
from exporters.rekor.checkpoint import LogKey
from exporters.rekor.log import Wanted
from exporters.rekor.merkle import roots_of_consistency
from exporters.rekor.subject import Rekor
from exporters.rekor.v2 import TileReader

pytestmark = pytest.mark.live

GOOD = {"checkpoint": "verified", "consistency": "verified", "inclusion": "verified"}


class Site:
    """A log of 600 entries with its files served, and snapshots of it at 5 and at 300 entries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.log = RealLog(folder / "log", self.key)
        self.log.write(5, "first")
        self.log.snapshot(folder / "at5")
        self.log.write(295, "second")
        self.log.snapshot(folder / "at300")
        self.log.write(300, "third")
        self.files = Files(folder / "log")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("rekor"))
    yield made
    made.files.stop()
    made.log.kill()


@pytest.fixture
def served(site: Site, tmp_path: Path) -> Iterator[Files]:
    """A server of files whose folder a test may change."""
    files = Files(site.folder / "log")
    yield files
    files.stop()


def reader(site: Site) -> TileReader:
    keys = [LogKey.from_pem(logkit.pem(site.key))]
    return TileReader(Fetcher(), site.files.url, ORIGIN, lambda: keys)


def settings(site: Site, folder: Path, url: str, **more: Any) -> Path:
    (folder / "state").mkdir(exist_ok=True)
    log = {"name": "main", "kind": "v2", "url": url, "origin": ORIGIN, "keys": [logkit.pem(site.key)], **more}
    path = folder / "rekor.yaml"
    path.write_text(yaml.safe_dump({"state": "state", "interval": 1, "logs": [log]}))
    return path


class Exporter:
    def __init__(self, path: Path) -> None:
        self.instruments = Instruments(m.REKOR)
        config = common.load(Config, path)
        self.subject: Rekor = build(config, self.instruments, Fetcher(), sleep=lambda _: None)

    def check(self, target: str = "main") -> dict[str, str]:
        found = {f.check: f.outcome for f in self.subject.check(target)}
        return {check: f"{o.verdict} {o.reason}".strip() for check, o in found.items()}

    def value(self, metric: m.Metric, **labels: str) -> float | None:
        return self.instruments.value(metric, **{"log": "main", **labels})


# ---- our Merkle code against Tessera's tiles ---------------------------------------------------


def test_the_log_has_full_and_partial_tiles(site: Site) -> None:
    """What the next tests rely on: two full tiles, a partial one, and a level above."""
    folder = site.folder / "log" / "tile"
    assert {p.name for p in (folder / "0").iterdir() if p.is_file()} == {"000", "001"}
    assert list((folder / "0" / "002.p").iterdir())
    assert list((folder / "1" / "000.p").iterdir())


@pytest.mark.parametrize("index", [0, 1, 4, 255, 256, 257, 511, 512, 598, 599])
def test_every_entry_is_included(site: Site, index: int) -> None:
    """The entry comes from its bundle, the proof from the tiles, the root from the signed checkpoint."""
    (head,) = reader(site).checkpoints()
    entry = reader(site).entry(Wanted(index), [head])
    reader(site).inclusion(entry, head)
    assert entry.body == site.log.entries()[index]
    assert json.loads(entry.body)["kind"] == "hashedrekord"


def test_the_root_is_the_hash_of_the_entries(site: Site) -> None:
    """RFC 6962 word for word over all entries gives the root that the log has signed."""
    (head,) = reader(site).checkpoints()
    leaves = tuple(logkit.leaf(e) for e in site.log.entries())
    assert (head.size, head.root) == (len(leaves), logkit.mth(leaves))


@pytest.mark.parametrize("size", [1, 2, 5, 128, 255, 256, 257, 300, 511, 512, 513, 599, 600])
def test_every_earlier_tree_is_a_prefix(site: Site, size: int) -> None:
    """The proof from the tiles leads from the root of the first entries to the signed root."""
    (head,) = reader(site).checkpoints()
    first = logkit.mth(tuple(logkit.leaf(e) for e in site.log.entries()[:size]))
    proof = reader(site).consistency(size, head)
    assert roots_of_consistency(size, head.size, first, proof) == (first, head.root)


def test_another_entry_is_not_included(site: Site) -> None:
    """The same place, another body: refused."""
    (head,) = reader(site).checkpoints()
    entry = reader(site).entry(Wanted(7), [head])
    with pytest.raises(Refused, match="is not the one in the tree"):
        reader(site).inclusion(type(entry)(entry.body + b" ", 7, head.origin), head)


# ---- verdicts ----------------------------------------------------------------------------------


def test_growth_is_followed_from_checkpoint_to_checkpoint(site: Site, served: Files, tmp_path: Path) -> None:
    """5, 300 and 600 entries, over a restart of the exporter between each."""
    path = settings(site, tmp_path, served.url)
    for folder, size in (("at5", 5), ("at300", 300), ("log", 600)):
        served.folder = site.folder / folder
        exporter = Exporter(path)
        assert set(exporter.check().values()) == {"verified"}
        assert exporter.value(m.TREE_SIZE, shard=ORIGIN) == size
    assert exporter.value(m.REKOR_CONSISTENT) == 1
    assert exporter.value(m.LAST_GROWTH) is not None


def test_a_restored_backup_is_a_rollback(site: Site, served: Files, tmp_path: Path) -> None:
    """The log of 300 entries comes back after it had 600."""
    exporter = Exporter(settings(site, tmp_path, served.url))
    exporter.check()
    served.folder = site.folder / "at300"
    assert exporter.check()["consistency"] == "failed inconsistent"
    assert (exporter.value(m.REKOR_CONSISTENT), exporter.value(m.ROLLBACKS)) == (0, 1)
    assert Exporter(tmp_path / "rekor.yaml").value(m.REKOR_CONSISTENT) == 0


def test_a_log_that_goes_on_from_a_backup_is_a_split_view(site: Site, served: Files, tmp_path: Path) -> None:
    """Two servers with one key: the second starts from the backup at 300 and outgrows the first."""
    exporter = Exporter(settings(site, tmp_path, served.url))
    exporter.check()
    shutil.copytree(site.folder / "at300", tmp_path / "fork")
    fork = RealLog(tmp_path / "fork", site.key)
    try:
        fork.write(310, "fork")
    finally:
        fork.kill()
    served.folder = tmp_path / "fork"
    assert exporter.check()["consistency"] == "failed inconsistent"
    assert (exporter.value(m.REKOR_CONSISTENT), exporter.value(m.SPLIT_VIEWS)) == (0, 1)
    assert exporter.value(m.CHECKPOINT_VALID) == exporter.value(m.REKOR_UP) == 1


def test_mirrors_are_compared_with_their_log(site: Site, served: Files, tmp_path: Path) -> None:
    """One that is behind agrees."""
    mirrors = [{"name": "copy", "url": served.url}]
    exporter = Exporter(settings(site, tmp_path, site.files.url, mirrors=mirrors))
    exporter.check()
    served.folder = site.folder / "at300"
    assert exporter.check("copy") == {"checkpoint": "verified", "consistency": "verified"}
    assert exporter.value(m.TREE_SIZE, log="copy", shard=ORIGIN) == 300


# ---- a log that writes, dies and comes back ------------------------------------------------------


@pytest.fixture
def own_log(site: Site, tmp_path: Path) -> Iterator[tuple[RealLog, Files]]:
    log = RealLog(tmp_path / "own", site.key)
    files = Files(tmp_path / "own")
    yield log, files
    files.stop()
    log.kill()


def test_the_write_probe_finds_its_entry(site: Site, own_log: tuple[RealLog, Files], tmp_path: Path) -> None:
    """Into an empty log and out of its tiles, once; the next write is not due."""
    log, files = own_log
    exporter = Exporter(settings(site, tmp_path, files.url, write={"url": log.url}))
    assert exporter.check()["write"] == "verified"
    assert exporter.value(m.WRITE_DURATION) == 1
    assert exporter.check() == GOOD
    (body,) = log.entries()
    assert json.loads(body)["kind"] == "hashedrekord"


def test_a_log_that_is_killed_and_restarted_stays_consistent(
    site: Site, own_log: tuple[RealLog, Files], tmp_path: Path
) -> None:
    """Killed in the middle of writes: down while it is down, never inconsistent, and good within one check."""
    log, files = own_log
    log.write(250, "before")
    exporter = Exporter(settings(site, tmp_path, files.url))
    exporter.check()
    for turn in range(3):
        writer = threading.Thread(target=_write_in_vain, args=(log, turn))
        writer.start()
        time.sleep(0.15)
        log.kill()
        writer.join()
        files.stop()
        assert exporter.check() == {"checkpoint": "unknown unreachable"}
        assert exporter.value(m.REKOR_UP) == 0
        files.start()
        log.start()
        log.write(20, f"after {turn}")
        exporter = Exporter(tmp_path / "rekor.yaml")
        assert exporter.check() == GOOD
        assert exporter.value(m.REKOR_UP) == exporter.value(m.REKOR_CONSISTENT) == 1
    size = exporter.value(m.TREE_SIZE, shard=ORIGIN)
    assert size is not None
    assert size >= 310


def _write_in_vain(log: RealLog, turn: int) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        log.write(60, f"lost {turn}")


def scrape(port: int) -> dict[str, float]:
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    rows = (line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#")
    return {name: float(value) for name, _, value in rows}


def test_the_process_is_killed_while_it_persists(
    site: Site, own_log: tuple[RealLog, Files], tmp_path: Path
) -> None:
    """SIGKILL at random moments while the log grows: the state is whole, and the log consistent, every time."""
    log, files = own_log
    log.write(30, "start")
    path = settings(site, tmp_path, files.url)
    command = [str(Path(sys.executable).parent / "slo-exporter"), "rekor", "--config", str(path)]
    chance = random.Random(7)  # noqa: S311 # no secret
    sizes = []
    for turn in range(8):
        port = free_port()
        with (tmp_path / "exporter.log").open("ab") as said:
            process = subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], stderr=said)
        try:
            log.write(10, f"turn {turn}")
            found = _after_a_verdict(port)
            assert found['rekor_consistent{log="main"}'] == 1
            assert found['rekor_split_view_total{log="main"}'] == 0
            sizes.append(found[f'rekor_tree_size{{log="main",shard="{ORIGIN}"}}'])
            time.sleep(chance.random() * 1.5)
        finally:
            process.kill()
            process.wait()
        whole = json.loads((tmp_path / "state" / "main.json").read_text())
        assert whole["state"]["latch"] is None
    assert sizes == sorted(sizes)
    assert sizes[-1] == 110
    assert "damaged" not in (tmp_path / "exporter.log").read_text()


def _after_a_verdict(port: int) -> dict[str, float]:
    """The metrics once the log was judged in this process, and compared."""
    ends, began = time.monotonic() + 30, time.time()
    while time.monotonic() < ends:
        with contextlib.suppress(OSError):
            found = scrape(port)
            judged = found.get('rekor_last_check_timestamp_seconds{log="main"}', 0)
            if judged > began and 'rekor_consistent{log="main"}' in found:
                return found
        time.sleep(0.1)
    pytest.fail("the exporter reached no verdict within 30 s")
