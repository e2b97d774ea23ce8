"""Where an SLO stands, read from records: exact, worst first, and unknown where nothing is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs

import httpx
import pytest

from slo import SLO, Ratio, Service, Stack, Uptime, Window, names
from slo.prometheus import Prometheus
from slo.status import Status, percent, period_end, period_seconds, period_start, read

NOW = datetime(2026, 11, 16, tzinfo=UTC)  # half of a month of 30 days
api = Service(name="api", owner="web")
availability = SLO(service=api, name="availability", objective="99.9%", window="month",
                   sli=Ratio(bad="bad_total", total="all_total"), description="Answers.")  # fmt: skip
uptime = SLO(service=api, name="uptime", objective="99%", window="30d",
             sli=Uptime(gauge="up"), description="Is up.", labels={"plane": "data"})  # fmt: skip
regional = SLO(service=api, name="regional", objective="99%", window="30d", by=["region"],
               sli=Ratio(bad="bad_total", total="all_total"), description="Answers.")  # fmt: skip
STACK = Stack(name="web", slos=[availability, uptime, regional])


def record(name: str, value: str, slo: str, **labels: str) -> dict[str, object]:
    return {"metric": {"__name__": name, "stack": "web", "slo": slo, **labels}, "value": [0, value]}


def whole(slo: str, ratio: str, remaining: str, burn: str = "0", **labels: str) -> list[dict[str, object]]:
    return [
        record(names.PERIOD_RATIO, ratio, slo, window="month", **labels),
        record(names.REMAINING, remaining, slo, window="month", **labels),
        record(names.MEASURED, "0.5", slo, window="month", **labels),
        record(names.error_ratio("1h"), burn, slo, **labels),
    ]


def statuses(
    recorded: list[dict[str, object]], age: str = "30", alerts: list[Mapping[str, str]] | None = None
) -> list[Status]:
    """What is read when the server holds these records."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        query = parse_qs(request.content.decode())["query"][0]
        asked.append(query)
        if query.startswith("time()"):
            rows = [
                {"metric": {k: v for k, v in r["metric"].items() if k != "__name__"}, "value": [0, age]}  # type: ignore[attr-defined]
                for r in recorded
                if r["metric"]["__name__"] == names.REMAINING  # type: ignore[index]
            ]
        elif query.startswith("ALERTS"):
            rows = [{"metric": dict(a), "value": [0, "1"]} for a in alerts or []]
        else:
            rows = recorded
        body = {"status": "success", "data": {"resultType": "vector", "result": rows}}
        return httpx.Response(200, text=json.dumps(body))

    with Prometheus("http://prometheus", httpx.MockTransport(answer)) as prometheus:
        found = read(prometheus, STACK, NOW.timestamp())
    assert len(asked) == 3
    return found


def named(found: list[Status], name: str) -> Status:
    return next(s for s in found if s.name == name)


def test_an_slo_without_records_is_unknown_and_says_so() -> None:
    """Never 100 %."""
    found = statuses([])
    assert [s.slo for s in found] == ["api-availability", "api-regional", "api-uptime"]
    assert all(s.remaining is None and not s.known for s in found)
    assert all("nothing is recorded" in s.notes[0] for s in found)


def test_numbers_are_what_the_rules_recorded() -> None:
    """Exactly as printed; the indicator is what is not bad."""
    status = named(statuses(whole("api-availability", "0.0005", "0.75", "0.0144")), "api-availability")
    assert (status.indicator, status.remaining) == (Decimal("0.9995"), Decimal("0.75"))
    assert status.burn["1h"] == Decimal("14.4")
    assert status.known


def test_a_nan_measures_nothing() -> None:
    """It reads as unknown."""
    status = named(statuses(whole("api-availability", "NaN", "NaN")), "api-availability")
    assert status.remaining is None


def test_an_old_record_is_not_known() -> None:
    """Rules that stopped say nothing about now."""
    status = named(statuses(whole("api-availability", "0", "1"), age="601"), "api-availability")
    assert not status.known
    assert "601s old" in status.notes[0]


def test_groups_are_apart_and_labels_of_the_definition_are_no_group() -> None:
    """One status a group."""
    found = statuses(
        [*whole("api-regional", "0", "1", region="eu"), *whole("api-regional", "0.1", "-9", region="us"),
         *whole("api-uptime", "0", "1", plane="data")]
    )  # fmt: skip
    assert {s.name for s in found} == {
        "api-regional [region=eu]", "api-regional [region=us]", "api-uptime", "api-availability"
    }  # fmt: skip


def test_what_pages_comes_first_then_what_is_not_known_then_the_emptiest_budget() -> None:
    """The order of attention."""
    found = statuses(
        [*whole("api-uptime", "0", "1"), *whole("api-regional", "0.1", "-9")],
        alerts=[{"alertname": names.PAGE, "slo": "api-uptime", "stack": "web"}],
    )
    assert [s.slo for s in found] == ["api-uptime", "api-availability", "api-regional"]


def test_an_alert_without_the_group_concerns_every_group() -> None:
    """Better one row too many in red."""
    found = statuses(
        [*whole("api-regional", "0", "1", region="eu"), *whole("api-regional", "0", "1", region="us")],
        alerts=[{"alertname": names.TICKET, "slo": "api-regional"}],
    )
    assert [s.firing for s in found if s.slo == "api-regional"] == [(names.TICKET,), (names.TICKET,)]


def test_a_gap_is_told() -> None:
    """A quarter of the period has data at its half: half of it is missing."""
    recorded = whole("api-availability", "0", "1")
    recorded[2] = record(names.MEASURED, "0.25", "api-availability", window="month")
    status = named(statuses(recorded), "api-availability")
    assert status.missing(NOW) == Decimal("0.5")
    assert "50% of this period so far was not measured" in status.notes[0]


def test_rules_of_another_version_are_told() -> None:
    """What Prometheus promises is not what the definitions say."""
    recorded = [*whole("api-availability", "0", "1"), record(names.BUDGET, "0.01", "api-availability")]
    assert "promise 99%, the definitions 99.9%" in named(statuses(recorded), "api-availability").notes[-1]


def status(window: str, remaining: str, burn: str, unit: str = "seconds") -> Status:
    return Status(
        slo="x", group=(), service="s", owner="o", tier="1", window=Window.parse(window), unit=unit,
        budget=Decimal("0.001"), ratio=Decimal(0), remaining=Decimal(remaining), burn={"1h": Decimal(burn)},
    )  # fmt: skip


EXHAUSTED = {
    "a page's burn spends a whole 30d budget in 50 hours": ("30d", "1", "14.4", 30 * 86400 / Decimal("14.4")),
    "half of a budget lasts half as long": ("30d", "0.5", "14.4", 15 * 86400 / Decimal("14.4")),
    "a burn of 1 gives back as much as it takes": ("30d", "0.5", "1", None),
    "nothing burns": ("month", "0.5", "0", None),
    "it is spent": ("month", "-0.1", "0", Decimal(0)),
    "a month ends before": ("month", "1", "1.9", None),
    "a month does not end before": ("month", "0.5", "2", Decimal(30 * 86400) / 4),
}


@pytest.mark.parametrize("name", EXHAUSTED)
def test_the_time_to_exhaustion(name: str) -> None:
    """remaining × period / burn, unless the budget outlives its period."""
    window, remaining, burn, expected = EXHAUSTED[name]
    assert status(window, remaining, burn).exhaustion(NOW) == expected


def test_a_budget_left_is_also_a_time() -> None:
    """Half of 0.1 % of November."""
    assert status("month", "0.5", "0").seconds_left(NOW) == Decimal("1296")


MONTHS = {
    ("month", "2027-02-28T23:59:59+00:00"): ("2027-02-01", "2027-03-01", 28),
    ("month", "2028-02-01T00:00:00+00:00"): ("2028-02-01", "2028-03-01", 29),
    ("month", "2026-12-31T12:00:00+00:00"): ("2026-12-01", "2027-01-01", 31),
    ("quarter", "2026-12-31T12:00:00+00:00"): ("2026-10-01", "2027-01-01", 92),
    ("quarter", "2027-01-01T00:00:00+00:00"): ("2027-01-01", "2027-04-01", 90),
}


@pytest.mark.parametrize(("window", "at"), MONTHS)
def test_calendar_periods_have_their_true_length(window: str, at: str) -> None:
    """UTC, leap years included."""
    start, end, days = MONTHS[window, at]
    moment, parsed = datetime.fromisoformat(at), Window.parse(window)
    assert period_start(parsed, moment) == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert period_end(parsed, moment) == datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert period_seconds(parsed, moment) == days * 86400


@pytest.mark.parametrize(
    ("share", "text"),
    [("0.99999999", "99.999%"), ("1", "100%"), ("-0.00001", "-0.001%"), ("0.5", "50%"), ("0", "0%")],
)
def test_a_percentage_is_rounded_down(share: str, text: str) -> None:
    """A budget that is touched is not whole."""
    assert percent(Decimal(share)) == text
