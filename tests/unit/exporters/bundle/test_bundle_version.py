"""Versions are read as the services and the manifests write them."""

from __future__ import annotations

import pytest

from exporters.bundle.version import Version


@pytest.mark.parametrize(
    ("text", "core", "suffix", "calendar"),
    [
        ("2.4.1", "2.4.1", "", ""),
        ("v2.4.1", "2.4.1", "", ""),
        ("2.4.1-edge.3", "2.4.1", "edge.3", ""),
        ("2.4.1 (2027.06)", "2.4.1", "", "2027.06"),
        ("2.4.1-edge+abc.1 (2027.06)", "2.4.1", "edge", "2027.06"),
        ("2025.09.2-airgap", "2025.09.2", "airgap", ""),
    ],
)
def test_a_version_has_a_core_a_suffix_and_perhaps_a_calendar_tag(
    text: str, core: str, suffix: str, calendar: str
) -> None:
    """Build metadata says nothing about compatibility and is dropped."""
    found = Version.parse(text)
    assert (found.core, found.suffix, found.calendar) == (core, suffix, calendar)


@pytest.mark.parametrize("text", ["", "2.4", "latest", "2.4.x", "2.4.1 (2027.13)", "2.4.1\n\n-x", "9" * 400])
def test_what_is_no_version_is_refused_with_the_form(text: str) -> None:
    """The sentence shows how to write one."""
    with pytest.raises(ValueError, match="is no version: write MAJOR"):
        Version.parse(text)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("2.4.1", "2.4.9", 0),
        ("2.4.1", "2.5.0", 1),
        ("2.6.0", "2.4.1", 2),
        ("2.9.0", "3.0.0", None),
        ("2025.12.0", "2026.01.0", 1),
        ("2025.09.2", "2025.11.0", 2),
        ("2.4.1", "2025.09.2", None),
    ],
)
def test_minor_versions_are_counted_within_a_major(one: str, other: str, apart: int | None) -> None:
    """A calendar's months run on over the year's end; a major version is another world."""
    assert Version.parse(one).minors_from(Version.parse(other)) == apart
