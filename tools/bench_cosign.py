"""What it costs to verify a thousand signed images, beside cosign on some of them. Part of `make bench-exporters`.

python -m tools.bench_cosign [IMAGES]

The images lie in a real registry on this machine (go-containerregistry's with the Referrers API, and Debian's
without), each with signature, SBOM and provenance of the trust kit. The exporter's cycles run in a process of their
own, so that CPU and memory are its own.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.trustkit.exporter import KINDS, LABELS
from tests.trustkit.images import Attached, Remote, push_image
from tests.trustkit.kit import CYCLONEDX, IDENTITY, ISSUER, SLSA, TrustKit, statement
from tests.trustkit.servers import TOOLS, docker_registry, referrers_registry

IMAGES = 1000
SAMPLE = 20  # images that cosign verifies too
COMPONENTS = 200  # of an SBOM: some 40 kB
CONCURRENCY = 8


def sbom(name: str) -> dict[str, Any]:
    components = [
        {"type": "library", "name": f"library-{n}", "version": f"1.{n}.0", "purl": f"pkg:npm/library-{n}@1.{n}.0", "licenses": [{"license": {"id": "MIT"}}]}
        for n in range(COMPONENTS)
    ]  # fmt: skip
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": {"name": name}}, "components": components}  # fmt: skip


def fill(kit: TrustKit, store: Remote, count: int) -> list[Attached]:
    """Images with all that a release has; every second one is logged in Rekor v2, with a timestamp."""
    predicates = {CYCLONEDX: sbom("stellaops"), SLSA: {"buildDefinition": {}, "runDetails": {}}}

    def one(number: int) -> Attached:
        name = f"stellaops/component-{number:04}"
        on = Attached(store, name, push_image(store, name, LABELS), not store.referrers)
        for kind in KINDS.values():
            payload = statement(on.image, kind, predicates.get(kind))
            on.bundle(kit.attest(payload, log="v2" if number % 2 else "v1"))
        return on

    return [one(number) for number in range(count)]


# ---- the exporter ---------------------------------------------------------------------------------


def cycles(folder: Path, there: Connection) -> None:
    """A process of its own: a cold cycle and three warm ones, through the exporter's own loop."""
    from exporters import metrics as m
    from exporters.collector import Instruments
    from exporters.config import load
    from exporters.cosign import Config, build
    from exporters.fetch import Fetcher, Response
    from exporters.loop import Loop

    asked: Counter[str] = Counter()

    class Counting(Fetcher):
        def request(self, method: str, url: str, **how: Any) -> Response:
            asked["requests"] += 1
            return super().request(method, url, **how)

    config = load(Config, folder / "cosign.yaml")
    instruments = Instruments(m.COSIGN)
    subject = build(config, instruments, Counting(timeout=config.timeout))
    loop = Loop(subject, instruments, config)
    found: dict[str, Any] = {}
    for name in ("cold", "warm", "warm_2", "warm_3"):
        asked.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        loop.cycle()
        verdicts = Counter(str(f.outcome.verdict) for f in loop.findings())
        found[name] = {
            "seconds": round(time.perf_counter() - wall, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "requests": asked["requests"],
            "verdicts": dict(verdicts),
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    there.send(found)


def exporter(folder: Path, address: str, images: list[Attached], labelled: bool) -> dict[str, Any]:
    labels: dict[str, Any] = {"labels": {"version": "2.4.1"}} if labelled else {}
    config = {
        "trusted_root": {"file": "trusted_root.json"},
        "policies": {"all": {"identity": IDENTITY, "issuer": ISSUER}},
        "concurrency": CONCURRENCY,
        "log_level": "error",
        "images": [
            {"component": on.name.rpartition("/")[2], "image": f"{address}/{on.name}@{on.image}"} | labels
            for on in images
        ],
        "registries": {"hosts": {address: {"plain_http": True}}},
    }  # fmt: skip
    (folder / "cosign.yaml").write_text(json.dumps(config))
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=cycles, args=(folder, there))
    process.start()
    found: dict[str, Any] = here.recv()
    process.join()
    for cycle in found.values():
        cycle["requests_per_image"] = round(cycle["requests"] / len(images), 2)
        cycle["cpu_ms_per_image"] = round(1000 * cycle["cpu_seconds"] / len(images), 2)
    return found


# ---- cosign ---------------------------------------------------------------------------------------


def cosign(folder: Path, address: str, images: list[Attached]) -> dict[str, Any]:
    """The same three questions, by three commands an image, one after another."""
    binary = TOOLS / "cosign3" / "cosign"
    if not binary.exists():
        sys.exit("cosign is missing: run tools/peers cosign3")
    asked = (
        ["verify"],
        ["verify-attestation", "--type=cyclonedx"],
        ["verify-attestation", "--type=slsaprovenance1"],
    )
    how = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER, "--allow-http-registry"]
    how += ["--trusted-root", str(folder / "trusted_root.json")]
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for on in images:
        for command in asked:
            subprocess.run(
                [binary, *command, *how, f"{address}/{on.name}@{on.image}"], check=True, capture_output=True
            )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "images": len(images),
        "cpu_ms_per_image": round(1000 * cpu / len(images), 1),
        "ms_per_image": round(1000 * (time.perf_counter() - wall) / len(images), 1),
    }


@contextlib.contextmanager
def registries(folder: Path) -> Iterator[list[Remote]]:
    (folder / "one").mkdir()
    with referrers_registry(folder / "one") as with_api, docker_registry(folder / "two") as without:
        yield [Remote(with_api, True), Remote(without, False)]


def measure(count: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "images": count,
        "concurrency": CONCURRENCY,
        "sbom_bytes": len(json.dumps(sbom("stellaops"))),
    }
    with tempfile.TemporaryDirectory() as name, registries(Path(name)) as stores:
        folder = Path(name)
        kit = TrustKit()
        kit.write_root(folder / "trusted_root.json")
        for store in stores:
            images = fill(kit, store, count)
            ours = exporter(folder, store.address, images, False)
            labelled = exporter(folder, store.address, images, True)
            theirs = cosign(folder, store.address, images[:SAMPLE])
            ratio = theirs["cpu_ms_per_image"] / ours["cold"]["cpu_ms_per_image"]
            kind = "referrers_api" if store.referrers else "fallback_tag"
            found[kind] = {
                **ours,
                "cold_with_labels": labelled["cold"],
                "cosign": theirs,
                "cosign_cpu_to_ours_cold": round(ratio, 1),
            }
    return found


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if sys.argv[1:] else IMAGES), indent=2))
