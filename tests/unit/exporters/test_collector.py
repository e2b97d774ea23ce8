"""Series that are absent until set, and bytes that prometheus_client would have written."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from exporters import metrics as m
from exporters.collector import Instruments


def rendered(instruments: Instruments) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = parse(instruments.render(False).decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def test_a_gauge_is_absent_until_it_is_set() -> None:
    """With and without labels: a 0 that nobody measured would be a verdict."""
    instruments = Instruments(m.COSIGN)
    assert [
        key for key in rendered(instruments) if key[0].startswith("cosign_") and not key[0].endswith("_total")
    ] == []
    instruments.set(m.ROOT_DRIFT, 0)
    assert rendered(instruments)[("cosign_trusted_root_drift", ())] == 0


def test_counters_of_closed_sets_start_at_zero() -> None:
    """increase() sees the first failure of each reason."""
    found = rendered(Instruments(m.COSIGN))
    failures = [key for key in found if key[0] == m.CHECK_FAILURES.name]
    errors = [key for key in found if key[0] == m.CHECK_ERRORS.name]
    assert len(failures) == len(m.CHECKS) * len(m.FAILURE_REASONS)
    assert len(errors) == len(m.CHECKS) * len(m.ERROR_REASONS)
    assert set(found.values()) == {0.0}


def test_a_counter_of_a_target_starts_when_its_subject_says_so() -> None:
    """By counting nothing."""
    instruments = Instruments(m.REKOR)
    assert instruments.value(m.PROBES, log="a", operation="entry") is None
    instruments.inc(m.PROBES, 0, log="a", operation="entry")
    assert instruments.value(m.PROBES, log="a", operation="entry") == 0


def filled() -> Instruments:
    instruments = Instruments(m.ALL)
    for number, component in enumerate(("plain", 'quote"back\\slash', "line\nbreak", "ünï", "")):
        instruments.set(m.IMAGE_VERIFIED, number % 2, component=component, check="sbom")
        instruments.set(m.IMAGE_LAST_CHECK, 1795514400.123 + number, component=component, check="sbom")
    for value in (0.01, 0.05, 0.0500001, 3, 30, 31, 1e9):
        instruments.observe(m.CHECK_DURATION, value, check="sbom")
        instruments.observe(m.WRITE_DURATION, value, log="a")
    instruments.inc(m.CHECK_ERRORS, 3, check="sbom", reason="timeout")
    for value in (float("inf"), float("-inf"), float("nan"), 1e20, 1e-9, -0.0):
        instruments.set(m.TREE_SIZE, value, log="a", shard=str(value))
    return instruments


def test_the_text_is_what_prometheus_client_writes() -> None:
    """Byte by byte, in both formats: escaping, numbers, buckets, units."""
    registry = CollectorRegistry()
    registry.register(filled())
    instruments = filled()
    assert instruments.render(False) == generate_latest(registry)
    assert instruments.render(True) + b"# EOF\n" == openmetrics(registry)  # type: ignore[no-untyped-call]


def test_both_formats_are_read_back() -> None:
    """By prometheus_client's strict OpenMetrics parser too."""
    text = filled().render(True).decode() + "# EOF\n"
    families = {family.name for family in parse_openmetrics(text)}
    assert {metric.name.removesuffix("_total") for metric in m.ALL} == families


@given(st.text())
def test_no_label_value_breaks_a_scrape(value: str) -> None:
    """Targets are named by manifests, which others write."""
    instruments = Instruments(m.COSIGN)
    instruments.set(m.IMAGE_VERIFIED, 1, component=value, check="sbom")
    (labels,) = [dict(key[1]) for key in rendered(instruments) if key[0] == m.IMAGE_VERIFIED.name]
    assert labels["component"] == value


def test_a_lone_surrogate_is_replaced() -> None:
    """JSON can carry one; UTF-8 cannot."""
    instruments = Instruments(m.COSIGN)
    instruments.set(m.IMAGE_VERIFIED, 1, component="\ud800", check="sbom")
    assert b'component="?"' in instruments.render(False)
    assert instruments.value(m.IMAGE_VERIFIED, component="\ud800", check="sbom") == 1


def test_a_target_that_is_gone_takes_its_series_along() -> None:
    """Its own, of every metric that names it; nothing else, and no counter over all targets."""
    instruments = Instruments(m.COSIGN)
    for component in ("a", "sbom"):
        instruments.set(m.IMAGE_VERIFIED, 1, component=component, check="sbom")
        instruments.set(m.IMAGE_INFO, 1, component=component, repository="r", digest="d")
    instruments.forget("a")
    assert instruments.value(m.IMAGE_VERIFIED, component="a", check="sbom") is None
    assert instruments.value(m.IMAGE_INFO, component="a", repository="r", digest="d") is None
    assert instruments.value(m.IMAGE_VERIFIED, component="sbom", check="sbom") == 1
    instruments.forget("sbom")  # also the name of a check
    assert instruments.value(m.CHECKS_TOTAL, check="sbom") == 0


def test_one_series_is_removed_by_its_labels() -> None:
    """A digest that was replaced; none is no error."""
    instruments = Instruments(m.COSIGN)
    instruments.set(m.IMAGE_INFO, 1, component="a", repository="r", digest="old")
    instruments.set(m.IMAGE_INFO, 1, component="a", repository="r", digest="new")
    for _ in range(2):
        instruments.remove(m.IMAGE_INFO, component="a", repository="r", digest="old")
    assert [key for key in rendered(instruments) if key[0] == m.IMAGE_INFO.name] == [
        ("cosign_image_info", (("component", "a"), ("digest", "new"), ("repository", "r")))
    ]


def test_series_are_found_by_some_of_their_labels() -> None:
    """What a former configuration left behind."""
    instruments = Instruments(m.COSIGN)
    for component, digest in (("a", "old"), ("b", "other")):
        instruments.set(m.IMAGE_INFO, 1, component=component, repository="r", digest=digest)
    assert instruments.series(m.IMAGE_INFO, component="a") == [
        {"component": "a", "repository": "r", "digest": "old"}
    ]
    assert len(instruments.series(m.IMAGE_INFO)) == 2
    assert instruments.series(m.IMAGE_INFO, component="c") == []


def test_misuse_is_an_error() -> None:
    """Wrong labels, wrong kind, a counter that would fall."""
    instruments = Instruments(m.COSIGN)
    with pytest.raises(ValueError, match=r"has the labels \(component, check\), not \(component\)"):
        instruments.set(m.IMAGE_VERIFIED, 1, component="a")
    with pytest.raises(ValueError, match="is a gauge, not a counter"):
        instruments.inc(m.IMAGE_VERIFIED, component="a", check="sbom")
    with pytest.raises(ValueError, match="never falls"):
        instruments.inc(m.CHECKS_TOTAL, -1, check="sbom")


def test_nothing_is_rendered_twice() -> None:
    """While nothing changes it is the same object; a change is seen at once."""
    instruments = filled()
    first = instruments.render(False)
    assert instruments.render(False) is first
    instruments.set(m.ROOT_DRIFT, 1)
    assert b"cosign_trusted_root_drift 1.0\n" in instruments.render(False)


def test_threads_lose_no_count() -> None:
    """While others render."""
    instruments = Instruments(m.COSIGN)
    count = lambda: [instruments.inc(m.CHECKS_TOTAL, check="sbom") for _ in range(5000)]  # noqa: E731
    workers = [threading.Thread(target=count) for _ in range(4)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        instruments.render(True)
    for worker in workers:
        worker.join()
    assert instruments.value(m.CHECKS_TOTAL, check="sbom") == 20_000
