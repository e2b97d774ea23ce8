"""The demo: real Prometheus, Alertmanager and blackbox exporter on loopback, over a simulated Stella Ops and over
the servers' own metrics. Ends with Ctrl-C, and leaves nothing running.

    python -m tools.demo                               start
    python -m tools.demo mode outage --service signer  switch what the platform does, from another terminal
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from slo import Stack, catalog
from slo.artifact import Output
from slo.compile import Config, compile_stack
from slo.errors import QueryError, SLOError
from slo.load import load
from slo.prometheus import Prometheus
from slo.quantity import Duration
from tools.demo import rules, servers, table
from tools.demo.servers import DemoError, Server
from tools.demo.webhook import Delivery, Webhook
from tools.demo.world import MODES, RATE

STATE = Path(".demo")
KNOWN = "demo.json"  # in the state folder: marks it as ours, and tells `mode` where the simulator is
REFRESH = 2.0  # seconds
PLAIN_EVERY = 10.0  # seconds between lines when the output is no terminal
SELF = Path(__file__).resolve().parent / "self_slos.py"
KEYS = {"n": "normal", "o": "outage", "b": "slow-burn", "q": "quiet", "t": "tampered"}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens, on loopback."""

    prometheus: int
    alertmanager: int
    blackbox: int
    simulator: int
    webhook: int

    @classmethod
    def choose(cls, base: int | None) -> Ports:
        """Free ports, or five in a row from `base`. Raises DemoError when one of those is taken."""
        if base is None:
            return cls(*(servers.free_port() for _ in range(5)))
        for port in range(base, base + 5):
            if not servers.is_free(port):
                raise DemoError(f"port {port} is taken: choose another --port-base, or none for free ports")
        return cls(*range(base, base + 5))


class Demo:
    """The servers of one run, started in order, ended together."""

    def __init__(
        self, folder: Path, ports: Ports, scrape: str, compress: int, definitions: Path | None, rate: float
    ) -> None:
        self.folder = folder
        self.ports = ports
        self.scrape = scrape
        self.compress = compress
        self.stacks: tuple[Stack, ...] = (
            catalog.stack() if definitions is None else load(definitions),
            load(SELF),
        )
        arguments = ("--rate", f"{rate:g}", *(() if definitions is None else (str(definitions),)))
        self.simulator = servers.simulator(folder, ports.simulator, arguments)
        self.prometheus = servers.prometheus(folder, ports.prometheus)
        self.alertmanager = servers.alertmanager(folder, ports.alertmanager)
        self.blackbox = servers.blackbox(folder, ports.blackbox)
        self.webhook: Webhook | None = None

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.simulator, self.blackbox, self.alertmanager, self.prometheus

    def start(self, webhook: Webhook) -> None:
        """Write the configuration, start everything, return when all are ready."""
        config = Config(Duration.parse(self.scrape))
        compiled = [compile_stack(stack, config) for stack in self.stacks]
        self._configure(compiled, webhook.url)
        for server in self.servers:
            server.start()
        webhook.start()
        self.webhook = webhook  # what was not started cannot be stopped
        for server in self.servers:
            server.wait_ready()

    def _configure(self, compiled: list[tuple[Output, ...]], webhook: str) -> None:
        folder, ports = self.folder, self.ports
        for outputs in compiled:
            rules.write_rules(outputs, folder / "rules", self.compress)
        texts = [rules.alertmanager_text(outputs) for outputs in compiled]
        servers.write_yaml(
            folder / "alertmanager.yaml", rules.alertmanager_config(texts, webhook, self.compress)
        )
        servers.write_yaml(folder / "blackbox.yaml", servers.BLACKBOX_CONFIG)
        targets = {
            "simulator": ports.simulator, "prometheus": ports.prometheus,
            "alertmanager": ports.alertmanager, "blackbox": ports.blackbox,
        }  # fmt: skip
        probes = {
            "prometheus": f"{self.prometheus.url}/-/ready",
            "alertmanager": f"{self.alertmanager.url}/-/ready",
            "simulator": f"{self.simulator.url}/-/healthy",
        }
        jobs = servers.scrape_jobs(targets, probes, ports.blackbox)
        servers.write_yaml(
            folder / "prometheus.yaml",
            servers.prometheus_config(self.scrape, folder / "rules", jobs, ports.alertmanager),
        )
        (folder / KNOWN).write_text(
            json.dumps({"pid": os.getpid(), "ports": asdict(ports)}) + "\n", encoding="utf-8"
        )

    def stop(self) -> None:
        servers.stop_all(reversed(self.servers))
        if self.webhook is not None:
            self.webhook.stop()


def prepare(folder: Path) -> None:
    """An empty state folder. What an earlier demo left is removed; anything else is refused."""
    if folder.exists() and any(folder.iterdir()):
        known = folder / KNOWN
        if not known.exists():
            raise DemoError(f"{folder} holds files that are not the demo's: name another folder with --state")
        pid = json.loads(known.read_text(encoding="utf-8")).get("pid", 0)
        if pid and pid != os.getpid() and Path(f"/proc/{pid}").exists():
            raise DemoError(
                f"a demo already runs on {folder} (process {pid}): end it, or use another --state"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / KNOWN).write_text("{}\n", encoding="utf-8")


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


# The screen


def where(demo: Demo) -> list[str]:
    """Where to look, and what was compressed."""
    webhook = demo.webhook.url if demo.webhook is not None else ""
    count = len(demo.stacks[0].slos), len(demo.stacks[0].all_monitors), len(demo.stacks[1].slos)
    return [
        f"{count[0]} SLOs and {count[1]} monitors of {demo.stacks[0].name} over simulated metrics, "
        f"{count[2]} SLOs over the metrics of these servers themselves.",
        f"Prometheus    {demo.prometheus.url}/alerts  {demo.prometheus.url}/rules  {demo.prometheus.url}/graph",
        f"Alertmanager  {demo.alertmanager.url}/",
        f"Blackbox      {demo.blackbox.url}/",
        f"Simulator     {demo.simulator.url}/metrics",
        f"Webhook       {webhook} (what arrived: {demo.folder / 'webhook.jsonl'})",
        f"Time: scraped every {demo.scrape}; rules are evaluated, and alerts grouped, {demo.compress} times as often as "
        "generated. Windows, bounds and results are the generated ones; they cover only the time the demo runs.",
        f"Switch: `.venv/bin/python -m tools.demo mode outage --service signer` ({', '.join(MODES)}).",
    ]


def told(delivery: Delivery) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(delivery.time))
    text = delivery.annotations.get("description") or delivery.annotations.get("summary", "")
    return f"{at} {delivery.status.upper()} to {delivery.receiver}: {delivery.title}: {text}"


@contextlib.contextmanager
def _keys(enabled: bool) -> Iterator[None]:
    """Keys arrive one by one, unseen; Ctrl-C stays what it is."""
    if not enabled:
        yield
        return
    import termios  # only Unix has it, and only a terminal needs it
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed() -> str:
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    return os.read(sys.stdin.fileno(), 1).decode("ascii", "ignore") if ready else ""


class _Stop:
    """Set by Ctrl-C, SIGTERM, and the end of the terminal."""

    def __init__(self) -> None:
        self.set = False
        for heard in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(heard, self._hear)

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        self.set = True


def watch(
    demo: Demo, webhook: Webhook, console: Console, stop: _Stop, seconds: float | None, service: str
) -> None:
    """Show the table until told to stop, or until the time is over, or a server ended."""
    end = None if seconds is None else time.monotonic() + seconds
    names = [s.name for s in demo.stacks]
    live = console.is_terminal
    keys = live and sys.stdin.isatty()
    with (
        Prometheus(demo.prometheus.url, timeout=5) as prometheus,
        _keys(keys),
        contextlib.ExitStack() as stack,
    ):
        screen = stack.enter_context(Live(console=console, auto_refresh=False, screen=True)) if live else None
        shown, said_at = 0, 0.0
        while not stop.set and (end is None or time.monotonic() < end):
            for server in demo.servers:
                if not server.running:
                    raise DemoError(
                        f"{server.name} ended by itself; {server.log} says: {server.last_words()}"
                    )
            note, view = "", table.View([], [])
            try:
                view = table.read(prometheus, names)
            except QueryError as error:
                note = str(error)
            deliveries = webhook.deliveries()
            if screen is not None:
                screen.update(
                    _screen(demo, view, deliveries, console.height, note, service if keys else ""),
                    refresh=True,
                )
            else:
                for delivery in deliveries[shown:]:
                    console.print(told(delivery), markup=False, highlight=False, soft_wrap=True)
                shown = len(deliveries)
                if time.monotonic() - said_at >= PLAIN_EVERY:
                    said_at = time.monotonic()
                    line = note or _line(demo, view)
                    console.print(line, markup=False, highlight=False, soft_wrap=True)
            _pause(demo, stop, end, keys, service)
    if not live:
        with contextlib.suppress(QueryError), Prometheus(demo.prometheus.url, timeout=5) as prometheus:
            for line in table.lines(table.read(prometheus, names)):
                console.print(line, markup=False, highlight=False, soft_wrap=True)


def _pause(demo: Demo, stop: _Stop, end: float | None, keys: bool, service: str) -> None:
    until = time.monotonic() + REFRESH
    until = until if end is None else min(until, end)
    while not stop.set and time.monotonic() < until:
        key = _pressed() if keys else ""
        if key in KEYS:
            wanted = KEYS[key]
            with contextlib.suppress(DemoError):
                switch(demo.simulator.url, wanted, service if wanted in ("outage", "slow-burn") else "")
            return
        if key == "x":
            stop.set = True
        time.sleep(0.1)


def _screen(
    demo: Demo, view: table.View, deliveries: list[Delivery], height: int, note: str, service: str
) -> Group:
    head = [Text(line, overflow="ellipsis", no_wrap=True) for line in where(demo)[1:]]
    last = deliveries[-3:]
    foot = [Text(told(d), style="red" if d.status == "firing" else "green") for d in last]
    if view.monitors:
        foot.insert(0, Text(f"Monitors firing: {', '.join(view.monitors)}", style="yellow"))
    if note:
        foot.insert(0, Text(note, style="yellow"))
    if not deliveries:
        foot.append(Text("Nothing has arrived at the webhook yet.", style="dim"))
    if service:
        keys = f"keys: n normal · o outage of {service} · b slow burn of {service} · q quiet night · t tampered · x end"
        foot.append(Text(keys, style="reverse"))
    room = max(3, height - len(head) - 8 - 3 * len(last) - (len(foot) - len(last)))
    title = f"{time.strftime('%H:%M:%S')}  the platform: {mode_now(demo.simulator.url)}"
    return Group(*head, table.table(view, room, title), *foot)


def _line(demo: Demo, view: table.View) -> str:
    said = f"{time.strftime('%H:%M:%S')} {mode_now(demo.simulator.url)}: {len(view.rows)} rows"
    known = [r for r in view.rows if r.left is not None]
    if known:
        worst = min(known, key=lambda r: r.left or 0.0)
        burn = table.burn_rate(worst.burn(worst.ratio_1h))
        said += f"; worst {worst.slo}: {table.budget_left(worst.left)} of its budget left, burn 1h {burn}"
    firing = [f"{r.slo} ({', '.join(sorted(set(r.firing)))})" for r in view.rows if r.firing] + view.monitors
    return f"{said}; firing: {', '.join(firing) or 'nothing'}"


# The command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, default=STATE, help="folder of data and logs (default .demo)")
    parser.set_defaults(action="run")
    parser.add_argument("--port-base", type=int, help="five ports from this one; free ones when left out")
    parser.add_argument("--scrape-interval", default="5s", help="default 5s")
    parser.add_argument("--compress", type=int, default=6, help="evaluate rules that many times as often (6)")
    parser.add_argument("--for", dest="seconds", type=float, help="end by itself after so many seconds")
    parser.add_argument("--service", default="signer", help="the service that the keys o and b concern")
    parser.add_argument("--definitions", type=Path, help="a definition file instead of the Stella catalogue")
    parser.add_argument(
        "--rate", type=float, default=RATE, help=f"events per second of an indicator ({RATE:g})"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    mode = commands.add_parser("mode", help="switch what the running demo's platform does")
    mode.add_argument("name", choices=MODES)
    mode.add_argument("--service", default="", help="only this service (default: all)")
    mode.set_defaults(action="mode")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    console = Console()
    try:
        if args.action == "mode":
            console.print(_switch_running(args.state, args.name, args.service), markup=False, highlight=False)
            return 0
        if args.compress < 1:
            raise DemoError(f"--compress {args.compress} is not understood: give a number from 1")
        return _run(args, console)
    except (DemoError, SLOError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _switch_running(folder: Path, name: str, service: str) -> str:
    known = folder / KNOWN
    try:
        port = json.loads(known.read_text(encoding="utf-8"))["ports"]["simulator"]
    except (OSError, ValueError, KeyError):
        raise DemoError(f"no demo runs on {folder}: start one with `make demo`") from None
    return f"The platform: {switch(f'http://127.0.0.1:{port}', name, service)}."


def _run(args: argparse.Namespace, console: Console) -> int:
    for tool in ("prometheus", "alertmanager", "blackbox_exporter"):
        servers.find(tool)
    ports = Ports.choose(args.port_base)
    prepare(args.state)
    stop = _Stop()
    folder = args.state.resolve()
    demo = Demo(folder, ports, args.scrape_interval, args.compress, args.definitions, args.rate)
    webhook = Webhook(ports.webhook, folder / "webhook.jsonl")
    try:
        demo.start(webhook)
        for line in where(demo):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        watch(demo, webhook, console, stop, args.seconds, args.service)
    finally:
        demo.stop()
        (folder / KNOWN).write_text("{}\n", encoding="utf-8")
    console.print(f"All ended. Data and logs are in {args.state}.", markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
