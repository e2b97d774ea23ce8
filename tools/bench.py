"""Measure the compiler: time, peak memory and marginal cost, beside Sloth on equivalent specs in the same run;
then load 1,000 SLOs into a real Prometheus and compare each group's evaluation time with its interval."""

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
        evaluation(Path(name), prometheus, 1000, seconds=int(os.environ.get("BENCH_SECONDS", "300")))


if __name__ == "__main__":
    main()
