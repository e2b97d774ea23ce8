"""What the exporters watch: a registry with a release of which one image is bad, and two transparency logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests import logkit
from tests.live.rekorlog import ORIGIN, SERVER, RealLog
from tests.release_kit import Release, ReleaseKit, digest_of, encoded
from tests.trustkit.images import MANIFEST, Attached, Remote
from tests.trustkit.kit import TrustKit, statement
from tests.trustkit.logs import Tree
from tests.trustkit.servers import TOOLS, free_port, wait_for

BAD = "scanner-webservice"  # signed by somebody else
SOMEBODY = "https://github.com/somebody/else/.github/workflows/release.yml@refs/heads/main"
RELEASES = "stellaops/releases"


class Server:
    """A server that can be killed, frozen and started again, on its port and its data."""

    def __init__(self, command: Sequence[str], port: int, log: Path, answers: str = "/") -> None:
        self.command, self.port, self._log = list(command), port, log
        self._url = f"http://127.0.0.1:{port}{answers}"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(self.command, stdout=out, stderr=out)
        wait_for(self._url, self.process)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@dataclass
class Bodies(Tree):
    """The tree of the release's log, with what is in it: its files are written from that."""

    bodies: list[bytes] = field(default_factory=list)

    def add(self, body: bytes) -> int:
        self.bodies.append(body)
        return super().add(body)


def registry(folder: Path) -> Server:
    """Debian's docker-registry."""
    port = free_port()
    folder.mkdir()
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    binary = TOOLS / "bin" / "docker-registry"
    if not binary.exists():
        sys.exit("docker-registry is missing: run tools/peers debian")
    return Server([str(binary), "serve", str(config)], port, folder / "registry.log", "/v2/")


class Logs:
    """A folder of logs behind a static file server: `own` grows, `release` holds the release's signatures.

    `own` is rekor-tiles where it is built, else a log in Python. `stranger` is `own` at another address, for an
    exporter that expects another key there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.real = RealLog(folder / "own", self.key) if SERVER.exists() else None
        self.python = logkit.Log(ORIGIN, self.key)
        (folder / "stranger").symlink_to("own")
        self.grow(3)
        port = free_port()
        command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)]  # fmt: skip
        self.files = Server(command, port, folder.parent / "files.log")

    def grow(self, count: int = 1) -> None:
        if self.real is not None:
            self.real.write(count, "entry")
        else:
            write_log(self.folder / "own", self.python.grow(count).files())

    def kill(self) -> None:
        self.files.kill()
        if self.real is not None:
            self.real.kill()

    def start(self) -> None:
        if self.real is not None:
            self.real.start()
        self.files.start()


def write_log(folder: Path, files: Mapping[str, bytes]) -> None:
    """The checkpoint last, and each file at once: a reader sees one size or the next."""
    for name in sorted(files, key=lambda name: name == "checkpoint"):
        path = folder / name
        if name == "checkpoint" or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f"{path.name}.new")
            beside.write_bytes(files[name])
            os.replace(beside, path)


class Site:
    """The servers and what is in them. `names` are the registry's addresses as each exporter knows it."""

    def __init__(self, folder: Path, name_it: Callable[[str], Mapping[str, str]]) -> None:
        self.folder = folder
        folder.mkdir()
        self.registry = registry(folder / "registry")
        self.logs = Logs(folder / "logs")
        self.address = f"127.0.0.1:{self.registry.port}"
        self.names = name_it(self.address)
        self.trust = TrustKit()
        self.trust.rekor2.tree = self._tree = Bodies()
        self.trust.write_root(folder / "root.json")
        self._store = Remote(self.address, referrers=False)
        self._stranger = self.trust.keyless(SOMEBODY)
        self.release = self._build()
        self.release.push(f"http://{self.address}")
        self.publish("stable", "bundle")
        self.publish("cosign", "cosign")
        self.publish("edge", "bundle", self._stranger)

    def _build(self) -> Release:
        dated = datetime.now(UTC) - timedelta(hours=1)
        return ReleaseKit(
            self.trust,
            registry=self.names["bundle"],
            date=f"{dated:%Y-%m-%dT%H:%M:%SZ}",
            calendar=f"{dated:%Y.%m}",
            log="v2",
            signers={BAD: self._stranger},
        ).build()

    def next_version(self) -> str:
        """A newer release on stable, of the same images."""
        major, minor, patch = self.release.kit.version.split(".")
        self.release.kit.version = f"{major}.{minor}.{int(patch) + 1}"
        self.publish("stable", "bundle")
        return self.release.kit.version

    def publish(self, tag: str, reader: str, signer: Any = None) -> None:
        """release.yaml and the compose file as an artifact: pushed, logged and signed, and then the tag moves."""
        self.release.kit.registry = self.names[reader]
        text = self.release.text()
        self.release.seal(text.replace('channel: "stable"', 'channel: "edge"') if tag == "edge" else text)
        files = {"release.yaml": self.release.manifest, "docker-compose.yml": self.release.compose}
        for data in (b"{}", *files.values()):
            self._store.put_blob(RELEASES, data)
        content = {
            "mediaType": MANIFEST,
            "config": _described(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [
                _described(data, "application/octet-stream")
                | {"annotations": {"org.opencontainers.image.title": title}}
                for title, data in files.items()
            ],
        }
        body = encoded({"schemaVersion": 2, **content})
        self._store.put_manifest(RELEASES, digest_of(body), body, MANIFEST)
        on = Attached(self._store, RELEASES, digest_of(body), fallback=True)
        on.bundle(self.trust.attest(statement(on.image), signer, log="v2"))
        log = self.trust.rekor2
        write_log(self.logs.folder / "release", logkit.Log(log.name, log.key, self._tree.bodies).files())
        self._store.put_manifest(RELEASES, tag, body, MANIFEST)

    def close(self) -> None:
        with suppress(OSError, httpx.HTTPError):
            self._store.client.close()
        self.registry.kill()
        self.logs.kill()


def _described(data: bytes, media: str) -> dict[str, Any]:
    return {"mediaType": media, "digest": digest_of(data), "size": len(data)}
