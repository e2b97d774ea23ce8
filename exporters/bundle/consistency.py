"""Does a manifest agree with itself, with its channel, and with what was valid there before?"""

from __future__ import annotations

from datetime import UTC, datetime

from exporters.bundle.history import Seen
from exporters.bundle.manifest import Release
from exporters.outcome import CouldNotCheck, Outcome, Refused, Verdict

AHEAD = 86_400.0  # seconds by which a manifest's date may be ahead of our clock
SUFFIXED = ("edge", "airgap")  # public versions of these channels carry the channel as a suffix


def checksum(release: Release) -> None:
    """Raises Refused when the manifest gives a digest of itself, and has another."""
    if release.checksum != release.computed:
        raise Refused(
            "checksum",
            f"the manifest says its sha256 is {release.checksum[:12]}…, and it is {release.computed[:12]}…: "
            "it was changed after it was sealed",
        )


def channel(release: Release, name: str) -> None:
    """Raises Refused unless the manifest is of this channel, by its key and by its version's suffix."""
    said = release.channel or ("" if name.casefold() in SUFFIXED else name)
    if said.casefold() != name.casefold():
        what = f"names the channel {said!r}" if said else "has a version without the channel's suffix"
        raise Refused("channel", f"the manifest {what}, and it was found on {name!r}")
    suffix = release.version.suffix.partition(".")[0]
    if suffix and suffix.casefold() != name.casefold():
        raise Refused("channel", f"version {release.version} is not one of channel {name!r}")


def calendar(release: Release) -> None:
    """Raises Refused unless date, calendar tag and version are of one month.

    A calendar version (2025.09.2) may be patched in later months; it cannot be out before its own.
    """
    if release.version.calendar not in ("", release.calendar):
        raise Refused(
            "calendar",
            f"the version says {release.version.calendar}, and the calendar tag {release.calendar}",
        )
    if release.date is None or not release.calendar:
        return
    month = release.date.strftime("%Y.%m")
    wrong = month < release.calendar if release.public else month != release.calendar
    if wrong:
        raise Refused(
            "calendar",
            f"the manifest is dated {_day(release.date)}, and its calendar tag is {release.calendar}",
        )


def order(release: Release, newest: tuple[str, Seen] | None, withdrawn: frozenset[str], now: float) -> None:
    """Raises Refused for a manifest that is older than one that was valid: taken back, or replayed.

    CouldNotCheck when it is dated in our future: then either its date or our clock is wrong.
    """
    if release.date is not None and release.date.timestamp() > now + AHEAD:
        raise CouldNotCheck(
            "internal",
            f"the manifest is dated {_day(release.date)}, and this exporter's clock says "
            f"{_day(datetime.fromtimestamp(now, UTC))}: one of the two is wrong",
        )
    if release.seen_as in withdrawn:
        raise Refused(
            "rollback", f"version {release.seen_as} was taken back, and it is still what the channel offers"
        )
    if newest is None:
        return
    version, before = newest
    if seen(release, "", now).age < before.age:
        when = "" if before.date is None else f", dated {_day(datetime.fromtimestamp(before.date, UTC))},"
        raise Refused(
            "rollback",
            f"version {release.version} is older than {version}{when} which was valid here before: an old manifest "
            f"is replayed, or {version} was taken back; then list it under the channel's `withdrawn`",
        )


def seen(release: Release, sha256: str, now: float) -> Seen:
    """What the history keeps of a valid manifest."""
    date = None if release.date is None else release.date.timestamp()
    return Seen(now, date, sha256, release.version.order)


def cadence(release: Release, late_after: float, now: float) -> Outcome:
    """Is the release younger than the channel's cadence allows?"""
    if release.date is None:
        return Outcome(Verdict.UNKNOWN, "internal", "the manifest has no date")
    days = (now - release.date.timestamp()) / 86400
    said = f"version {release.version} is {days:.0f} days old; the channel's next release is due within {late_after / 86400:.0f}"
    if days * 86400 > late_after:
        return Outcome(Verdict.FAILED, "late", said)
    return Outcome(Verdict.VERIFIED, "", said)


def soak(version: str, stable: Seen, edge: dict[str, Seen], days: float, edge_name: str) -> Outcome:
    """Was the version long enough on edge when it came here?

    What the exporter did not watch it does not judge: without it, a short or missing soak may be our own gap.
    """
    watched = min((s.first for s in edge.values()), default=None)
    need = days * 86400
    found = edge.get(version)
    if found is not None:
        lasted = stable.first - found.first
        said = f"version {version} was on {edge_name} for {max(lasted, 0) / 86400:.1f} days; {days:g} are asked for"
        if lasted >= need:
            return Outcome(Verdict.VERIFIED, "", said)
        if found.first == watched:
            return Outcome(Verdict.UNKNOWN, "internal", f"{said}, but the exporter has not watched longer")
        return Outcome(Verdict.FAILED, "soak", said)
    if watched is None or stable.first - watched < need:
        return Outcome(
            Verdict.UNKNOWN,
            "internal",
            f"the exporter has not watched {edge_name} for {days:g} days before it came",
        )
    return Outcome(Verdict.FAILED, "soak", f"version {version} was never seen on {edge_name}")


def _day(when: datetime) -> str:
    return when.strftime("%Y-%m-%d")
