"""What it costs to hold a transparency log of a million entries to its word. Part of `make bench-exporters`.

python -m tools.bench_rekor
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import random
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.fetch import Fetcher
from exporters.outcome import Verdict
from exporters.rekor import Config, build
from exporters.rekor.checkpoint import Checkpoint, LogKey
from exporters.rekor.log import judge_pair
from exporters.rekor.merkle import HASH_BYTES, leaf_hash, node_hash, range_hash
from exporters.rekor.v2 import WIDTH, TileReader, Tiles, tile_path

ENTRIES = 1_000_000
ORIGIN = "bench.example/2026"
PROOFS = 200  # from as many earlier sizes
CHECKS = 50
GROWTH = 100  # entries from check to check, at most
BODY = (
    b'{"apiVersion":"0.0.2","kind":"hashedrekord","spec":"' + b"x" * 420 + b'%07d"}'
)  # as large as a real one


class MillionEntries:
    """A log of a million entries that shows itself at any smaller size, as it was then."""

    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()
        self._tiles: dict[str, bytes] = {}  # by the path of the full tile
        self.note = b""
        row, level = [leaf_hash(BODY % n) for n in range(ENTRIES)], 0
        while row:
            tiles = [row[n : n + WIDTH] for n in range(0, len(row), WIDTH)]
            for index, tile in enumerate(tiles):
                self._tiles[tile_path(level, index, WIDTH)] = b"".join(tile)
            row, level = [_fold(tile) for tile in tiles if len(tile) == WIDTH], level + 1

    def show(self, size: int) -> Checkpoint:
        """Be of this size from now on."""
        root = range_hash(0, size, Tiles(lambda path, _: self.read(path), size).node)
        text = f"{ORIGIN}\n{size}\n{base64.b64encode(root).decode()}\n"
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        key_id = hashlib.sha256(ORIGIN.encode() + b"\n\x01" + raw).digest()[:4]
        signature = base64.b64encode(key_id + self._key.sign(text.encode())).decode()
        self.note = f"{text}\n— {ORIGIN} {signature}\n".encode()
        return Checkpoint(ORIGIN, size, root, self.note.decode())

    def read(self, path: str) -> bytes | None:
        """A file of the log. A partial tile is the beginning of the full one."""
        if path == "checkpoint":
            return self.note
        full, _, partial = path.partition(".p/")
        width = int(partial or WIDTH)
        if full.startswith("tile/entries/"):
            first = int(full.removeprefix("tile/entries/").replace("/", "").replace("x", "")) * WIDTH
            bodies = [BODY % n for n in range(first, first + width)]
            return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)
        tile = self._tiles.get(full)
        return None if tile is None else tile[: width * HASH_BYTES]

    def pem(self) -> str:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _fold(row: list[bytes]) -> bytes:
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


class Tally:
    """What a server was asked for, and how long that took, by piece of work."""

    def __init__(self) -> None:
        self._asked = self._bytes = 0
        self._work: list[tuple[int, int, float]] = []

    def asked(self, size: int) -> None:
        self._asked += 1
        self._bytes += size

    @contextmanager
    def count(self) -> Iterator[None]:
        self._asked = self._bytes = 0
        began = time.perf_counter()
        yield
        self._work.append((self._asked, self._bytes, 1000 * (time.perf_counter() - began)))

    def summary(self) -> dict[str, float]:
        asked, sizes, times = ([work[i] for work in self._work] for i in range(3))
        return {
            "runs": len(self._work),
            "requests_mean": round(sum(asked) / len(asked), 2),
            "requests_max": max(asked),
            "bytes_mean": round(sum(sizes) / len(sizes)),
            "bytes_max": max(sizes),
            "ms_p50": round(sorted(times)[len(times) // 2], 2),
            "ms_max": round(max(times), 2),
        }


@contextmanager
def serve(log: MillionEntries) -> Iterator[tuple[str, Callable[[], Tally]]]:
    """A static file server; the function starts a new tally."""
    tally = Tally()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16  # header and body at once

        def do_GET(self) -> None:
            data = log.read(self.path.lstrip("/"))
            tally.asked(len(data or b""))
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            pass

    def anew() -> Tally:
        nonlocal tally
        tally = Tally()
        return tally

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", anew
    finally:
        server.shutdown()
        server.server_close()


def measure() -> dict[str, object]:
    """Requests, bytes and milliseconds of consistency proofs, and of whole checks, over loopback."""
    began = time.perf_counter()
    log = MillionEntries()
    found: dict[str, object] = {"entries": ENTRIES, "built_in_s": round(time.perf_counter() - began, 1)}
    chance = random.Random(1)  # noqa: S311 # the same sizes in every run
    with serve(log) as (url, anew):
        found["proof_from_a_minute_ago"] = proofs(
            log, url, anew(), lambda: ENTRIES - chance.randrange(1, GROWTH)
        )
        found["proof_from_any_size"] = proofs(log, url, anew(), lambda: chance.randrange(1, ENTRIES))
        found["check_of_a_growing_log"] = checks(log, url, anew(), lambda: chance.randrange(1, GROWTH))
        found["check_of_a_quiet_log"] = checks(log, url, anew(), lambda: 0)
    found["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def proofs(log: MillionEntries, url: str, tally: Tally, earlier: Callable[[], int]) -> dict[str, float]:
    """That a smaller tree is a prefix of the million entries."""
    fetcher = Fetcher()
    keys = [LogKey.from_pem(log.pem())]
    reader = TileReader(fetcher, url, ORIGIN, lambda: keys)
    for _ in range(PROOFS):
        old, new = log.show(earlier()), log.show(ENTRIES)
        with tally.count():
            judge_pair(old, new, reader.consistency)
    fetcher.close()
    return tally.summary()


def checks(log: MillionEntries, url: str, tally: Tally, growth: Callable[[], int]) -> dict[str, float]:
    """What the exporter does each minute: checkpoint, consistency, newest entry, inclusion, and the state on disk."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"name": "bench", "kind": "v2", "url": url, "origin": ORIGIN, "keys": [log.pem()]}
        fetcher = Fetcher()
        subject = build(
            Config.model_validate({"state": Path(folder), "logs": [settings]}), Instruments(m.REKOR), fetcher
        )
        size = ENTRIES - CHECKS * GROWTH
        log.show(size)
        subject.check("bench")
        for _ in range(CHECKS):
            size += growth()
            log.show(size)
            with tally.count():
                found = subject.check("bench")
            if any(f.outcome.verdict is not Verdict.VERIFIED for f in found):
                raise AssertionError(f"the log is in order, and the checks say otherwise: {found}")
        fetcher.close()
    return tally.summary()


if __name__ == "__main__":
    print(json.dumps({"rekor": measure()}, indent=2))
