"""The generated Alertmanager configuration, judged by the real amtool."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from slo import SLO, Ratio, Service, Stack, catalog, names, promql
from slo.compile import compile_stack
from tools.demo import rules
from tools.demo.servers import DemoError, find, write_yaml

TIMEOUT = 60  # seconds for one run of amtool


def _awkward() -> Stack:
    """Owners with capitals, blanks and the same letters: each still has receivers of its own."""
    owners = ("Team A", "team-a", 'quoted "crew"', "supply-chain")
    services = [Service(name=f"service-{n}", owner=owner) for n, owner in enumerate(owners)]
    slos = [
        SLO(
            service=service,
            name="availability",
            objective="99.9%",
            sli=Ratio(bad="bad_total", total="all_total"),
            description="It answers.",
        )
        for service in services
    ]
    return Stack(name="awkward", slos=slos)


STACKS = {"stella-ops": catalog.stack, "awkward": _awkward}


@pytest.fixture(scope="module")
def amtool() -> str:
    """amtool's path; without it there is nothing to judge, and the test fails."""
    try:
        return find("amtool")
    except DemoError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Stack:
    return STACKS[request.param]()


@pytest.fixture
def config(stack: Stack, tmp_path: Path) -> Path:
    """The configuration exactly as it is generated."""
    file = tmp_path / "alertmanager.yaml"
    file.write_text(rules.alertmanager_text(compile_stack(stack)), encoding="utf-8")
    return file


def _run(amtool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([amtool, *arguments], capture_output=True, text=True, check=False, timeout=TIMEOUT)


def _receiver(amtool: str, config: Path, **labels: str) -> str:
    """Who is told about an alert with these labels."""
    given = [f"{name}={promql.quote(value)}" for name, value in labels.items()]
    done = _run(amtool, "config", "routes", "test", f"--config.file={config}", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def _owners(config: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(owner, receiver of each severity) as the configuration's routes have it."""
    for route in yaml.safe_load(config.read_text(encoding="utf-8"))["route"]["routes"]:
        owner = route["matchers"][0].partition("=")[2]
        yield (
            yaml.safe_load(owner),
            {yaml.safe_load(r["matchers"][0].partition("=")[2]): r["receiver"] for r in route["routes"]},
        )


def test_the_generated_configuration_is_valid(amtool: str, config: Path) -> None:
    """amtool check-config accepts the configuration as it is generated, receivers still empty."""
    done = _run(amtool, "check-config", str(config))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_stays_valid_with_receivers_filled_in(
    amtool: str, config: Path, tmp_path: Path
) -> None:
    """A deployment that gives every receiver a webhook has a valid configuration."""
    filled = rules.alertmanager_config([config.read_text(encoding="utf-8")], "http://127.0.0.1:1", 1)
    done = _run(amtool, "check-config", str(write_yaml(tmp_path / "filled.yaml", filled)))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_page_goes_to_its_owners_pager_and_a_ticket_to_its_tracker(
    amtool: str, config: Path, stack: Stack
) -> None:
    """For every owner, severity page reaches page-OWNER and severity ticket reaches ticket-OWNER."""
    told: set[str] = set()
    owners = {s.owner for s in stack.all_services}
    for owner in sorted(owners):
        page = _receiver(amtool, config, alertname=names.PAGE, owner=owner, severity=stack.severities["page"])
        ticket = _receiver(
            amtool, config, alertname=names.TICKET, owner=owner, severity=stack.severities["ticket"]
        )
        assert page.startswith("page-"), f"{owner!r} is paged at {page!r}"
        assert ticket == page.replace("page-", "ticket-", 1), f"{owner!r}: page {page!r}, ticket {ticket!r}"
        told.add(page)
    assert len(told) == len(owners), f"{len(owners)} owners share {len(told)} pagers"


def test_a_plain_owner_is_spelled_in_its_receiver(amtool: str, config: Path, stack: Stack) -> None:
    """The owner supply-chain is paged at page-supply-chain."""
    receiver = _receiver(amtool, config, owner="supply-chain", severity=stack.severities["page"])
    assert receiver == "page-supply-chain"


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_an_unknown_owner_goes_to_the_default(amtool: str, config: Path, severity: str) -> None:
    """An alert whose owner no route knows is not lost: the default receiver gets it."""
    assert _receiver(amtool, config, owner="nobody-we-know", severity=severity) == "default"


def test_an_alert_without_owner_goes_to_the_default(amtool: str, config: Path) -> None:
    """An alert of the measuring itself, which has no owner, reaches the default receiver."""
    assert _receiver(amtool, config, alertname=names.RULES_FAILING, severity="warning") == "default"


def test_a_known_owner_with_another_severity_is_not_paged(amtool: str, config: Path, stack: Stack) -> None:
    """Severity info of a known owner wakes nobody: it falls to the default receiver."""
    receiver = _receiver(amtool, config, owner="supply-chain", severity=stack.severities["info"])
    assert receiver == "default"
