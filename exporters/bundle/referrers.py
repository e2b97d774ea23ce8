"""What refers to an artifact or image, one after another: whoever looks for one good signature stops at it."""

from __future__ import annotations

from collections.abc import Iterator

from exporters.bundle.judge import short
from exporters.oci import Descriptor, Registry, Repository
from exporters.outcome import CouldNotCheck, Problem, Refused

MOST = 64  # of one artifact that are opened


def referrers(
    registry: Registry, repository: Repository, digest: str, problems: list[Problem]
) -> Iterator[Descriptor]:
    """Each once: those of the first source that lists any, then of all, since a mirror may hold a part only.

    Never raises; that a list could not be read, or was not read to its end, is added to `problems`.
    """
    seen: set[str] = set()
    for everywhere in (False, True) if registry.has_mirrors(repository) else (False,):
        try:
            listing = registry.listing(repository, digest, everywhere)
        except CouldNotCheck as error:
            problems.append(error)
            continue
        fresh = [d for d in listing.descriptors if d.digest not in seen]
        opened = fresh[: MOST - len(seen)]
        if len(opened) < len(fresh) or not listing.complete:
            said = f"more manifests refer to {short(digest)} than the {MOST} that are opened"
            problems.append(CouldNotCheck("too_large", said))
        for descriptor in opened:
            seen.add(descriptor.digest)
            yield descriptor


def worst(problems: list[Problem], nothing: Refused) -> Problem:
    """What could not be looked at may be the good one; else the first refusal says why; else there is nothing."""
    unknown = next((p for p in problems if isinstance(p, CouldNotCheck)), None)
    return unknown or next(iter(problems), nothing)
