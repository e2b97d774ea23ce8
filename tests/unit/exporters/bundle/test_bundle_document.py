"""Documents of unknown origin are read within bounds, and a refusal names the place."""

from __future__ import annotations

import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.bundle.document import LARGEST, json_span, read
from exporters.outcome import Refused


def refusal(data: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read(data, "release.yaml")
    assert caught.value.reason == "malformed"
    return caught.value.detail


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"a: &a [x]\nb: *a", "release.yaml, line 1: anchors and aliases are not read"),
        (b"b: *a", "release.yaml, line 1: anchors and aliases are not read"),
        (b"x: y\na: !!python/name:os.system x", "release.yaml, line 2: tags are not read"),
        (b"a: 1\na: 2", "release.yaml, line 2: the key 'a' is there twice"),
        (b"? [a]\n: b", "release.yaml, line 1: a key is no text"),
        (b"--- a\n--- b", "release.yaml holds more than one YAML document"),
        (b"", "release.yaml is empty"),
        (b"# nothing\n", "release.yaml is empty"),
        (b"a: \xff", "release.yaml is not UTF-8 (byte 3)"),
        (b"\xef\xbb\xbfa: 1", "release.yaml begins with a byte order mark: it is written without one"),
        (b"[" * 200_000, "release.yaml is nested more than 16 levels deep"),
        (b'{"a":' * 200_000, "release.yaml is nested more than 16 levels deep"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "release.yaml is nested more than 16 levels deep"),
        (b'{"a":1,"a":2}', "release.yaml is not valid JSON: the key 'a' is there twice"),
        (b'{"a":NaN}', "release.yaml is not valid JSON: NaN is no JSON number"),
        (b"[" + b"1, " * 100_000 + b"]", "release.yaml has more than 50000 parts"),
        (b" " * (LARGEST + 1), f"release.yaml has {LARGEST + 1} bytes; at most {LARGEST} are read"),
    ],
)  # fmt: skip
def test_hostile_documents_are_refused_in_one_sentence(data: bytes, sentence: str) -> None:
    """Anchors, tags, duplicate keys, depth, size and encoding."""
    assert refusal(data) == sentence


def test_an_alias_bomb_is_refused_before_it_is_expanded() -> None:
    """Ten levels of ten: 10^10 scalars if anyone built them."""
    lines = [b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 10)]
    began = time.process_time()
    refusal(b"\n".join(lines))
    assert time.process_time() - began < 1


def test_scalars_of_yaml_are_text() -> None:
    """2027.10 is a month, not a number that lost its zero; a date stays as it was written."""
    content = read(b"calendar: 2027.10\ndate: 2027-06-20\non: yes\n", "x").content
    assert content == {"calendar": "2027.10", "date": "2027-06-20", "on": "yes"}


@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=40))
def test_a_span_holds_the_value_without_its_quotes(before: str) -> None:
    """Whatever characters came before it, in plain, single-quoted and double-quoted style."""
    comment = "# " + "".join(c for c in before if c.isprintable()) + "\n"
    for written in ("abc", "'abc'", '"abc"'):
        document = read(f"{comment}é: {written}\n".encode(), "x")
        start, end = document.spans[("é",)]
        assert document.text[start:end] == "abc"


def test_the_digest_without_a_value_counts_every_other_byte() -> None:
    """It is what sha256sum says of the file with the value blanked."""
    document = read(b'a: 1\nsha: "abc"  # trailing\r\n', "x")
    blanked = b'a: 1\nsha: ""  # trailing\r\n'
    assert document.digest_without(*document.spans[("sha",)]) == hashlib.sha256(blanked).hexdigest()


def test_a_member_of_json_is_found_once_or_not_at_all() -> None:
    """Twice, it would be open which of the two is meant."""
    one = read(b'{"manifest_digest" : "abc"}', "x")
    span = json_span(one, "manifest_digest")
    assert span is not None
    assert one.text[slice(*span)] == "abc"
    two = read(b'{"a":{"manifest_digest":"x"},"manifest_digest":"y"}', "x")
    assert json_span(two, "manifest_digest") is None
