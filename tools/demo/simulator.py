"""The simulated platform over HTTP: /metrics, and POST /mode?name=outage&service=signer while it runs."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from urllib.parse import parse_qs, urlsplit

import httpx

from slo import catalog
from slo.load import load
from tools.demo.servers import DemoError
from tools.demo.world import MODES, RATE, World


class Simulator:
    """Serves a world on loopback from a thread of its own. Port 0 takes a free one."""

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(world))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(world: World) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/metrics":
                self._answer(200, world.text(), "text/plain; version=0.0.4")
            elif path == "/mode":
                self._mode()
            elif path == "/-/healthy":
                self._answer(200, "healthy\n")
            elif path == "/truth":
                flows = {f.slo: world.truth(f.slo) for f in world.flows if f.slo}
                self._answer(200, json.dumps(flows) + "\n", "application/json")
            else:
                self._answer(404, "use /metrics, /mode, /truth or /-/healthy\n")

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            if parts.path != "/mode":
                self._answer(404, "use /mode\n")
                return
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            try:
                world.switch(query.get("name", ""), query.get("service", ""))
            except ValueError as error:
                self._answer(400, f"{error}\n")
            else:
                self._mode()

        def _mode(self) -> None:
            mode = world.mode
            said = {"name": mode.name, "service": mode.service, "since": mode.since, "modes": MODES,
                    "services": world.services}  # fmt: skip
            self._answer(200, json.dumps(said) + "\n", "application/json")

        def _answer(self, code: int, text: str, kind: str = "text/plain") -> None:
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not news."""

    return Handler


def switch(url: str, name: str, service: str) -> str:
    """Ask the simulator to do something else. Returns what it does now. Raises DemoError."""
    try:
        answer = httpx.post(
            f"{url}/mode", params={"name": name, "service": service}, timeout=5, trust_env=False
        )
    except httpx.HTTPError as error:
        raise DemoError(f"the simulator at {url} does not answer ({error}): is the demo running?") from None
    if answer.status_code != 200:
        raise DemoError(answer.text.strip())
    return _said(answer.json())


def mode_now(url: str) -> str:
    try:
        return _said(httpx.get(f"{url}/mode", timeout=2, trust_env=False).json())
    except (httpx.HTTPError, ValueError, KeyError):
        return "unknown"


def _said(mode: dict[str, str]) -> str:
    everywhere = "" if mode["name"] in ("normal", "quiet") else " of every service"
    return f"{mode['name']} of {mode['service']}" if mode["service"] else f"{mode['name']}{everywhere}"


def main(argv: list[str] | None = None) -> int:
    """Serve the Stella catalogue, or the stack of a definition file, until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo.simulator", description=__doc__)
    parser.add_argument(
        "definitions", nargs="?", help="a definition file; the Stella catalogue when left out"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=RATE, help="events per second of each indicator")
    parser.add_argument(
        "--without-exporters", action="store_true", help="leave out what real exporters publish"
    )
    args = parser.parse_args(argv)
    stack = load(Path(args.definitions)) if args.definitions else catalog.stack()
    simulator = Simulator(World(stack, rate=args.rate, exporters=not args.without_exporters), args.port)
    for unsolved in simulator.world.unsolved:
        sys.stderr.write(f"not simulated: {unsolved}\n")
    done = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        done.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    simulator.start()
    sys.stderr.write(f"simulator on http://127.0.0.1:{simulator.port}/metrics\n")
    done.wait()
    simulator.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
