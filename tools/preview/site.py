"""A web site on loopback: the built page, Grafana's icons, the dashboards, and Prometheus behind the same address."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

TIMEOUT = 60.0  # seconds of one query


class Site:
    """Serves folders under prefixes, or single files; the longest prefix first. Use it as a context.

    What is asked below a prefix of `servers` goes to that server, which then needs no CORS setting.
    """

    def __init__(self, folders: Mapping[str, Path], servers: Mapping[str, str]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folders, servers))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def inside(folders: Mapping[str, Path], path: str) -> Path | None:
    """The file that a request's path names; None where there is none, or it is outside its folder."""
    for prefix in sorted(folders, key=len, reverse=True):
        if path.startswith(prefix):
            folder, rest = folders[prefix].resolve(), path.removeprefix(prefix)
            file = (folder / rest).resolve() if rest else folder
            return file if file.is_file() and file.is_relative_to(folder) else None
    return None


def _handler(folders: Mapping[str, Path], servers: Mapping[str, str]) -> type[BaseHTTPRequestHandler]:
    client = httpx.Client(trust_env=False, timeout=TIMEOUT)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            for prefix, server in servers.items():
                if self.path.startswith(prefix):
                    self._forward(f"{server.rstrip('/')}/{self.path.removeprefix(prefix)}")
                    return
            file = inside(folders, unquote(urlsplit(self.path).path))
            if file is None:
                self._answer(404, "text/plain", b"there is no such file\n")
            else:
                self._answer(200, guess_type(file.name)[0] or "application/octet-stream", file.read_bytes())

        def _forward(self, url: str) -> None:
            try:
                answer = client.get(url)
            except httpx.HTTPError as error:
                self._answer(502, "text/plain", f"Prometheus does not answer: {error}\n".encode())
                return
            self._answer(answer.status_code, "application/json", answer.content)

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            with contextlib.suppress(ConnectionError):  # a page that was closed in the meantime
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what goes wrong is in the page's own report."""

    return Handler
