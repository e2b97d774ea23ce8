"""A whole Sigstore of real programs on loopback: Rekor v2, timestamp authority, Fulcio, and cosign to sign with it.

The CT log and the OIDC issuer are stand-ins of a few lines: no CT log could be built from Go modules here, and an
issuer is a key with two documents. The rest is what Sigstore runs itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.trustkit import der
from tests.trustkit.authorities import CtLog, Fulcio, b64, spki, stamp, window
from tests.trustkit.logs import RekorV1
from tests.trustkit.servers import TOOLS, free_port, running

REKOR = "rekor.test"  # the log's origin; in the trusted root it is the host of the log's URL
POISON = der.oid("1.3.6.1.4.1.11129.2.4.3")
EMAIL = "release@stella-ops.example"


class Answering(ThreadingHTTPServer):
    """A small JSON service: `answer` gets the path and the body."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, body: bytes) -> Any:
        raise NotImplementedError


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = json.dumps(self.server.answer(self.path, body)).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *args: Any) -> None:
        pass


class Certificates(Answering):
    """RFC 6962's add-pre-chain over the kit's CT key."""

    def __init__(self, log: CtLog) -> None:
        self.log = log
        super().__init__()

    def answer(self, path: str, body: bytes) -> Any:
        assert path.endswith("/ct/v1/add-pre-chain"), path
        precertificate, issuer, *_ = (base64.b64decode(c) for c in json.loads(body)["chain"])
        tbs = unpoisoned(x509.load_der_x509_certificate(precertificate).tbs_certificate_bytes)
        listed = self.log.sct_list(tbs, x509.load_der_x509_certificate(issuer), datetime.now(UTC))
        sct = listed[listed.index(b"\x00" + self.log_id) :]
        (milliseconds,) = struct.unpack("!Q", sct[33:41])
        return {
            "sct_version": 0,
            "id": b64(self.log_id),
            "timestamp": milliseconds,
            "extensions": "",
            "signature": b64(sct[43:]),
        }

    @property
    def log_id(self) -> bytes:
        return base64.b64decode(self.log.entry()["logId"]["keyId"])


def unpoisoned(tbs: bytes) -> bytes:
    """A precertificate's TBS without its poison extension (RFC 6962 §3.2)."""
    fields = list(elements(tbs)[0].children)
    extensions = [e for e in elements(fields[-1].body)[0].children if POISON not in e.whole]
    kept = der.sequence(*(e.whole for e in extensions))
    return der.sequence(*(f.whole for f in fields[:-1]), der.context(3, kept))


class Element:
    """One DER element."""

    def __init__(self, data: bytes, start: int) -> None:
        size, at = data[start + 1], start + 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count]), at + count
        self.body = data[at : at + size]
        self.whole = data[start : at + size]
        self.end = at + size

    @property
    def children(self) -> list[Element]:
        return elements(self.body)


def elements(data: bytes) -> list[Element]:
    found: list[Element] = []
    while not found or found[-1].end < len(data):
        found.append(Element(data, found[-1].end if found else 0))
    return found


class Issuer(Answering):
    """An OIDC issuer: its documents, and tokens for who asks in Python."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        super().__init__()

    def answer(self, path: str, body: bytes) -> Any:
        if path == "/keys":
            jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return {"keys": [jwk | {"use": "sig", "alg": "RS256", "kid": "1"}]}
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def token(self, email: str = EMAIL) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": email,
            "aud": "sigstore",
            "email": email,
            "email_verified": True,
            "iat": now,
            "nbf": now - 10,
            "exp": now + 600,
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "1"})


class LegacyLog(Answering):
    """Rekor v1's write API over the kit's log: what cosign 2 needs to get its signed entry timestamp."""

    status = 201

    def __init__(self, log: RekorV1) -> None:
        self.log = log
        super().__init__()

    def answer(self, path: str, body: bytes) -> Any:
        proposed = json.loads(body)
        if proposed["kind"] == "dsse":
            proposed["spec"] = _logged_envelope(proposed["spec"]["proposedContent"])
        entry = self.log.take(proposed, datetime.now(UTC))
        proof = entry["inclusionProof"]
        uuid = f"{self.log.TREE_ID:016x}{self.log.tree.leaves[-1].hex()}"
        return {
            uuid: {
                "body": entry["canonicalizedBody"],
                "integratedTime": int(entry["integratedTime"]),
                "logID": self.log.id.hex(),
                "logIndex": int(entry["logIndex"]),
                "verification": {
                    "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
                    "inclusionProof": {
                        "logIndex": int(proof["logIndex"]),
                        "rootHash": base64.b64decode(proof["rootHash"]).hex(),
                        "treeSize": int(proof["treeSize"]),
                        "hashes": [base64.b64decode(h).hex() for h in proof["hashes"]],
                        "checkpoint": proof["checkpoint"]["envelope"],
                    },
                },
            }
        }


def _logged_envelope(proposed: dict[str, Any]) -> dict[str, Any]:
    """What Rekor keeps of a DSSE envelope."""
    envelope = json.loads(proposed["envelope"])
    payload = base64.b64decode(envelope["payload"])
    (signature,), (verifier,) = envelope["signatures"], proposed["verifiers"]

    def digest(data: bytes) -> dict[str, str]:
        return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}

    return {
        "envelopeHash": digest(proposed["envelope"].encode()),
        "payloadHash": digest(payload),
        "signatures": [{"signature": signature["sig"], "verifier": verifier}],
    }


class Sigstore:
    """The services' addresses, the trusted root, and cosign."""

    def __init__(self, folder: Path, began: datetime) -> None:
        self.folder = folder
        self.began = began
        self.ct = CtLog(began)
        self.fulcio = Fulcio(self.ct, began)
        self.log_key = ed25519.Ed25519PrivateKey.generate()
        self.issuer = Issuer()
        self.certificates = Certificates(self.ct)
        self.rekor1 = RekorV1(began)
        self.legacy_log = LegacyLog(self.rekor1)
        self.urls: dict[str, str] = {}
        self.tsa_chain: list[x509.Certificate] = []

    @property
    def root(self) -> Path:
        return self.folder / "trusted_root.json"

    @property
    def key(self) -> Path:
        return self.folder / "cosign.key"

    @property
    def public_key(self) -> Path:
        return self.folder / "cosign.pub"

    def cosign(
        self, *arguments: str, version: int = 3, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run cosign; `version` 2 writes legacy signatures."""
        binary = TOOLS / f"cosign{version}" / "cosign"
        assert binary.exists(), f"cosign is missing: run tools/peers cosign{version}"
        environment = {
            "COSIGN_PASSWORD": "",
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            "SIGSTORE_REKOR_PUBLIC_KEY": str(self.folder / "rekor1.pub"),
            "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": str(self.folder / "ct.pub"),
            "SIGSTORE_ROOT_FILE": str(self.folder / "ca.pem"),
        }
        done = subprocess.run(
            [str(binary), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done

    def sign(self, image: str, *, keyless: bool = False, email: str = EMAIL) -> None:
        self.cosign("sign", *self._how(keyless, email), image)

    def attest(
        self, image: str, kind: str, predicate: Any, *, keyless: bool = False, email: str = EMAIL
    ) -> None:
        file = self.folder / "predicate.json"
        file.write_text(json.dumps(predicate))
        self.cosign("attest", "--type", kind, "--predicate", str(file), *self._how(keyless, email), image)

    def _how(self, keyless: bool, email: str) -> list[str]:
        who = ["--identity-token", self.issuer.token(email)] if keyless else ["--key", str(self.key)]
        config = str(self.folder / "signing_config.json")
        return [
            *who,
            "--signing-config",
            config,
            "--trusted-root",
            str(self.root),
            "--allow-http-registry",
            "--yes",
        ]

    def sign_legacy(self, image: str, *, keyless: bool = False, log: bool = True) -> None:
        """With cosign 2: tags, and the log's promise in annotations."""
        self.cosign("sign", *self._how_legacy(keyless, log), image, version=2)

    def attest_legacy(self, image: str, kind: str, predicate: Any, *, keyless: bool = False) -> None:
        file = self.folder / "predicate.json"
        file.write_text(json.dumps(predicate))
        how = ["--type", kind, "--predicate", str(file), *self._how_legacy(keyless, True)]
        self.cosign("attest", *how, image, version=2)

    def _how_legacy(self, keyless: bool, log: bool) -> list[str]:
        who = ["--key", str(self.key)]
        if keyless:
            who = ["--identity-token", self.issuer.token(), "--fulcio-url", self.urls["fulcio"]]
        logged = ["--rekor-url", self.legacy_log.url] if log else ["--tlog-upload=false"]
        return [*who, *logged, "--allow-http-registry", "--yes"]

    # ---- files ---------------------------------------------------------------------------------

    def write(self) -> None:
        """The trusted root, the signing configuration and a key pair."""
        self.root.write_text(json.dumps(self._root(), indent=1))
        (self.folder / "signing_config.json").write_text(json.dumps(self._signing(), indent=1))
        for name, key in (("rekor1.pub", self.rekor1.key), ("ct.pub", self.ct.key)):
            pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            (self.folder / name).write_bytes(pem)
        self.cosign("generate-key-pair", "--output-key-prefix", str(self.folder / "cosign"))

    def _root(self) -> dict[str, Any]:
        der_key = spki(self.log_key)
        raw = self.log_key.public_key().public_bytes_raw()
        log_id = hashlib.sha256(REKOR.encode() + b"\n\x01" + raw).digest()
        chain = [{"rawBytes": b64(c.public_bytes(Encoding.DER))} for c in self.tsa_chain]
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                {
                    "baseUrl": f"https://{REKOR}",
                    "hashAlgorithm": "SHA2_256",
                    "publicKey": {
                        "rawBytes": b64(der_key),
                        "keyDetails": "PKIX_ED25519",
                        "validFor": window(self.began, None),
                    },
                    "logId": {"keyId": b64(log_id)},
                },
                self.rekor1.entry(),
            ],
            "certificateAuthorities": [self.fulcio.entry()],
            "ctlogs": [self.ct.entry()],
            "timestampAuthorities": [
                {
                    "subject": {"organization": "example.org", "commonName": "tsa"},
                    "uri": self.urls["tsa"],
                    "certChain": {"certificates": chain},
                    "validFor": window(self.began, None),
                }
            ],
        }

    def _signing(self) -> dict[str, Any]:
        def service(url: str, version: int) -> list[dict[str, Any]]:
            valid = {"start": stamp(self.began)}
            return [{"url": url, "majorApiVersion": version, "validFor": valid, "operator": "example.org"}]

        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(self.urls["fulcio"], 1),
            "oidcUrls": service(self.issuer.url, 1),
            "rekorTlogUrls": service(self.urls["rekor"], 2),
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": service(f"{self.urls['tsa']}/api/v1/timestamp", 1),
            "tsaConfig": {"selector": "ANY"},
        }


@contextmanager
def sigstore(folder: Path) -> Iterator[Sigstore]:
    """Everything, running."""
    world = Sigstore(folder, datetime.now(UTC).replace(microsecond=0) - timedelta(days=1))
    with ExitStack() as stack:
        stack.enter_context(_rekor(world))
        stack.enter_context(_tsa(world))
        stack.enter_context(_fulcio(world))
        world.write()
        yield world


@contextmanager
def _rekor(world: Sigstore) -> Iterator[None]:
    binary = TOOLS / "rekor2" / "posix"
    assert binary.exists(), "Rekor v2 is missing: run tools/peers rekor2"
    key, port = world.folder / "rekor.pem", free_port()
    key.write_bytes(world.log_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    world.urls["rekor"] = f"http://127.0.0.1:{port}"
    command = [
        str(binary),
        "serve",
        f"--storage-dir={world.folder / 'log'}",
        f"--signer-filepath={key}",
        f"--hostname={REKOR}",
        "--checkpoint-interval=500ms",
        "--batch-max-age=50ms",
        f"--http-port={port}",
        f"--grpc-port={free_port()}",
        f"--http-metrics-port={free_port()}",
    ]
    (world.folder / "log").mkdir()
    with running(command, f"{world.urls['rekor']}/healthz", world.folder / "rekor.log"):
        yield


@contextmanager
def _tsa(world: Sigstore) -> Iterator[None]:
    binary = TOOLS / "timestamp" / "timestamp-server"
    assert binary.exists(), "the timestamp authority is missing: run tools/peers timestamp"
    port = free_port()
    world.urls["tsa"] = f"http://127.0.0.1:{port}"
    command = [
        str(binary),
        "serve",
        "--host=127.0.0.1",
        f"--port={port}",
        "--timestamp-signer=memory",
        "--disable-ntp-monitoring",
    ]
    chain = f"{world.urls['tsa']}/api/v1/timestamp/certchain"
    with running(command, chain, world.folder / "tsa.log"):
        world.tsa_chain = x509.load_pem_x509_certificates(httpx.get(chain, timeout=10).content)
        yield


@contextmanager
def _fulcio(world: Sigstore) -> Iterator[None]:
    binary = TOOLS / "fulcio" / "fulcio"
    assert binary.exists(), "Fulcio is missing: run tools/peers fulcio"
    authority, folder, port = world.fulcio, world.folder, free_port()
    password = BestAvailableEncryption(b"secret")
    (folder / "ca.key").write_bytes(authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, password))
    (folder / "ca.pem").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in authority.chain()))
    issuers = {world.issuer.url: {"issuer-url": world.issuer.url, "client-id": "sigstore", "type": "email"}}
    (folder / "fulcio.yaml").write_text(yaml.safe_dump({"oidc-issuers": issuers}))  # JSON has other key names
    world.urls["fulcio"] = f"http://127.0.0.1:{port}"
    command = [
        str(binary),
        "serve",
        "--host=127.0.0.1",
        f"--port={port}",
        "--grpc-host=127.0.0.1",
        f"--grpc-port={free_port()}",
        f"--metrics-port={free_port()}",
        f"--legacy-unix-domain-socket={folder / 'fulcio.sock'}",
        f"--config-path={folder / 'fulcio.yaml'}",
        "--ca=fileca",
        f"--fileca-cert={folder / 'ca.pem'}",
        f"--fileca-key={folder / 'ca.key'}",
        "--fileca-key-passwd=secret",
        "--fileca-watch=false",
        f"--ct-log-url={world.certificates.url}",
    ]
    with running(command, f"{world.urls['fulcio']}/healthz", folder / "fulcio.log"):
        yield
