"""Recording rules: what they are named, how they are grouped, and what may change without losing history."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
import yaml
from given import API, monitor, slo, stack
from hypothesis import given
from hypothesis import strategies as st

from alerts.recording import Timing, le_pattern
from alerts.rules import policies, rule_files
from slo import (
    SLO,
    AlertPolicy,
    Composite,
    Duration,
    Freshness,
    Latency,
    Ratio,
    Stack,
    TimeSlice,
    Uptime,
    names,
    promql,
)
from slo.artifact import RULES_PER_GROUP, Group, Rule
from slo.compile import Config, compile_stack

TIMING = Timing.of(Duration.of(30))
RATIO = Ratio(bad='requests_total{code=~"5.."}', total="requests_total")
KINDS = {
    "bad": RATIO,
    "good": Ratio(good='requests_total{code="200"}', total="requests_total"),
    "sides": Ratio(good="hits_total", bad="misses_total"),
    "promql": Ratio(bad="sum(rate(a_total[$window])) - sum(rate(b_total[$window]))", total="a_total"),
    "latency": Latency(histogram="request_seconds", below="300ms"),
    "native": Latency(histogram="request_seconds", below="300ms", native=True),
    "uptime": Uptime(gauge="up", quorum="50%"),
    "slice": TimeSlice(condition='latency{quantile="0.95"} < 0.3'),
    "fresh": Freshness(timestamp="backup_timestamp_seconds", within="24h"),
    "worst": Composite(parts={"a": RATIO, "b": Uptime(gauge="up")}),
    "weighted": Composite(parts={"a": RATIO, "b": RATIO}, weights={"a": "0.4", "b": "0.6"}),
}


def groups(s: Stack, timing: Timing = TIMING) -> list[Group]:
    return [g for f in rule_files(s, timing) for g in f.groups]


def rules(s: Stack, timing: Timing = TIMING) -> list[Rule]:
    return [r for g in groups(s, timing) for r in g.rules]


def every_kind(**changes: object) -> Stack:
    return stack(*(slo(name, sli=sli, **changes) for name, sli in KINDS.items()))


@pytest.mark.parametrize("window", ["7d", "28d", "30d", "90d", "month", "quarter"])
def test_no_record_is_named_after_base_or_period(window: str) -> None:
    """A change of scrape interval or of the SLO's window must not orphan history: both are labels."""
    known = {r.record for r in rules(every_kind(window="30d")) if r.record}
    for scrape in ("15s", "30s", "60s"):
        found = {
            r.record for r in rules(every_kind(window=window), Timing.of(Duration.parse(scrape))) if r.record
        }
        assert found <= known | {names.ELAPSED}
        assert not {n for n in found if re.search(r"(30d|90d|28d|7d|month|quarter|rate[0-9])", n)}


def recorded(s: Stack) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Identities that rules give to what they record, apart from the budget series and its copy."""
    apart = (names.BUDGET,)
    return {(r.record, frozenset(r.labels.items())) for r in rules(s) if r.record and r.record not in apart}


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": {"journey": "checkout"}},
        {"service": API.model_copy(update={"owner": "team-new"})},
        {"service": API.model_copy(update={"tier": 0})},
        {"objective": "99.5%"},
        {"description": "Something else."},
    ],
    ids=["labels", "owner", "tier", "objective", "description"],
)
def test_a_changed_label_changes_no_recorded_series(changed: dict[str, object]) -> None:
    """Owner, tier, objective and labels live on the budget series alone, so history goes on."""
    assert recorded(stack(slo(**changed))) == recorded(stack(slo()))


def test_the_budget_series_carries_all_that_is_known() -> None:
    """Dashboards and alerts reach everything by one join."""
    (budget,) = [r for r in rules(stack(slo(labels={"journey": "checkout"}))) if r.record == names.BUDGET]
    assert budget.labels == {
        "stack": "demo", "slo": "api-availability", "service": "api", "owner": "team-api", "tier": "2",
        "window": "30d", "unit": "events", "base": "2m", "policy": "30d-events", "journey": "checkout",
    }  # fmt: skip
    assert budget.expr == "vector(0.001)"


@pytest.mark.parametrize("count", [1, 9, 10, 11, 25])
def test_a_group_holds_at_most_twenty_rules(count: int) -> None:
    """Mimir's default limit, for any number of SLOs and monitors."""
    slos = [
        slo(f"s{n}", sli=sli, window=w)
        for n in range(count)
        for sli, w in [list(zip(KINDS.values(), ["7d", "month", "quarter"] * 4, strict=False))[n % 11]]
    ]
    s = stack(*slos, monitors=[monitor(f"Monitor{n}", no_data="1h") for n in range(3 * count)])
    sizes = [len(g.rules) for g in groups(s)]
    assert min(sizes) > 0
    assert max(sizes) <= RULES_PER_GROUP


def test_groups_have_names_of_their_own() -> None:
    """Prometheus refuses a file with two groups of a name; the whole stack has none twice."""
    found = [g.name for g in groups(stack(*(slo(f"s{n}", sli=RATIO) for n in range(40))))]
    assert len(found) == len(set(found))


def test_errors_follow_their_total_in_its_group() -> None:
    """The errors read the total recorded just before; another group would evaluate at another time."""
    pairs = {names.ERRORS: names.TOTAL, names.ERRORS_HOURLY: names.TOTAL_HOURLY}
    seen = 0
    for g in groups(
        stack(*(slo(f"s{n}", sli=sli) for n in range(3) for sli in [KINDS["worst"]]), *every_kind().slos)
    ):
        for before, rule in zip((None, *g.rules), g.rules, strict=False):
            if rule.record in pairs:
                assert before is not None
                assert (before.record, before.labels) == (pairs[rule.record], rule.labels)
                seen += 1
    assert seen > 20


@pytest.mark.parametrize("name", KINDS)
def test_every_expression_parses(name: str) -> None:
    """Each kind compiles to PromQL, grouped and not."""
    for by in ([], ["zone"]):
        for rule in rules(stack(slo(sli=KINDS[name], by=by))):
            promql.parse(rule.expr)


@pytest.mark.parametrize("name", KINDS)
def test_grouping_labels_are_kept_at_every_step(name: str) -> None:
    """Every aggregation on raw series keeps them, the zero fallback too."""
    base = [
        r for r in rules(stack(slo(sli=KINDS[name], by=["zone"]))) if r.record in (names.TOTAL, names.ERRORS)
    ]
    for rule in base:
        for aggregation in re.findall(r"\b(sum|group|avg|min|max)\b( by \(zone\))?", rule.expr):
            if "a_total" not in rule.expr:  # PromQL of the user's own aggregates as it likes
                assert aggregation[1], rule.expr


def test_the_zero_fallback_is_summed() -> None:
    """`or 0 * total` unwrapped would collide with the errors once they exist."""
    (errors,) = [r for r in rules(stack()) if r.record == names.ERRORS]
    assert errors.expr.endswith('or\n0 * sum(slo:total:rate{stack="demo",slo="api-availability"})')


def test_two_stacks_share_one_prometheus() -> None:
    """Every read of a record and every write names the stack."""
    for rule in rules(every_kind()):
        reads = [s for s in promql.selectors(rule.expr) if s.metric.startswith("slo:")]
        assert all("stack" in {m.name for m in s.matchers} for s in reads), rule.expr
        if rule.record and not reads:
            assert rule.labels["stack"] == "demo"


@pytest.mark.parametrize(
    ("bound", "matching", "others"),
    [
        ("1", ["1", "1.0"], ["10", "1.05", "0.1", "11"]),
        ("0.3", ["0.3"], ["0.30", "003", "3"]),
        ("300", ["300", "300.0"], ["3000", "300.5"]),
        ("0.00005", ["0.00005", "5e-05"], ["5e-06", "5"]),
        ("0.000025", ["0.000025", "2.5e-05"], ["25e-06"]),
        ("1800000", ["1800000", "1800000.0", "1.8e+06"], ["1.8e+07"]),
    ],
)
def test_a_bucket_is_matched_however_it_is_written(
    bound: str, matching: list[str], others: list[str]
) -> None:
    """Prometheus 2 keeps le="1", Prometheus 3 writes le="1.0", Go writes le="5e-05"."""
    pattern = le_pattern(Decimal(bound))
    assert all(re.fullmatch(pattern, m) for m in matching)
    assert not any(re.fullmatch(pattern, o) for o in others)


@pytest.mark.parametrize(
    ("scrape", "base", "interval"),
    [("10s", 60, 30), ("15s", 60, 30), ("20s", 120, 30), ("30s", 120, 30), ("45s", 180, 60), ("60s", 300, 60), ("75s", 300, 60)],
)  # fmt: skip
def test_timing_follows_from_the_scrape_interval(scrape: str, base: int, interval: int) -> None:
    """Four scrapes to a base window, in whole minutes, at most 5m."""
    timing = Timing.of(Duration.parse(scrape))
    assert (timing.base, timing.interval) == (base, interval)


def test_a_scrape_interval_too_long_for_the_shortest_window_is_refused() -> None:
    """With the longest that works."""
    with pytest.raises(ValueError, match="use 75s or less"):
        Timing.of(Duration.parse("2m"))


@pytest.mark.parametrize(
    ("scrape", "read"), [("15s", "[4m]"), ("30s", "[3m]"), ("45s", "[2m]"), ("60s", "slo:errors:rate{")]
)
def test_the_five_minute_ratio_spans_five_minutes(scrape: str, read: str) -> None:
    """Base and rest make 5m."""
    timing = Timing.of(Duration.parse(scrape))
    (ratio,) = [r for r in rules(stack(), timing) if r.record == "slo:error_ratio:5m"]
    assert read in ratio.expr


def test_no_rule_a_consumer_reads_is_slower_than_two_minutes() -> None:
    """A slower one would leave the five-minute lookback no room."""
    assert {g.interval for g in groups(every_kind())} <= {"30s", "1m", "2m"}


def test_windows_no_tier_looks_at_are_not_recorded() -> None:
    """Without tickets nobody needs three days."""
    found = {r.record for r in rules(stack(slo(alerts=AlertPolicy(off=["ticket"]))))}
    assert "slo:error_ratio:3d" not in found
    assert "slo:error_ratio:1h" in found


def test_shared_rules_do_not_grow_with_the_number_of_slos() -> None:
    """One rule computes a window for every SLO."""

    def shared(count: int) -> int:
        s = stack(*(slo(f"s{n}") for n in range(count)))
        return sum(len(g.rules) for f in rule_files(s, TIMING) if f.name == "demo-shared" for g in f.groups)

    assert shared(1) == shared(30)


def test_an_slo_costs_five_rules() -> None:
    """Two base pairs and its budget; all else is shared."""

    def count(n: int) -> int:
        return len(rules(stack(*(slo(f"s{i}") for i in range(n)))))

    assert count(31) - count(30) == 5


def test_time_based_indicators_have_no_hourly_pair() -> None:
    """A moment that nobody looked at cannot be looked at later."""
    assert names.TOTAL_HOURLY not in {r.record for r in rules(stack(slo(sli=Uptime(gauge="up"))))}


NOISE = re.compile(r"\d\.\d*(0{9}|9{9})\d*")  # our objectives have six decimals at most
PERCENTS = st.integers(1, 999_999).map(lambda n: f"{Decimal(n) / 10_000:f}%")


@given(PERCENTS, st.sampled_from(["7d", "28d", "30d", "90d", "month", "quarter"]))
def test_no_number_carries_the_noise_of_a_float(objective: str, window: str) -> None:
    """0.0010000000000000009 appears in a peer's published examples; here every number is a decimal."""
    outputs = compile_stack(stack(slo(objective=objective, window=window)))
    shown = [o for o in outputs if not o.path.startswith("tests/")]
    assert not [found[0] for o in shown for found in NOISE.finditer(o.text)]


@given(PERCENTS)
def test_the_budget_is_printed_exactly(objective: str) -> None:
    """The rule holds 1 - objective, digit for digit."""
    s: SLO = slo(objective=objective)
    (budget,) = [r for r in rules(stack(s)) if r.record == names.BUDGET]
    assert Decimal(budget.expr.removeprefix("vector(").removesuffix(")")) == 1 - Decimal(objective[:-1]) / 100


def test_weights_are_printed_as_decimals() -> None:
    """However they were written."""
    parts = {"a": RATIO, "b": RATIO}
    s = stack(slo(sli=Composite(parts=parts, weights={"a": "5e-1", "b": "0.50"})))
    assert [r.expr for r in rules(s) if r.record == names.WEIGHT] == ["vector(0.5)", "vector(0.5)"]


def test_operator_objects_hold_the_same_groups() -> None:
    """PrometheusRule objects and plain files say the same."""
    outputs = {o.path: o.text for o in compile_stack(every_kind(), Config())}
    plain = {p: t for p, t in outputs.items() if p.startswith("prometheus/")}
    assert plain
    for path, text in plain.items():
        operator = yaml.safe_load(outputs[path.replace("prometheus/", "prometheus-operator/")])
        assert (operator["apiVersion"], operator["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert operator["spec"] == yaml.safe_load(text)


def test_slos_of_one_policy_share_their_alerts() -> None:
    """Forty SLOs of the same window have two burn-rate alerts."""
    s = stack(*(slo(f"s{n}", objective=o) for n in range(20) for o in ["99%"]))
    assert len({p.id for p in policies(s, TIMING).values()}) == 1
    assert [r.alert for r in rules(s) if r.alert in (names.PAGE, names.TICKET)] == [names.PAGE, names.TICKET]
