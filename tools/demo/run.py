"""The demo: real Prometheus, Alertmanager and blackbox exporter on loopback, over a simulated Stella Ops, over our
exporters, which verify a signed release in a real registry, and over the servers' own metrics. Ends with Ctrl-C, and
leaves nothing running.

    python -m tools.demo                               start
    python -m tools.demo mode outage --service signer  switch what the platform does, from another terminal
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from slo import Stack, catalog
from slo.artifact import Output
from slo.compile import Config, compile_stack
from slo.errors import SLOError
from slo.load import load
from slo.quantity import Duration
from tools.demo import rules, screen, servers
from tools.demo.servers import DemoError, Server
from tools.demo.simulator import switch
from tools.demo.webhook import Webhook
from tools.demo.world import MODES, RATE

if TYPE_CHECKING:
    from tools.demo.release import Offered

STATE = Path(".demo")
KNOWN = "demo.json"  # in the state folder: marks it as ours, and tells `mode` where the simulator is
SELF = Path(__file__).resolve().parent / "self_slos.py"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens, on loopback."""

    prometheus: int
    alertmanager: int
    blackbox: int
    simulator: int
    webhook: int
    registry: int
    files: int
    cosign: int
    rekor: int
    bundle: int

    @classmethod
    def choose(cls, base: int | None) -> Ports:
        """Free ports, or as many in a row from `base`. Raises DemoError when one of those is taken."""
        count = len(fields(cls))
        if base is None:
            return cls(*servers.free_ports(count))
        for port in range(base, base + count):
            if not servers.is_free(port):
                raise DemoError(f"port {port} is taken: choose another --port-base, or none for free ports")
        return cls(*range(base, base + count))


class Demo:
    """The servers of one run, started in order, ended together. Exporters are simulated, or verify what is offered."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        scrape: str,
        compress: int,
        definitions: Path | None,
        rate: float,
        offered: Offered | None = None,
        keep_firing: str = "",
    ) -> None:
        self.folder = folder
        self.keep_firing = keep_firing  # in place of every alert's own, when it is not empty
        self.ports = ports
        self.scrape = scrape
        self.compress = compress
        self.stacks: tuple[Stack, ...] = (
            catalog.stack() if definitions is None else load(definitions),
            load(SELF),
        )
        self.offered = offered
        arguments = ["--rate", f"{rate:g}"]
        arguments += [] if offered is None else ["--without-exporters"]
        arguments += [] if definitions is None else [str(definitions)]
        self.simulator = servers.simulator(folder, ports.simulator, arguments)
        self.prometheus = servers.prometheus(folder, ports.prometheus)
        self.alertmanager = servers.alertmanager(folder, ports.alertmanager)
        self.blackbox = servers.blackbox(folder, ports.blackbox)
        self.webhook: Webhook | None = None

    @property
    def servers(self) -> tuple[Server, ...]:
        offered = () if self.offered is None else self.offered.servers
        return *offered, self.simulator, self.blackbox, self.alertmanager, self.prometheus

    def start(self, webhook: Webhook) -> None:
        """Write the configuration, start everything, return when all are ready."""
        config = Config(Duration.parse(self.scrape))
        compiled = [compile_stack(stack, config) for stack in self.stacks]
        self._configure(compiled, webhook.url)
        exporters = () if self.offered is None else self.offered.exporters
        if self.offered is not None:
            self.offered.prepare()
        for server in self.servers:
            if server not in exporters:
                server.start()
        webhook.start()
        self.webhook = webhook  # what was not started cannot be stopped
        if self.offered is not None:
            self.offered.registry.wait_ready()
            self.offered.publish()
        for exporter in exporters:
            exporter.start()
        for server in self.servers:
            server.wait_ready()

    def _configure(self, compiled: list[tuple[Output, ...]], webhook: str) -> None:
        folder, ports = self.folder, self.ports
        for outputs in compiled:
            rules.write_rules(outputs, folder / "rules", self.compress, self.keep_firing)
        texts = [rules.alertmanager_text(outputs) for outputs in compiled]
        servers.write_yaml(
            folder / "alertmanager.yaml", rules.alertmanager_config(texts, webhook, self.compress)
        )
        servers.write_yaml(folder / "blackbox.yaml", servers.BLACKBOX_CONFIG)
        targets = {
            "simulator": ports.simulator, "prometheus": ports.prometheus,
            "alertmanager": ports.alertmanager, "blackbox": ports.blackbox,
            **({} if self.offered is None else self.offered.jobs),
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


# The command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, default=STATE, help="folder of data and logs (default .demo)")
    parser.set_defaults(action="run")
    parser.add_argument("--port-base", type=int, help="ten ports from this one; free ones when left out")
    parser.add_argument("--scrape-interval", default="5s", help="default 5s")
    parser.add_argument("--compress", type=int, default=6, help="evaluate rules that many times as often (6)")
    parser.add_argument("--for", dest="seconds", type=float, help="end by itself after so many seconds")
    parser.add_argument("--service", default="signer", help="the service that the keys o and b concern")
    parser.add_argument("--definitions", type=Path, help="a definition file instead of the Stella catalogue")
    parser.add_argument(
        "--rate", type=float, default=RATE, help=f"events per second of an indicator ({RATE:g})"
    )
    parser.add_argument(
        "--release", choices=("good", "bad"), default="bad",
        help="what the exporters verify: a release in order, or one with an image that somebody else signed (bad)",
    )  # fmt: skip
    parser.add_argument(
        "--simulate-exporters",
        action="store_true",
        help="no registry and no exporters: simulate their metrics",
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
    real = not args.simulate_exporters and args.definitions is None
    for tool in ("prometheus", "alertmanager", "blackbox_exporter", *(("docker-registry",) if real else ())):
        servers.find(tool)
    ports = Ports.choose(args.port_base)
    prepare(args.state)
    stop = screen.Stop()
    folder = args.state.resolve()
    offered = _offered(folder, ports, args.release) if real else None
    demo = Demo(folder, ports, args.scrape_interval, args.compress, args.definitions, args.rate, offered)
    webhook = Webhook(ports.webhook, folder / "webhook.jsonl")
    try:
        demo.start(webhook)
        for line in screen.where(demo):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        screen.watch(demo, webhook, console, stop, args.seconds, args.service)
    finally:
        demo.stop()
        (folder / KNOWN).write_text("{}\n", encoding="utf-8")
    console.print(f"All ended. Data and logs are in {args.state}.", markup=False, highlight=False)
    return 0


def _offered(folder: Path, ports: Ports, kind: str) -> Offered:
    """A release to verify. What signs it is the tests' own, and not installed."""
    try:
        from tools.demo.release import Offered
    except ModuleNotFoundError as error:
        raise DemoError(f"{error.name} is missing: run `make demo`, or use --simulate-exporters") from None
    return Offered(folder, ports, "good" if kind == "good" else "bad")


if __name__ == "__main__":
    raise SystemExit(main())
