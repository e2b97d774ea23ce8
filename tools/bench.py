"""Measure, beside Sloth on equivalent specs in the same run: the compiler's time, peak memory and marginal cost; the
samples that the rules of one SLO read an hour. Then load 1,000 SLOs into a real Prometheus and compare each group's
evaluation time with its interval, and judge 500 SLOs by the gate."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from slo.quantity import Duration
from tools import bench_gate

ROOT = Path(__file__).resolve().parent.parent
SIZES = (10, 100, 1000, 5000)
PER_SERVICE = 10

COMPILE = """
import sys
from pathlib import Path
from slo import SLO, Ratio, Service, Stack
from slo import tree
from slo.compile import compile_stack
count, out = int(sys.argv[1]), Path(sys.argv[2])
services = [Service(name=f"service-{n}", owner=f"team-{n % 20}") for n in range(-(-count // 10))]
slos = [
    SLO(
        service=services[n // 10], name=f"availability-{n % 10}", objective="99.9%", window="30d",
        sli=Ratio(bad=f'http_requests_total{{job="service-{n // 10}",route="r{n % 10}",code=~"5.."}}',
                  total=f'http_requests_total{{job="service-{n // 10}",route="r{n % 10}"}}'),
        description="Requests are answered without a server error.",
    )
    for n in range(count)
]
tree.write(out, compile_stack(Stack(name="bench", slos=slos)))
"""


def sloth_spec(count: int) -> str:
    """The same SLOs for Sloth: one document a service."""
    documents = []
    for service in range(-(-count // PER_SERVICE)):
        text = f'version: "prometheus/v1"\nservice: "service-{service}"\nslos:\n'
        for n in range(min(PER_SERVICE, count - service * PER_SERVICE)):
            selector = f'job="service-{service}",route="r{n}"'
            text += (
                f'  - name: "availability-{n}"\n    objective: 99.9\n    sli:\n      events:\n'
                f"        error_query: 'sum(rate(http_requests_total{{{selector},code=~\"5..\"}}[{{{{.window}}}}]))'\n"
                f"        total_query: 'sum(rate(http_requests_total{{{selector}}}[{{{{.window}}}}]))'\n"
                f"    alerting:\n      name: A\n      page_alert:\n        labels: {{severity: critical}}\n"
                f"      ticket_alert:\n        labels: {{severity: warning}}\n"
            )
        documents.append(text)
    return "---\n".join(documents)


def run(command: list[str]) -> tuple[float, float]:
    """(wall seconds, peak MiB) of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(
            f"bench: {command[0]} failed: {process.stderr.read().decode()[-500:] if process.stderr else ''}"
        )
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def compile_times(folder: Path, sloth: str | None, repeat: int) -> None:
    print(
        f"{'SLOs':>6} {'slo: s':>8} {'MiB':>6} {'ms/SLO':>7}   {'sloth: s':>8} {'MiB':>6}   ratio (slo : sloth)"
    )
    before = (0, 0.0)
    for size in SIZES:
        ours, theirs = [], []
        spec = folder / "spec.yaml"
        spec.write_text(sloth_spec(size))
        for n in range(repeat):
            out = folder / f"slo-{size}-{n}"
            ours.append(run([sys.executable, "-c", COMPILE, str(size), str(out)]))
            shutil.rmtree(out)
            if sloth:
                theirs.append(run([sloth, "generate", "-i", str(spec), "-o", str(folder / "sloth.yaml")]))
        wall, memory = median(t for t, _ in ours), max(m for _, m in ours)
        marginal = (wall - before[1]) / (size - before[0]) * 1000
        line = f"{size:>6} {wall:>8.2f} {memory:>6.0f} {marginal:>7.2f}   "
        if theirs:
            other = median(t for t, _ in theirs)
            line += f"{other:>8.2f} {max(m for _, m in theirs):>6.0f}   {wall / other:.2f}"
        print(line, flush=True)
        before = (size, wall)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def ask(port: int, path: str, **params: str) -> Any:
    url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(params)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]


def evaluation(folder: Path, prometheus: str, size: int, seconds: int) -> None:
    """Rules of `size` SLOs in a real server for a while; the slowest groups against their intervals."""
    out = folder / "rules"
    run([sys.executable, "-c", COMPILE, str(size), str(out)])
    exposition = folder / "metrics"
    lines = ["# TYPE http_requests_total counter"]
    lines += [
        f'http_requests_total{{job="service-{n // 10}",route="r{n % 10}",code="{code}"}} {n}'
        for n in range(size)
        for code in ("200", "500")
    ]
    exposition.write_text("\n".join(lines) + "\n")
    target, port = free_port(), free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: 30s}}\nrule_files: ['{out}/prometheus/*.yaml']\nscrape_configs:\n"
        f"  - job_name: bench\n    honor_labels: true\n    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
        f"  - job_name: prometheus\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(target), "--directory", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    main = subprocess.Popen(
        [prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(seconds)
        groups = ask(port, "/api/v1/rules")["groups"]
        rules = sum(len(g["rules"]) for g in groups)
        busy = sum(g["evaluationTime"] / g["interval"] for g in groups)
        print(f"\n{size} SLOs in a real Prometheus for {seconds} s: {len(groups)} groups, {rules} rules")
        print(f"evaluation takes {busy:.3f} of one core in all; the groups that take most of their interval:")
        for g in sorted(groups, key=lambda g: -g["evaluationTime"] / g["interval"])[:8]:
            print(
                f"  {g['name']:<40} {len(g['rules']):>3} rules  {g['evaluationTime'] * 1000:>8.1f} ms of {g['interval']:.0f} s"
            )
        missed = ask(port, "/api/v1/query", query="sum(prometheus_rule_group_iterations_missed_total)")[
            "result"
        ]
        print(f"missed iterations: {missed[0]['value'][1] if missed else 'unknown'}")
    finally:
        for process in (main, server):
            process.terminate()
            process.wait(timeout=30)


RAW = 200  # series of one SLO in the comparison of query cost
END = 1_790_000_000 // 120 * 120  # the moment everything is asked at
DAY = 86400


def history() -> str:
    """OpenMetrics text: three days of raw series, and as much of each recorded series as the rules reach back."""
    out = ["# TYPE http_requests counter"]
    for n in range(RAW):
        code = "500" if n % 10 == 0 else "200"
        labels = f'{{job="service-0",route="r0",code="{code}",pod="{n}"}}'
        out += [
            f"http_requests_total{labels} {(t - END + 4 * DAY) // 30} {t}"
            for t in range(END - 3 * DAY - 3600, END + 1, 30)
        ]
    ours, theirs = (
        '{stack="bench",slo="service-0-availability-0"}',
        '{sloth_service="service-0",sloth_slo="availability-0",sloth_id="service-0-availability-0"}',
    )
    recorded = [
        (f"slo:total:rate{ours}", 3 * DAY + 3600, 30), (f"slo:errors:rate{ours}", 3 * DAY + 3600, 30),
        (f"slo:total:hourly_rate{ours}", 600, 120), (f"slo:errors:hourly_rate{ours}", 600, 120),
        (f'slo:total:ledger{ours[:-1]},month="9",quarter="3"}}', 30 * DAY, 120),
        (f'slo:errors:ledger{ours[:-1]},month="9",quarter="3"}}', 30 * DAY, 120),
        (f'slo:error_budget:ratio{ours[:-1]},window="30d",policy="30d-events",service="s",owner="o",tier="2"}}', 600, 120),
        ('slo:tick:seconds{stack="bench"}', 3600, 30), ('slo:clock:seconds{stack="bench"}', 3600, 30),
        ('slo:ledger_tick:seconds{stack="bench"}', 3600, 120), ('slo:ledger_clock:seconds{stack="bench"}', 3600, 120),
        ('slo:hour_weight:ratio{stack="bench"}', 600, 30),
        (f'slo:error_ratio:period{ours[:-1]},window="30d"}}', 600, 120),
        (f'slo:period_measured:ratio{ours[:-1]},window="30d"}}', 600, 120),
        (f'slo:error_budget:events{ours[:-1]},window="30d"}}', 600, 120),
        *((f"slo:error_ratio:{w}{ours}", 600, 30) for w in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")),
        *((f"slo:bad_events:{w}{ours}", 600, 30) for w in ("1h", "6h", "1d", "3d")),
        (f"slo:sli_error:ratio_rate5m{theirs[:-1]},sloth_window=\"5m\"}}", 30 * DAY, 30),
        *((f'slo:sli_error:ratio_rate{w}{theirs[:-1]},sloth_window="{w}"}}', 600, 30) for w in ("30m", "1h", "2h", "6h", "1d", "3d", "30d")),
        (f"slo:objective:ratio{theirs}", 600, 30), (f"slo:error_budget:ratio{theirs}", 600, 30),
        (f"slo:current_burn_rate:ratio{theirs}", 600, 30), (f"slo:period_burn_rate:ratio{theirs}", 600, 30),
    ]  # fmt: skip
    names: dict[str, list[str]] = {}
    for series, back, step in recorded:
        lines = names.setdefault(series.partition("{")[0], [])
        lines += [f"{series} 1 {t}" for t in range(END - back, END + 1, step)]
    for name, lines in names.items():
        out += [f"# TYPE {name} gauge", *lines]
    return "\n".join(out) + "\n# EOF\n"


def samples_an_hour(port: int, files: list[Path], default: int) -> tuple[int, int]:
    """(samples of one evaluation of every rule, samples an hour at each group's interval)."""
    once = hourly = 0
    for file in files:
        for group in yaml.safe_load(file.read_text())["groups"]:
            interval = int(Duration.parse(group["interval"]).seconds) if "interval" in group else default
            for rule in group["rules"]:
                answer = ask(port, "/api/v1/query", query=rule["expr"], time=str(END), stats="all")
                read = answer["stats"]["samples"]["totalQueryableSamples"]
                once += read
                hourly += read * 3600 // interval
    return once, hourly


def query_cost(folder: Path, prometheus: str, promtool: str, sloth: str) -> None:
    """The samples that one SLO's rules read, ours and Sloth's, counted by a real Prometheus."""
    out, data = folder / "one", folder / "blocks"
    run([sys.executable, "-c", COMPILE, "1", str(out)])
    (folder / "one.yaml").write_text(sloth_spec(1))
    run([sloth, "generate", "-i", str(folder / "one.yaml"), "-o", str(folder / "one-sloth.yaml")])
    text = folder / "history.txt"
    text.write_text(history())
    run(
        [
            promtool,
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--max-block-duration=1536h",
            str(text),
            str(data),
        ]
    )
    port, config = free_port(), folder / "empty.yml"
    config.write_text("global: {}\n")
    server = subprocess.Popen(
        [prometheus, f"--config.file={config}", f"--storage.tsdb.path={data}", "--storage.tsdb.retention.time=50y", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(10)
        ours = samples_an_hour(port, sorted((out / "prometheus").glob("*.yaml")), 30)
        theirs = samples_an_hour(port, [folder / "one-sloth.yaml"], 30)
    finally:
        server.terminate()
        server.wait(timeout=30)
    print(f"\none SLO, 99.9 % over 30d, {RAW} raw series scraped every 30 s: samples read")
    print(f"  {'':<7} {'an evaluation of every rule':>28} {'an hour':>15}")
    for name, (once, hourly) in (("slo", ours), ("sloth", theirs)):
        print(f"  {name:<7} {once:>28,} {hourly:>15,}")
    print(f"  sloth reads {theirs[1] / ours[1]:.0f} times as much an hour")


def main() -> None:
    sloth = shutil.which("sloth")
    if sloth is None:
        print(
            "sloth is not installed, so there is nothing to compare with: tools/peers sloth", file=sys.stderr
        )
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        raise SystemExit("bench: prometheus is not installed: run tools/peers debian")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="slo-bench-") as name:
        compile_times(Path(name), sloth, repeat=3)
        promtool = shutil.which("promtool")
        if sloth and promtool:
            query_cost(Path(name), prometheus, promtool, sloth)
        gate = Path(name) / "gate"
        gate.mkdir()
        bench_gate.measure(gate, 500)
        evaluation(Path(name), prometheus, 1000, seconds=int(os.environ.get("BENCH_SECONDS", "300")))


if __name__ == "__main__":
    main()
