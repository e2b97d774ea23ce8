"""Where Alertmanager delivers: an HTTP receiver that keeps what it got, and tells a listener."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGEST = 4 * 1024 * 1024  # bytes of one notification


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert of one notification."""

    time: float
    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def title(self) -> str:
        """The alert and what it is about."""
        about = self.labels.get("slo") or self.labels.get("monitor") or self.labels.get("service", "")
        return f"{self.labels.get('alertname', '?')} {about}".strip()


class Webhook:
    """Receives on loopback from a thread of its own. Port 0 takes a free one; `file` keeps every alert as JSON."""

    def __init__(
        self, port: int = 0, file: Path | None = None, listener: Callable[[Delivery], None] | None = None
    ) -> None:
        self._file = file
        self._listener = listener
        self._changed = threading.Condition()
        self._deliveries: list[Delivery] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def deliveries(self) -> list[Delivery]:
        """Everything so far, oldest first."""
        with self._changed:
            return list(self._deliveries)

    def wait_for(self, wanted: Callable[[Delivery], bool], timeout: float) -> Delivery | None:
        """The first alert that is wanted, as soon as it is there; None when it does not come in time."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                found = next((d for d in self._deliveries if wanted(d)), None)
                left = end - time.monotonic()
                if found is not None or left <= 0:
                    return found
                self._changed.wait(left)

    def _take(self, body: dict[str, Any]) -> None:
        for alert in body.get("alerts", []):
            delivery = Delivery(
                time.time(), str(body.get("receiver", "")), str(alert.get("status", "")),
                dict(alert.get("labels", {})), dict(alert.get("annotations", {})),
            )  # fmt: skip
            with self._changed:
                self._deliveries.append(delivery)
                if self._file is not None:
                    with self._file.open("a", encoding="utf-8") as out:
                        out.write(
                            json.dumps({"time": delivery.time, "receiver": delivery.receiver, **alert}) + "\n"
                        )
                self._changed.notify_all()
            if self._listener is not None:
                self._listener(delivery)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                try:
                    if not 0 < length <= LARGEST:
                        raise ValueError("no body, or too large a one")
                    take(json.loads(self.rfile.read(length)))
                except (ValueError, AttributeError, TypeError):
                    self.send_response(400)
                else:
                    self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """What arrives is shown elsewhere."""

        return Handler
