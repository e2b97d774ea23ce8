"""A kit from anywhere is read within bounds: hostile archives move the kit's verdict, and nothing else happens."""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from exporters import metrics as m
from exporters.bundle import tar, zstd
from exporters.bundle.kit import Limits, read
from exporters.outcome import CouldNotCheck, Refused
from tests.release_kit import pack, tarred
from tests.release_world import World, said

OLD = 1_700_000_000  # a modification time long ago


def quiet() -> None:
    """Never stop."""


def member(
    name: str, kind: bytes = tarfile.REGTYPE, target: str = "", data: bytes = b"x"
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info, data


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as opened:
        for info, data in members:
            opened.addfile(info, io.BytesIO(data))
    return out.getvalue()


def refusal(folder: Path, data: bytes, limits: Limits = Limits()) -> Refused:  # noqa: B008 # frozen
    path = pack(folder / "kit.tar.zst", data)
    with pytest.raises(Refused) as caught:
        read(path, limits, quiet)
    return caught.value


LINK, HARD, DEVICE, FIFO = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE
UNSAFE: dict[str, tuple[tuple[tarfile.TarInfo, bytes], ...]] = {
    "zip slip": (member("images/../../etc/passwd"),),
    "absolute": (member("/etc/passwd"),),
    "backslash": (member("images\\..\\..\\x"),),
    "drive letter": (member("C:/windows/x"),),
    "control character": (member("images/a\nb"),),
    "symlink out": (member("policy/x", LINK, "../../../etc/passwd"),),
    "symlink absolute": (member("policy/x", LINK, "/etc/passwd"),),
    "hard link out": (member("policy/x", HARD, "../etc/passwd"),),
    "hard link to nothing": (member("policy/x", HARD, "policy/y"),),
    "dangling symlink": (member("policy/x", LINK, "y"),),
    "through a symlink": (member("policy/x", LINK, "../images"), member("policy/x/index.json")),
    "device": (member("policy/x", DEVICE),),
    "pipe": (member("policy/x", FIFO),),
    "twice": (member("policy/x", data=b"1"), member("policy/x", data=b"2")),
    "twice, written otherwise": (member("policy/x", data=b"1"), member("./policy//x", data=b"2")),
    "case": (member("policy/x"), member("policy/X")),
    "case of a folder": (member("policy/x"), member("Policy/y")),
    "composed otherwise": (member("policy/\u00e9"), member("policy/e\u0301")),
    "a file as a folder": (member("policy/x"), member("policy/x/y")),
    "a folder as a file": (member("policy/x/y"), member("policy/x")),
    "deep": (member("/".join("a" * 30)),),
}  # fmt: skip


@pytest.mark.parametrize("members", UNSAFE.values(), ids=UNSAFE.keys())
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_what_must_not_be_unpacked_is_unsafe(
    tmp_path: Path, members: tuple[tuple[tarfile.TarInfo, bytes], ...], form: int
) -> None:
    """Paths, links, kinds and names that a file system would take for others."""
    assert refusal(tmp_path, archive(*members, form=form)).reason == "unsafe"


def test_a_name_that_is_no_utf_8_is_unsafe(tmp_path: Path) -> None:
    """The sentence escapes it."""
    data = archive(member("policy/\udcff"), form=tarfile.GNU_FORMAT)
    assert (
        refusal(tmp_path, data).detail == "'policy/\\\\udcff' holds characters that a file name must not hold"
    )


def test_more_members_than_a_kit_has_are_refused(tmp_path: Path) -> None:
    """Before their names fill the memory."""
    data = archive(*(member(f"policy/{n}") for n in range(11)))
    assert refusal(tmp_path, data, Limits(members=10)).detail == "it has more than 10 members"


def test_a_huge_extended_header_is_not_read(tmp_path: Path) -> None:
    """tarfile would take it into memory, whatever its size."""
    name = tarfile.TarInfo("x")
    name.type, name.size = tarfile.XHDTYPE, 1 << 30
    found = refusal(tmp_path, name.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 4096)
    assert found.detail == "an extended header has 1073741824 bytes; at most 65536 are read"


def test_a_global_header_cannot_rename_everything(tmp_path: Path) -> None:
    """Other readers would apply it."""
    data = io.BytesIO()
    with tarfile.open(
        fileobj=data, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "evil"}
    ) as opened:
        opened.addfile(member("policy/x")[0], io.BytesIO(b"x"))
    assert "a global header sets path" in refusal(tmp_path, data.getvalue()).detail


def test_what_follows_the_end_is_refused(tmp_path: Path) -> None:
    """Some readers would see it and others not."""
    first = archive(member("policy/x"))
    assert (
        refusal(tmp_path, first + archive(member("policy/y"))).detail
        == "something follows the end of the archive"
    )


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_each_form_of_tar_gives_the_same_contents(tmp_path: Path, form: int) -> None:
    """Long names, names that are not ASCII, folders, links within."""
    long = "plugins/" + "/".join(["a" * 40] * 4) + "/end"
    parts = [
        member("./policy/", tarfile.DIRTYPE),
        member("policy/example", data=b"hello"),
        member("policy/again", HARD, "policy/example"),
        member("policy/soft", LINK, "./example"),
        member(long, data=b"long"),
    ]
    if form != tarfile.USTAR_FORMAT:
        parts.append(member("policy/ü", data=b"u"))
    found = read(pack(tmp_path / "kit", archive(*parts, form=form)), Limits(), quiet)
    assert found.files["policy/example"].size == 5
    assert found.files["policy/again"] == found.files["policy/soft"] == found.files["policy/example"]
    assert found.files[long].size == 4
    assert ("policy/ü" in found.files) == (form != tarfile.USTAR_FORMAT)


# ---- Zstandard -----------------------------------------------------------------------------------------


def test_an_expansion_bomb_is_refused_and_takes_no_memory(tmp_path: Path) -> None:
    """4 GiB of zeros in less than 200 KB: it is given up after some of it."""
    out = io.BytesIO()
    info = tarfile.TarInfo("images/blobs/sha256/" + "0" * 64)
    info.size = 4 << 30
    with zstandard.ZstdCompressor(level=1).stream_writer(out, closefd=False) as writer:
        writer.write(info.tobuf())
        for _ in range(512):
            writer.write(bytes(1 << 20))
    path = tmp_path / "kit"
    path.write_bytes(out.getvalue())
    tracemalloc.start()
    with pytest.raises(Refused) as caught:
        read(path, Limits(), quiet)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.detail == "it expands to more than 100 times its size: an expansion bomb, no kit"
    assert peak < 4 << 20


def test_a_kit_over_the_limit_has_no_verdict(tmp_path: Path) -> None:
    """The limit is the operator's, and no fault of the kit."""
    path = pack(tmp_path / "kit", archive(member("images/x", data=os.urandom(1 << 20))))
    with pytest.raises(CouldNotCheck) as caught:
        read(path, Limits(expanded=1 << 16), quiet)
    assert (caught.value.reason, caught.value.detail) == (
        "too_large", "it expands to more than the 65536 bytes of max_expanded_bytes")  # fmt: skip


def test_a_window_that_wants_too_much_memory_is_refused_before_it_is_given(tmp_path: Path) -> None:
    """zstd --long=30 asks the reader for a gigabyte."""
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    out = io.BytesIO()
    with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(out, closefd=False) as writer:
        writer.write(archive(member("policy/x")))
    path = tmp_path / "kit"
    path.write_bytes(out.getvalue())
    with pytest.raises(Refused, match="it wants 1024 MiB of memory to be expanded; at most 128 are given"):
        read(path, Limits(), quiet)


def test_several_frames_and_skippable_ones_are_one_archive(tmp_path: Path) -> None:
    """pzstd and the seekable format write them."""
    data = archive(member("policy/x", data=os.urandom(3000)))
    frames = [zstandard.compress(data[i : i + 1000]) for i in range(0, len(data), 1000)]
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    path = tmp_path / "kit"
    path.write_bytes(skippable.join(frames) + skippable)
    assert read(path, Limits(), quiet).files["policy/x"].size == 3000


@pytest.mark.parametrize("tail", [b"garbage", b"\0" * 20, b"\x28\xb5\x2f\xfd"])
def test_something_after_the_last_frame_is_refused(tmp_path: Path, tail: bytes) -> None:
    """Not left over in silence."""
    path = pack(tmp_path / "kit", archive(member("policy/x")))
    path.write_bytes(path.read_bytes() + tail)
    with pytest.raises(Refused) as caught:
        read(path, Limits(), quiet)
    assert caught.value.reason == "malformed"


@given(st.data())
def test_a_truncated_kit_never_reads_as_a_smaller_one(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Wherever it is cut off, and however it was compressed: refused, or only padding after the end is gone."""
    folder = tmp_path_factory.mktemp("cut")
    whole = archive(member("policy/x", data=b"abc" * 3000), member("policy/y"))
    step = len(whole) // data.draw(st.integers(1, 6)) + 1
    packed = b"".join(zstandard.compress(whole[i : i + step]) for i in range(0, len(whole), step))
    path = folder / "kit"
    path.write_bytes(packed)
    good = read(path, Limits(), quiet).files
    path.write_bytes(packed[: data.draw(st.integers(0, len(packed) - 1))])
    try:
        found = read(path, Limits(), quiet).files
    except Refused:
        found = good
    assert found == good


def test_a_kit_that_ends_between_two_blocks_is_cut_off(tmp_path: Path) -> None:
    """A decoder at the end of its input would not tell."""
    path = pack(tmp_path / "kit", archive(member("policy/x", data=os.urandom(1 << 20))))
    path.write_bytes(path.read_bytes()[: 1 << 19])
    with pytest.raises(Refused, match="it is cut off"):
        read(path, Limits(), quiet)


@given(st.data())
def test_a_changed_byte_is_an_answer_and_never_an_accident(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A frame with a checksum: refused, or (in what nobody reads, such as an owner) the same contents."""
    folder = tmp_path_factory.mktemp("flip")
    path = pack(folder / "kit", archive(member("policy/x", data=b"abc" * 100), member("policy/y", data=b"d")))
    good = read(path, Limits(), quiet).files
    packed = bytearray(path.read_bytes())
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(packed)
    try:
        found = read(path, Limits(), quiet).files
    except Refused:
        found = good
    assert found == good


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_as_a_tar_archive_or_read(data: bytes) -> None:
    """Nothing but Refused and CouldNotCheck ever leaves."""
    packed = io.BytesIO(zstandard.compress(data))
    stream = zstd.Expanded(packed, len(packed.getvalue()), ratio=100, most=1 << 20, tick=quiet)
    with suppress(Refused, CouldNotCheck):
        for _ in tar.members(stream, 100):
            pass
    assert stream.count <= 1 << 20


# ---- the metric ------------------------------------------------------------------------------------------

BAD: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip slip": lambda members: tarred({**members, "../x": b""}),
    "cut off": lambda members: tarred(members)[:-20_000],
    "no archive": lambda members: b"hello" * 1000,
}


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD.keys())
def test_a_hostile_kit_is_not_valid(tmp_path: Path, spoil: Callable[[dict[str, bytes]], bytes]) -> None:
    """One check says why; the others are not made."""
    world = World(tmp_path)
    release = world.release()
    path = pack(tmp_path / "kit.tar.zst", spoil(release.members()))
    os.utime(path, (OLD, OLD))
    findings = said(world.subject(kits={"paths": ["*.tar.zst"]}).check("kit.tar.zst"))
    ((verdict, _),) = findings.values()
    assert findings.keys() == {"archive"}
    assert verdict == "failed"
    assert world.value(m.KIT_VALID, kit="kit.tar.zst") == 0
