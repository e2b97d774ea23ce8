"""The configuration of `slo-exporter rekor`: which logs, which keys, where the state is kept."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from exporters.config import Common, LocalFile, Seconds, Section, Url
from exporters.outcome import CouldNotCheck
from exporters.rekor.checkpoint import LogKey, parse, trusted_keys
from exporters.rekor.log import Wanted

LEAST_WRITE_INTERVAL = 300.0  # seconds: entries are public and stay for ever

# It is a label, and the name of a file.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
# Of a signed note's key name; a log's own may also hold a path.
Origin = Annotated[str, StringConstraints(pattern=r"^[^\s+]+$", max_length=255)]


class Trusted(Section):
    """Where the keys of a log come from; all sources that are given count."""

    origin: Origin
    """The log's name in its checkpoints: the first line, for Rekor v1 without the number of the tree."""
    keys: tuple[str, ...] = ()
    """Public keys in PEM."""
    key_files: tuple[LocalFile, ...] = ()
    """Files with a public key in PEM, read anew for each check."""
    trusted_root: LocalFile | None = None
    """A Sigstore trusted root; its logs whose baseUrl, without the scheme, is the origin. Read for each check."""

    @field_validator("keys")
    @classmethod
    def _readable(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for text in keys:
            LogKey.from_pem(text)
        return keys

    @model_validator(mode="after")
    def _some_key(self) -> Trusted:
        if not self.keys and not self.key_files and self.trusted_root is None:
            raise ValueError("has no key to verify checkpoints with: give keys, key_files or trusted_root")
        return self

    def read_keys(self) -> Sequence[LogKey]:
        """Raises `CouldNotCheck("trusted_root")` when a file cannot be used."""
        found = [LogKey.from_pem(text) for text in self.keys]
        for file in self.key_files:
            try:
                found.append(LogKey.from_pem(file.read_text(encoding="utf-8")))
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                raise CouldNotCheck("trusted_root", f"cannot use {file} as a public key: {why}") from None
        if self.trusted_root is not None:
            found += trusted_keys(self.trusted_root, self.origin)
        return found


class Shard(Trusted):
    """A closed shard of a Rekor v2 log: each has an address, an origin and usually a key of its own."""

    url: Url
    """Where its files are, as for the log."""


class Mirror(Section):
    """Another address of the same log: what it shows is compared with what the log showed."""

    name: Name
    """The value of the label `log` in the mirror's metrics."""
    url: Url
    """Its address, as for the log."""


class EntryToFind(Section):
    """Which entry is looked for in every check; without this, the newest one."""

    index: int | None = Field(None, ge=0)
    """Its log index: over all shards in Rekor v1, in its own shard in v2."""
    uuid: str | None = Field(None, pattern=r"^([0-9a-fA-F]{16})?[0-9a-fA-F]{64}$")
    """Its UUID (Rekor v1)."""
    bundle: LocalFile | None = None
    """A Sigstore bundle: the entry of this log that it carries, which must be the one in the log."""
    shard: Origin | None = None
    """The origin of the closed shard that holds it (Rekor v2)."""

    @model_validator(mode="after")
    def _one(self) -> EntryToFind:
        if sum(x is not None for x in (self.index, self.uuid, self.bundle)) != 1:
            raise ValueError("takes one of index, uuid and bundle")
        return self


class WriteProbe(Section):
    """Write an entry now and then, and measure how long it takes until it is in the log.

    EVERY ENTRY IS PUBLIC AND PERMANENT, and it cannot be taken back: use this with a log of your own only.
    """

    every: Seconds = Field(3600.0, ge=LEAST_WRITE_INTERVAL)
    """Time between two writes, at least 5 minutes, over restarts too."""
    url: Url | None = None
    """Where entries are written, when not at the log's url: without /api/v2 or /api/v1."""
    within: Seconds = Field(60.0, ge=1, le=300)
    """An entry that is not in the log after this time counts as a failure."""


class Log(Trusted):
    """One transparency log."""

    name: Name
    """The value of the label `log`."""
    kind: Literal["v1", "v2"]
    """Rekor v1 (an API) or Rekor v2 (tiles)."""
    url: Url
    """v1: the server. v2: where `checkpoint` and `tile/` are found, such as https://log2026-1.example/api/v2."""
    mirrors: tuple[Mirror, ...] = ()
    """Other addresses of the same log."""
    shards: tuple[Shard, ...] = ()
    """Closed shards of a v2 log, which are still checked; a v1 log lists its own."""
    entry: EntryToFind | None = None
    """The entry to look for."""
    write: WriteProbe | None = None
    """The write probe; off unless it is configured."""

    @model_validator(mode="after")
    def _fits_kind(self) -> Log:
        if self.kind == "v1" and self.shards:
            raise ValueError("a v1 log lists its own shards: remove shards")
        if self.kind == "v2" and self.entry is not None and self.entry.uuid is not None:
            raise ValueError("a v2 log knows no UUIDs: give the entry's index")
        origins = [self.origin, *(shard.origin for shard in self.shards)]
        if len(set(origins)) < len(origins):
            raise ValueError("two shards have one origin")
        if self.entry is not None and self.entry.shard not in (None, *origins):
            raise ValueError(f"no shard has the entry's origin {self.entry.shard}")
        return self

    def wanted(self) -> Wanted:
        """The entry to look for. Raises `CouldNotCheck("internal")` when the bundle cannot be used."""
        if self.entry is None:
            return Wanted()
        if self.entry.bundle is None:
            return Wanted(self.entry.index, self.entry.uuid or "", origin=self.entry.shard or self.origin)
        try:
            material = json.loads(self.entry.bundle.read_bytes())["verificationMaterial"]
            for logged in material["tlogEntries"]:
                note = logged["inclusionProof"]["checkpoint"]["envelope"]
                origin = parse(note.encode()).origin
                if origin.partition(" - ")[0] in (self.origin, *(s.origin for s in self.shards)):
                    body = base64.b64decode(logged["canonicalizedBody"], validate=True)
                    index = int(logged.get("logIndex", 0))  # proto3 leaves zeroes out
                    return Wanted(index, body=body, origin=origin.partition(" - ")[0])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, CouldNotCheck):
            raise CouldNotCheck(
                "internal", f"cannot find an entry with its checkpoint in {self.entry.bundle}"
            ) from None
        raise CouldNotCheck("internal", f"{self.entry.bundle} has no entry of {self.origin}")


class Config(Common):
    """Transparency logs to watch."""

    state: LocalFile
    """The folder that keeps the last verified checkpoints: on a volume that outlives the pod, of one exporter."""
    logs: tuple[Log, ...] = Field(min_length=1)
    """The logs."""

    @field_validator("logs")
    @classmethod
    def _names(cls, logs: tuple[Log, ...]) -> tuple[Log, ...]:
        names = [name for log in logs for name in (log.name, *(m.name for m in log.mirrors))]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two logs or mirrors have the name {name}: give each its own")
        return logs

    @model_validator(mode="after")
    def _writes_end(self) -> Config:
        for log in self.logs:
            if log.write is not None and log.write.within >= self.check_timeout:
                raise ValueError(
                    f"the write probe of {log.name} may wait for {log.write.within:g} s, and a check is given up "
                    f"after {self.check_timeout:g} s: lower write.within or raise check_timeout"
                )
        return self
