"""Loopback servers that say exactly the bytes they are told to, and certificates for them."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = Callable[[socket.socket, int], None]


@dataclass
class Raw:
    """A server whose `behave` gets each connection, once the head of a request is there, and the request's number."""

    behave: Behaviour
    context: ssl.SSLContext | None = None
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'http' if self.context is None else 'https'}://{self.host}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self.stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        try:
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                while not self.stop.is_set():
                    head = b""
                    while b"\r\n\r\n" not in head:
                        piece = connection.recv(65536)
                        if not piece:
                            return
                        head += piece
                    self.heads.append(head.decode("latin-1"))
                    self.behave(connection, len(self.heads))
        except OSError:
            return

    def close(self) -> None:
        self.stop.set()
        self._listener.close()


@contextmanager
def serving(behave: Behaviour | bytes, context: ssl.SSLContext | None = None) -> Iterator[Raw]:
    """A server that behaves so, or always answers with these bytes."""
    server = Raw((lambda c, n: c.sendall(behave)) if isinstance(behave, bytes) else behave, context)
    try:
        yield server
    finally:
        server.close()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer with a length; underscores in the names of headers are dashes."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


@dataclass(frozen=True)
class Authority:
    """A CA of its own, and what it issued, as PEM files in `folder`."""

    folder: Path
    name: str = "ca"

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        object.__setattr__(self, "_key", ec.generate_private_key(ec.SECP256R1()))
        self._write(self.file, self._sign(self.name, self._key, None))  # type: ignore[attr-defined]

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str, dns: str = "localhost") -> tuple[Path, Path]:
        """A certificate for `dns` and 127.0.0.1, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self._write(certificate, self._sign(name, key, dns))
        encoding = (
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.write_bytes(key.private_bytes(*encoding))
        return certificate, file

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, dns: str | None) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        issuer = self._key  # type: ignore[attr-defined]
        public = issuer.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=dns is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        )
        if dns is not None:
            names = [x509.DNSName(dns), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer, hashes.SHA256())

    def _write(self, file: Path, certificate: x509.Certificate) -> None:
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
