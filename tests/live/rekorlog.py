"""A real Rekor v2 log (rekor-tiles on POSIX files) on loopback, and a static file server for its reads."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

SERVER = Path(__file__).parents[2] / ".tools" / "rekor2" / "posix"
ORIGIN = "rekor.test/2026"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """HTTP/1.0: no connection outlives a request, so that a server that is stopped is down."""

    def log_message(self, *_: Any) -> None:
        pass


class Files:
    """A static file server over a folder; it can be stopped and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        def handler(*args: Any) -> _Quiet:
            return _Quiet(*args, directory=str(self.folder))

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class RealLog:
    """The server process over `folder`, signing with `key`. Writes return when a checkpoint covers them."""

    def __init__(self, folder: Path, key: ed25519.Ed25519PrivateKey) -> None:
        if not SERVER.exists():
            raise FileNotFoundError(f"{SERVER} is not there: run tools/peers rekor2")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key_file = folder.parent / f"{folder.name}.key.pem"
        self._key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self._signer = ec.generate_private_key(ec.SECP256R1())
        self.start()

    def start(self) -> None:
        self.port, grpc, metrics = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        self.process = subprocess.Popen(
            [
                str(SERVER), "serve", f"--storage-dir={self.folder}", f"--signer-filepath={self._key_file}",
                f"--hostname={ORIGIN}", "--checkpoint-interval=500ms", "--batch-max-age=50ms",
                f"--http-port={self.port}", f"--grpc-port={grpc}", f"--http-metrics-port={metrics}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
        ends = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/healthz", timeout=5).read()  # noqa: S310 # to loopback
                return
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > ends or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def write(self, count: int, word: str) -> None:
        """`count` hashedrekord entries, many at once."""
        with ThreadPoolExecutor(min(count, 100)) as pool:
            list(pool.map(self._write, [f"{word} {n}".encode() for n in range(count)]))

    def _write(self, artifact: bytes) -> None:
        public = self._signer.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signature = self._signer.sign(artifact, ec.ECDSA(hashes.SHA256()))
        request = {
            "hashedRekordRequestV002": {
                "digest": base64.b64encode(hashlib.sha256(artifact).digest()).decode(),
                "signature": {
                    "content": base64.b64encode(signature).decode(),
                    "verifier": {
                        "publicKey": {"rawBytes": base64.b64encode(public).decode()},
                        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    },
                },
            }
        }
        sent = urllib.request.Request(  # noqa: S310 # to loopback
            f"{self.url}/api/v2/log/entries",
            json.dumps(request).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(sent, timeout=60).read()  # noqa: S310 # as above

    def entries(self) -> list[bytes]:
        """All entries, read from the files of entry bundles, the longest of each."""
        found: list[bytes] = []
        folder = self.folder / "tile" / "entries"
        for number in range(1000):
            full = folder / f"{number:03d}"
            # A killed server leaves temporary files behind, whose names are numbers too.
            partial = sorted(folder.glob(f"{number:03d}.p/*"), key=lambda p: int(p.name))
            partial = [p for p in partial if int(p.name) < 256]
            if not full.exists() and not partial:
                return found
            data = (full if full.exists() else partial[-1]).read_bytes()
            while data:
                size = int.from_bytes(data[:2], "big")
                found.append(data[2 : 2 + size])
                data = data[2 + size :]
        return found

    def snapshot(self, to: Path) -> None:
        shutil.copytree(self.folder, to)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
