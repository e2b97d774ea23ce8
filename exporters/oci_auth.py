"""How a client shows a registry who it is: Basic, and the token flow of docker's registries, with DPoP.

https://distribution.github.io/distribution/spec/auth/token/. A registry's challenge is its own word: the address
it names for tokens would be sent our password, so it must be the registry's host or one that is configured.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from exporters.fetch import Fetcher, Response
from exporters.oci_config import Credentials, Registries, Source
from exporters.oci_dpop import Prover
from exporters.oci_types import parse_object
from exporters.outcome import CouldNotCheck

LEAST_LIFE = 60.0  # seconds: what the specification says of a token that does not say how long it lives
EARLY = 0.2  # of a token's life before its end it is replaced
LARGEST_TOKEN = 64 << 10
# Possessive, and only from the beginning of a word: a long header costs no more than its length.
_PARAMETER = re.compile(r'(?<![A-Za-z_-])([A-Za-z_-]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s,"]++))')
_SCHEME = re.compile(r"(?:^|,)\s*+([A-Za-z][A-Za-z0-9-]*+)(?:\s++(?=[A-Za-z_-]++\s*+=)|\s*+(?=,|$))")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way that a registry offers."""

    scheme: str  # lower case
    realm: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    bound: bool  # to our key
    until: float  # monotonic


class Authorizer:
    """Knows, after the first challenge, what each registry wants, and renews tokens in time. Thread-safe."""

    def __init__(
        self,
        fetcher: Fetcher,
        registries: Registries,
        clock: Callable[[], float] = time.monotonic,
        prover: Prover | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._registries = registries
        self._clock = clock
        self._prover = Prover() if prover is None else prover
        self._challenges: dict[str, Challenge] = {}
        self._tokens: dict[tuple[str, str], Token] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def headers(self, source: Source, method: str, url: str) -> dict[str, str]:
        """What to send with a request. Empty until the registry has said what it wants."""
        challenge = self._challenges.get(source.registry)
        if challenge is None:
            return {}
        if challenge.scheme == "basic":
            credentials = self._registries.credentials(source.registry)
            if credentials is None or credentials.refresh:
                raise CouldNotCheck(
                    "unauthorized", f"{source.host} wants a user and password, and none is configured"
                )
            return {"Authorization": credentials.basic}
        token = self._token(source, challenge)
        if not token.bound:
            return {"Authorization": f"Bearer {token.value}"}
        proof = self._prover.proof(method, url, token.value)
        return {"Authorization": f"DPoP {token.value}", "DPoP": proof}

    def challenged(self, source: Source, response: Response, sent: Mapping[str, str]) -> bool:
        """Learn from a 401; is it worth asking again? Raises CouldNotCheck when its challenge cannot be met."""
        fresh = self._prover.learn(response.url, response.headers)
        challenge = _choose(_parse(response.headers.get_list("www-authenticate")))
        if challenge is None:
            raise CouldNotCheck(
                "unauthorized", f"{source.host} refuses, and offers no way that is known here"
            )
        if challenge.scheme != "basic":
            self._judge_realm(source, challenge.realm)
        with self._lock:
            known = self._challenges.get(source.registry)
            self._challenges[source.registry] = challenge
            if sent and not fresh:
                self._tokens.pop((source.registry, source.name), None)
        return fresh or not sent or known != challenge or challenge.scheme != "basic"

    def _token(self, source: Source, challenge: Challenge) -> Token:
        key = (source.registry, source.name)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:  # the other threads wait for the one that asks
            token = self._tokens.get(key)
            if token is None or token.until <= self._clock():
                token = self._tokens[key] = self._ask(source, challenge)
            return token

    def _ask(self, source: Source, challenge: Challenge) -> Token:
        credentials = self._registries.credentials(source.registry)
        asked = {"service": challenge.service, "scope": f"repository:{source.name}:pull"}
        bind = challenge.scheme == "dpop"
        for _ in range(3):  # the proof that it may ask for, and the nonce in it
            began = self._clock()
            response = self._exchange(challenge, asked, credentials, bind)
            if response.status == 200:
                return _read_token(response, source.host, began)
            fresh = self._prover.learn(response.url, response.headers)
            if not fresh and (bind or not _wants_proof(response)):
                break
            bind = True
        raise CouldNotCheck(
            "unauthorized",
            f"the token service of {source.host} answered {response.status}"
            + ("" if credentials else "; no credentials are configured"),
        )

    def _exchange(
        self, challenge: Challenge, asked: dict[str, str], credentials: Credentials | None, bind: bool
    ) -> Response:
        """One request for a token: GET with Basic, or POST with a refresh token."""
        refresh = credentials is not None and credentials.refresh
        method = "POST" if refresh else "GET"
        headers = {}
        if bind:
            headers["DPoP"] = self._prover.proof(method, challenge.realm)
        if credentials is None or not refresh:
            headers |= {} if credentials is None else {"Authorization": credentials.basic}
            url = f"{challenge.realm}{'&' if '?' in challenge.realm else '?'}{urlencode(asked)}"
            return self._fetcher.request("GET", url, headers=headers, max_bytes=LARGEST_TOKEN)
        form = asked | {
            "grant_type": "refresh_token",
            "refresh_token": credentials.password,
            "client_id": "stella-slo-exporter",
        }
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self._fetcher.request(
            "POST",
            challenge.realm,
            headers=headers,
            content=urlencode(form).encode(),
            max_bytes=LARGEST_TOKEN,
        )

    def _judge_realm(self, source: Source, realm: str) -> None:
        parts = urlsplit(realm)
        schemes = ("https", "http") if source.plain_http else ("https",)
        allowed = (source.host, *self._registries.token_hosts(source.registry))
        if parts.scheme not in schemes or parts.username is not None:
            raise CouldNotCheck(
                "unauthorized", f"{source.host} sends for tokens to {realm[:100]!r}, which is no https URL"
            )
        if parts.netloc not in allowed:
            raise CouldNotCheck(
                "unauthorized",
                f"{source.host} sends for tokens to {parts.netloc}, another host, which would get its password: "
                "list it in the registry's token_hosts if it may",
            )


def _wants_proof(response: Response) -> bool:
    """Does a token service refuse because the request was not bound to a key (RFC 9449 §5, §8)?"""
    said = response.headers.get("www-authenticate", "").encode() + response.body[:1000]
    return response.status in (400, 401) and b"dpop" in said.lower()


def _read_token(response: Response, host: str, began: float) -> Token:
    answer = parse_object(response.body, f"the token of {host}")
    value = answer.get("token") or answer.get("access_token")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise CouldNotCheck("bad_response", f"the token service of {host} answered without a token")
    life = answer.get("expires_in")
    if not isinstance(life, int | float) or isinstance(life, bool) or not 0 < life < 1e9:
        life = LEAST_LIFE
    kind = answer.get("token_type")
    bound = isinstance(kind, str) and kind.lower() == "dpop"
    return Token(value, bound, began + life * (1 - EARLY))


def _choose(challenges: list[Challenge]) -> Challenge | None:
    """The strongest that is known here."""
    for scheme in ("dpop", "bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme and (challenge.realm or scheme == "basic"):
                return challenge
    return None


def _parse(values: list[str]) -> list[Challenge]:
    """RFC 9110 §11.6.1: several headers, or several challenges in one."""
    found = []
    for value in values:
        starts = list(_SCHEME.finditer(value[:8192]))
        for this, following in zip(starts, [*starts, None][1:], strict=True):
            text = value[this.end() : following.start() if following else 8192]
            pairs = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(text)}
            found.append(Challenge(this[1].lower(), pairs.get("realm", ""), pairs.get("service", "")))
    return found
