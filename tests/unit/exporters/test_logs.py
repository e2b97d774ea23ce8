"""Log lines: one a record, readable by machines, and without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The logging of the suite comes back."""
    root, ours = logging.getLogger(), logging.getLogger("exporters")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def logged(form: Literal["text", "json"], level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, form, stream)
    return stream


SECRETS = [
    "Authorization: Bearer hunter2hunter2",
    "{'authorization': 'Basic aHVudGVyMjpodW50ZXIy'}",
    "GET https://user:hunter2@registry.example/v2/ failed",
    "https://user:hunter2hunter2@registry.example",
    "token=hunter2&scope=pull",
    '{"access_token": "hunter2", "expires_in": 300}',
    "X-Amz-Signature=hunter2",
    "password: hunter2",
    "REGISTRY_PASSWORD=hunter2",
    "client_secret=hunter2",
    "Set-Cookie: session=hunter2",
    "api_key=hunter2",
    "sent eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.aHVudGVyMg",
    "DPoP eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.aHVudGVyMg",
]


@pytest.mark.parametrize("text", SECRETS)
def test_what_looks_like_a_credential_is_not_logged(text: str) -> None:
    """In the message, in its arguments, in extra fields and in exceptions, in both formats."""
    for form in ("text", "json"):
        stream = logged(form)  # type: ignore[arg-type]
        log = logging.getLogger("exporters.test")
        log.info("%s", text, extra={"place": text})
        try:
            raise ValueError(text)
        except ValueError:
            log.exception("it failed")
        said = stream.getvalue()
        assert "***" in said
        for secret in ("hunter2", "aHVudGVyMj", "eyJ"):
            assert secret not in said


@pytest.mark.parametrize(
    "text",
    [
        "the server wants basic authentication",
        "signature of scanner: failed (bad_signature): the signature is not of this image",
        "the bearer token: expired a minute ago",
        "https://registry.example/v2/scanner@sha256:aabb",
        "https://rekor.example/api/v1/log",
    ],
)
def test_prose_is_left_as_it_is(text: str) -> None:
    """A log that hides what it says helps nobody."""
    assert logs.redact(text) == text


def test_a_json_line_is_an_object_with_its_fields() -> None:
    """Time in UTC, level, logger, message, and what was given as extra."""
    stream = logged("json")
    logging.getLogger("exporters.loop").warning("cycle of %d", 3, extra={"target": "a", "seconds": 0.25})
    said = json.loads(stream.getvalue())
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "warning",
        "logger": "exporters.loop",
        "message": "cycle of 3",
        "target": "a",
        "seconds": 0.25,
    }


def test_an_exception_is_one_line_with_its_place() -> None:
    """Its type, its message, and where it came from."""
    stream = logged("json")
    try:
        raise KeyError("a\nb")
    except KeyError:
        logging.getLogger("exporters").exception("a bug")
    assert stream.getvalue().count("\n") == 1
    said = json.loads(stream.getvalue())
    assert said["error"].startswith("KeyError: 'a\\nb' at test_logs.py:")


@given(st.text())
def test_no_text_breaks_a_line_or_the_terminal(text: str) -> None:
    """A server's words can forge no second line and move no cursor."""
    for form in ("text", "json"):
        stream = logged(form)  # type: ignore[arg-type]
        logging.getLogger("exporters.test").info("%s", text)
        line = stream.getvalue()
        assert line.count("\n") == 1
        assert line[:-1].isprintable()


def test_a_message_has_an_end() -> None:
    """A megabyte of a server's answer is cut."""
    stream = logged("text")
    logging.getLogger("exporters.test").info("x" * 1_000_000)
    assert len(stream.getvalue()) < logs.LONGEST + 100


def test_libraries_are_heard_from_warning_on() -> None:
    """httpcore logs headers at debug."""
    stream = logged("text", "debug")
    logging.getLogger("httpcore.http11").debug("send_request_headers")
    logging.getLogger("exporters.test").debug("ours")
    logging.getLogger("asyncio").warning("theirs")
    assert [line.split(" ", 2)[1:] for line in stream.getvalue().splitlines()] == [
        ["DEBUG", "ours"],
        ["WARNING", "theirs"],
    ]


def test_levels_hold() -> None:
    """Nothing below."""
    stream = logged("text", "warning")
    logging.getLogger("exporters.test").info("quiet")
    assert stream.getvalue() == ""
