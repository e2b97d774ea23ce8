"""A checkpoint counts only when the log's own key signed it for the log's own origin."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import logkit
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from exporters.outcome import CouldNotCheck, Refused
from exporters.rekor.checkpoint import MAX_BYTES, LogKey, parse, trusted_keys, verify

LOG = logkit.Log().grow(5)
KEYS = (LogKey.from_pem(logkit.pem(LOG.key)),)
V1 = logkit.Log("rekor.example", ec.generate_private_key(ec.SECP256R1()), tree=42).grow(5)
V1_KEYS = (LogKey.from_pem(logkit.pem(V1.key)),)


def reason(raw: bytes, origin: str = LOG.origin, keys: tuple[LogKey, ...] = KEYS) -> str:
    try:
        verify(raw, origin, keys)
    except (CouldNotCheck, Refused) as error:
        return f"{type(error).__name__} {error.reason}"
    return "accepted"


def test_a_checkpoint_says_size_and_root() -> None:
    """Origin, size and root come out of an Ed25519 note; the note itself is kept as evidence."""
    raw = LOG.checkpoint()
    checkpoint = verify(raw, LOG.origin, KEYS)
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (LOG.origin, 5, LOG.root())
    assert checkpoint.note == raw.decode()


def test_a_rekor_v1_checkpoint_names_its_tree() -> None:
    """ECDSA with the key's plain hash as id; the origin line carries the tree's number."""
    checkpoint = verify(V1.checkpoint(), V1.origin, V1_KEYS, tree_id=True)
    assert (checkpoint.origin, checkpoint.size) == ("rekor.example - 42", 5)


@pytest.mark.parametrize("line", ["rekor.example", "rekor.example - ", "rekor.example - 4x", "other - 42"])
def test_a_v1_checkpoint_of_no_tree_is_refused(line: str) -> None:
    """An origin line without a tree's number, or of another log, is not this log's, whoever signed it."""
    text = V1.text().replace("rekor.example - 42", line)
    with pytest.raises(Refused, match="is of the log"):
        verify(logkit.note(text, (V1.key, V1.origin)), V1.origin, V1_KEYS, tree_id=True)


def test_extension_lines_are_kept() -> None:
    """A frozen shard says so in a fourth line."""
    raw = LOG.checkpoint(None, None, "Log frozen — Mon Jan  2 15:04:05 UTC 2026")
    assert verify(raw, LOG.origin, KEYS).extensions == ("Log frozen — Mon Jan  2 15:04:05 UTC 2026",)


def test_signatures_of_others_are_ignored() -> None:
    """A witness's signature and one of a stranger under the log's name change nothing."""
    stranger = ed25519.Ed25519PrivateKey.generate()
    text = LOG.text()
    raw = logkit.note(text, (stranger, "witness.example"), (stranger, LOG.origin), (LOG.key, LOG.origin))
    assert verify(raw, LOG.origin, KEYS).size == 5


@pytest.mark.parametrize("line", range(3))
def test_a_tampered_line_is_a_bad_signature(line: int) -> None:
    """Origin, size and root are each covered by the signature."""
    lines = LOG.checkpoint().decode().split("\n")
    lines[line] = ["log.example/2025", "6", base64.b64encode(b"\1" * 32).decode()][line]
    assert reason("\n".join(lines).encode()) == "Refused bad_signature"


def test_an_added_extension_is_a_bad_signature() -> None:
    """A line slipped in under the root is not signed."""
    lines = LOG.checkpoint().decode().split("\n")
    assert reason("\n".join([*lines[:3], "frozen", *lines[3:]]).encode()) == "Refused bad_signature"


def test_a_tampered_signature_is_a_bad_signature() -> None:
    """One changed bit of the signature's value is enough."""
    head, _, tail = LOG.checkpoint().decode().rpartition(" ")
    value = bytearray(base64.b64decode(tail))
    value[-1] ^= 1
    assert reason(f"{head} {base64.b64encode(value).decode()}\n".encode()) == "Refused bad_signature"


def test_one_bad_signature_under_the_logs_key_id_spoils_a_good_one() -> None:
    """A known key that does not fit is never ignored: the note was tampered with."""
    good, other = LOG.checkpoint().decode(), LOG.checkpoint(4).decode()
    assert reason((good + other.split("\n\n")[1]).encode()) == "Refused bad_signature"


def test_another_key_is_a_bad_signature() -> None:
    """A log that signs with a key it is not configured with is not that log."""
    impostor = logkit.Log(LOG.origin).grow(5)
    assert reason(impostor.checkpoint()) == "Refused bad_signature"


def test_another_origin_is_refused() -> None:
    """The right key under another name, and another origin under the right name and key."""
    assert reason(logkit.Log("log.example/2025", LOG.key).grow(5).checkpoint()) == "Refused bad_signature"
    moved = logkit.note(LOG.text().replace(LOG.origin, "log.example/2025"), (LOG.key, LOG.origin))
    assert reason(moved) == "Refused bad_signature"


def test_an_unsigned_note_is_refused_as_unreadable() -> None:
    """A checkpoint without any signature line has not the form of one."""
    assert reason(LOG.text().encode()) == "CouldNotCheck bad_response"


def signed(text: str) -> bytes:
    return logkit.note(text, (LOG.key, LOG.origin))


ROOT = base64.b64encode(LOG.root()).decode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html><body>please log in</body></html>",
        b"\n\n",
        LOG.checkpoint()[:-1],
        LOG.checkpoint()[:40],
        LOG.checkpoint().replace(b"log.example", b"log\xffexample"),
        LOG.checkpoint().replace(b"\n", b"\r\n"),
        LOG.checkpoint().replace("—".encode(), b"-"),
        LOG.checkpoint()[:-6] + b"!!!!!\n",
        signed("origin\n5\n"),
        signed(f"{LOG.origin}\n05\n{ROOT}\n"),
        signed(f"{LOG.origin}\n-5\n{ROOT}\n"),
        signed(f"{LOG.origin}\n٥\n{ROOT}\n"),
        signed(f"{LOG.origin}\n{2**63}\n{ROOT}\n"),
        signed(f"{LOG.origin}\n{'9' * 5000}\n{ROOT}\n"),
        signed(f"{LOG.origin}\n5\n{ROOT[:-8]}\n"),
        signed(f"{LOG.origin}\n5\n{ROOT} \n"),
        signed(f"{LOG.origin}\n5\n\n{ROOT}\n"),
        signed(f"{LOG.origin}\n0\n{ROOT}\n"),
        LOG.checkpoint() + b"\xe2\x80\x94 x " + base64.b64encode(b"1234") + b"\n",
        (LOG.text() + "\n" + "— a YWFhYWFh\n" * 65).encode(),
    ],
    ids=lambda raw: repr(raw[:24]),
)  # fmt: skip
def test_what_is_no_checkpoint_is_no_verdict(raw: bytes) -> None:
    """An error page, half a note, invalid UTF-8, base64 or sizes: it could not be checked; it is not forged."""
    assert reason(raw) == "CouldNotCheck bad_response"
    with pytest.raises(CouldNotCheck) as caught:
        parse(raw)
    assert caught.value.reason == "bad_response"


def test_an_oversized_note_is_not_read() -> None:
    """A note above the cap is too large, however it is signed."""
    raw = LOG.checkpoint(None, None, "x" * MAX_BYTES)
    assert reason(raw) == "CouldNotCheck too_large"


@given(st.data())
def test_no_changed_byte_is_accepted_as_another_checkpoint(data: st.DataObject) -> None:
    """Whatever byte of a note changes, it is refused, unreadable, or states the very same tree."""
    raw = bytearray(LOG.checkpoint())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    try:
        checkpoint = verify(bytes(raw), LOG.origin, KEYS)
    except (CouldNotCheck, Refused):
        return
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (LOG.origin, 5, LOG.root())


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise_otherwise(raw: bytes) -> None:
    """Random bytes end as one of the two outcomes."""
    assert reason(raw) in ("CouldNotCheck bad_response", "Refused bad_signature")


def test_a_key_of_another_kind_is_refused_in_words() -> None:
    """RSA, and what is no key at all."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(ValueError, match="neither an Ed25519 nor an ECDSA key"):
        LogKey.from_pem(logkit.pem(key))  # type: ignore[arg-type] # on purpose
    with pytest.raises(ValueError, match="no public key in PEM"):
        LogKey.from_pem("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n")


def root_file(tmp_path: Path, *logs: object) -> Path:
    path = tmp_path / "trusted_root.json"
    path.write_text(json.dumps({"tlogs": logs}))
    return path


def tlog(log: logkit.Log, base_url: str) -> dict[str, object]:
    return {"baseUrl": base_url, "publicKey": {"rawBytes": base64.b64encode(logkit.spki(log.key)).decode()}}


def test_keys_come_from_a_trusted_root_by_origin(tmp_path: Path) -> None:
    """The log's own key is taken, and no other log's."""
    path = root_file(tmp_path, tlog(V1, "https://rekor.example"), tlog(LOG, f"https://{LOG.origin}/"))
    assert verify(LOG.checkpoint(), LOG.origin, trusted_keys(path, LOG.origin)).size == 5
    assert reason(LOG.checkpoint(), keys=trusted_keys(path, "rekor.example")) == "Refused bad_signature"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tlogs": [{}]}', '{"tlogs": 1}', "[" * 100_000])
def test_a_broken_trusted_root_is_no_verdict(tmp_path: Path, text: str) -> None:
    """Its outcome is unknown, because of the trusted root."""
    path = tmp_path / "root.json"
    path.write_text(text)
    with pytest.raises(CouldNotCheck) as caught:
        trusted_keys(path, LOG.origin)
    assert caught.value.reason == "trusted_root"


def test_a_trusted_root_without_the_log_is_no_verdict(tmp_path: Path) -> None:
    """The sentence names the origin; so does the one for a missing file name the file."""
    with pytest.raises(CouldNotCheck, match=r"has no log whose baseUrl is log\.example/2026"):
        trusted_keys(root_file(tmp_path, tlog(V1, "https://rekor.example")), LOG.origin)
    with pytest.raises(CouldNotCheck, match=r"cannot read .*none.json"):
        trusted_keys(tmp_path / "none.json", LOG.origin)
