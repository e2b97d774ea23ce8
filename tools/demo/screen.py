"""What the demo says while it runs: where to look, the table of SLOs, what arrived, and the keys."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from slo.errors import QueryError
from slo.prometheus import Prometheus
from tools.demo import table
from tools.demo.servers import DemoError
from tools.demo.simulator import mode_now, switch
from tools.demo.webhook import Delivery, Webhook
from tools.demo.world import MODES

if TYPE_CHECKING:
    from tools.demo.run import Demo

REFRESH = 2.0  # seconds
PLAIN_EVERY = 10.0  # seconds between lines when the output is no terminal
GROWS_EVERY = 15.0  # seconds between entries of the transparency log
KEYS = {"n": "normal", "o": "outage", "b": "slow-burn", "q": "quiet", "t": "tampered"}


def where(demo: Demo) -> list[str]:
    """Where to look, and what was compressed."""
    webhook = demo.webhook.url if demo.webhook is not None else ""
    count = len(demo.stacks[0].slos), len(demo.stacks[0].all_monitors), len(demo.stacks[1].slos)
    offered = demo.offered
    return [
        f"{count[0]} SLOs and {count[1]} monitors of {demo.stacks[0].name} over simulated metrics, "
        f"{count[2]} SLOs over the metrics of these servers themselves.",
        f"Prometheus    {demo.prometheus.url}/alerts  {demo.prometheus.url}/rules  {demo.prometheus.url}/graph",
        f"Alertmanager  {demo.alertmanager.url}/",
        f"Blackbox      {demo.blackbox.url}/",
        f"Simulator     {demo.simulator.url}/metrics",
        f"Webhook       {webhook} (what arrived: {demo.folder / 'webhook.jsonl'})",
        *(() if offered is None else offered.where()),
        f"Time: scraped every {demo.scrape}; rules are evaluated, and alerts grouped, {demo.compress} times as often as "
        "generated. Windows, bounds and results are the generated ones; they cover only the time the demo runs.",
        f"Switch: `.venv/bin/python -m tools.demo mode outage --service signer` ({', '.join(_modes(demo))}).",
        *(
            ()
            if offered is None
            else (f"Promote? (a minute after the start) {offered.gate(demo.prometheus.url)}",)
        ),
    ]


def _modes(demo: Demo) -> list[str]:
    """Real exporters are not told what to find."""
    return [mode for mode in MODES if demo.offered is None or mode != "tampered"]


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


class Stop:
    """Set by Ctrl-C, SIGTERM, and the end of the terminal."""

    def __init__(self) -> None:
        self.set = False
        for heard in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(heard, self._hear)

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        self.set = True


def watch(
    demo: Demo, webhook: Webhook, console: Console, stop: Stop, seconds: float | None, service: str
) -> None:
    """Show the table until told to stop, or until the time is over, or a server ended."""
    end = None if seconds is None else time.monotonic() + seconds
    names = [s.name for s in demo.stacks]
    grown = time.monotonic()
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
            if demo.offered is not None and time.monotonic() - grown >= GROWS_EVERY:
                grown = time.monotonic()
                demo.offered.grow()
            note, view = "", table.View([], [])
            try:
                view = table.read(prometheus, names)
            except QueryError as error:
                note = str(error)
            deliveries = webhook.deliveries()
            if screen is not None:
                screen.update(
                    _screen(demo, view, deliveries, console.size, note, service if keys else ""),
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


def _pause(demo: Demo, stop: Stop, end: float | None, keys: bool, service: str) -> None:
    until = time.monotonic() + REFRESH
    until = until if end is None else min(until, end)
    while not stop.set and time.monotonic() < until:
        key = _pressed() if keys else ""
        wanted = KEYS.get(key, "")
        if wanted in _modes(demo):
            with contextlib.suppress(DemoError):
                switch(demo.simulator.url, wanted, service if wanted in ("outage", "slow-burn") else "")
            return
        if key == "x":
            stop.set = True
        time.sleep(0.1)


def _screen(
    demo: Demo, view: table.View, deliveries: list[Delivery], size: ConsoleDimensions, note: str, service: str
) -> Group:
    head = [Text(line, overflow="ellipsis", no_wrap=True) for line in where(demo)[1:]]
    folded = 0
    if demo.offered is not None:
        head[-1] = Text(where(demo)[-1], overflow="fold")  # to be copied whole
        folded = len(head[-1].plain) // size.width
    last = deliveries[-3:]
    foot = [Text(told(d), style="red" if d.status == "firing" else "green") for d in last]
    if view.monitors:
        foot.insert(0, Text(f"Monitors firing: {', '.join(view.monitors)}", style="yellow"))
    if note:
        foot.insert(0, Text(note, style="yellow"))
    if not deliveries:
        foot.append(Text("Nothing has arrived at the webhook yet.", style="dim"))
    if service:
        tampered = " · t tampered" if demo.offered is None else ""
        keys = f"keys: n normal · o outage of {service} · b slow burn of {service} · q quiet night{tampered} · x end"
        foot.append(Text(keys, style="reverse"))
    room = max(3, size.height - len(head) - folded - 8 - 3 * len(last) - (len(foot) - len(last)))
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
