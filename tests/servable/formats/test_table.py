from __future__ import annotations

import contextlib
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable.errors import BrokenSourceError, ServableError
from servable.formats.checkpoints.slices import encode_slice_key, find_slice_faults
from servable.formats.checkpoints.snappy import decompress_snappy
from servable.formats.checkpoints.table import read_table, write_table

KEYS = st.binary(max_size=40) | st.text("ab/", max_size=60).map(str.encode)


@given(st.dictionaries(KEYS, st.binary(max_size=300), max_size=60))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, table: dict[bytes, bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.table"
    write_table(path, sorted(table.items()))
    assert list(read_table(path)) == sorted(table.items())


def test_round_trip_over_many_blocks(tmp_path: Path) -> None:
    items = [
        (f"model/layer_{number:05d}/kernel/Adam".encode(), b"v" * (number % 500)) for number in range(9000)
    ]
    write_table(tmp_path / "t", items)
    assert (tmp_path / "t").stat().st_size > 5 * 256 * 1024
    assert list(read_table(tmp_path / "t")) == items


@pytest.mark.parametrize("keys", [[b"b", b"a"], [b"a", b"a"]])
def test_unsorted_keys_are_refused_and_leave_nothing(tmp_path: Path, keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        write_table(tmp_path / "t", [(key, b"") for key in keys])
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_byte_is_found(tmp_path: Path, zoo: Path) -> None:
    whole = (zoo / "tf1.15-cnn_bn-a" / "artifact" / "model.ckpt.index").read_bytes()
    items = list(read_table(zoo / "tf1.15-cnn_bn-a" / "artifact" / "model.ckpt.index"))
    path = tmp_path / "t"
    unnoticed = []
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            if list(read_table(path)) != items:
                pytest.fail(f"wrong entries after a flip at byte {position}")
            unnoticed.append(position)
        except BrokenSourceError:
            pass
    # All that may pass unseen: the block of meta data, its pointer, and the padding of the footer.
    assert len(unnoticed) < 48 + 13


def test_every_truncation_is_found(tmp_path: Path, zoo: Path) -> None:
    whole = (zoo / "tf1.15-lr-b" / "artifact" / "model.ckpt.index").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "t").write_bytes(whole[:size])
        with pytest.raises(BrokenSourceError):
            list(read_table(tmp_path / "t"))


@given(body=st.binary(min_size=4, max_size=200), kind=st.sampled_from([0, 1, 7]))
def test_hostile_blocks_with_right_checksums(
    tmp_path_factory: pytest.TempPathFactory, build_table: Callable[..., bytes], body: bytes, kind: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.table"
    path.write_bytes(build_table([(body, kind)], separators={b"zz": 0}))
    tracemalloc.start()
    try:
        list(read_table(path))
    except ServableError:
        pass
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < 4 * 2**20


def test_a_block_of_endless_keys_is_refused(tmp_path: Path, build_table: Callable[..., bytes]) -> None:
    first = b"\x00\xc0\x84\x3d\x00" + b"k" * 1_000_000
    # Each further entry repeats the whole key before it and costs six bytes.
    more = b"".join(b"\xc0\x84\x3d\x01\x00" + bytes([number]) for number in range(1, 200)) * 50
    path = tmp_path / "t"
    path.write_bytes(build_table([(first + more + struct.pack("<II", 0, 1), 0)], separators={b"z": 0}))
    with pytest.raises(BrokenSourceError) as caught:
        list(read_table(path))
    assert "larger than the block" in caught.value.received


def test_many_pointers_at_one_block_are_refused(tmp_path: Path, build_table: Callable[..., bytes]) -> None:
    block = struct.pack("<II", 0, 1)  # Without entries, so that no order of keys gives it away.
    (tmp_path / "t").write_bytes(build_table([(block, 0)], separators={b"a": 0, b"b": 0}))
    with pytest.raises(BrokenSourceError) as caught:
        list(read_table(tmp_path / "t"))
    assert "overlaps" in caught.value.received


def test_a_compressed_block_is_read(tmp_path: Path, build_table: Callable[..., bytes]) -> None:
    plain = b"\x00\x01\x09a" + b"xyxyxyxyx" + struct.pack("<II", 0, 1)
    assert len(plain) == 21
    # Literal of 6 bytes, copy of 7 from 2 back, literal of 8: format_description.txt of snappy.
    packed = bytes([21, 5 << 2]) + plain[:6] + bytes([(7 - 4) << 2 | 1, 2, 7 << 2]) + plain[13:]
    (tmp_path / "t").write_bytes(build_table([(packed, 1)], separators={b"b": 0}))
    assert list(read_table(tmp_path / "t")) == [(b"a", b"xyxyxyxyx")]


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (b"\x00", b""),
        (b"\x07" + b"\x08xab" + bytes([0 << 2 | 1, 2]), b"xababab"),
        (b"\x05" + bytes([0, ord("a"), 3 << 2 | 2, 1, 0]), b"aaaaa"),
        (b"\x05" + bytes([0, ord("a"), 3 << 2 | 3, 1, 0, 0, 0]), b"aaaaa"),
        (b"\x46" + bytes([60 << 2, 69]) + b"q" * 70, b"q" * 70),
    ],
)
def test_snappy_elements(packed: bytes, plain: bytes) -> None:
    assert decompress_snappy(packed) == plain


@given(st.binary(max_size=60))
def test_snappy_never_makes_more_than_announced(packed: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert len(decompress_snappy(packed)) <= 22 * len(packed)


def test_slice_key_follows_the_ordered_code() -> None:
    # Examples of tensorflow/core/lib/strings/ordered_code.cc: an escaped string, 0x424242 and -0x800.
    assert encode_slice_key(b"\x00\x13\xff", []) == b"\x00" + b"\x00\xff\x13\xff\x00\x00\x01" + b"\x00"
    assert encode_slice_key(b"v", [(0x424242, -0x800)]).endswith(b"v\x00\x01\x01\x01\xf0\x42\x42\x42\x38\x00")


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ([[(0, 3), (0, -1)], [(3, 3), (0, -1)]], ""),
        ([[(0, 3), (0, 2)], [(0, 3), (2, 2)], [(3, 3), (0, -1)]], ""),
        ([[(0, 3), (0, -1)]], "hold 12"),
        ([[(0, 3), (0, -1)], [(2, 3), (0, -1)]], "overlap"),
        ([[(0, 3), (0, 2)], [(0, 3), (1, 2)], [(3, 3), (0, -1)]], "overlap"),
        ([[(0, 3), (0, -1)], [(4, 3), (0, -1)]], "takes 3 from 4"),
        ([[(-1, 7), (0, -1)]], "takes 7 from -1"),
        ([[(0, 6)]], "1 axes"),
    ],
)
def test_slices_have_to_make_up_the_tensor(parts: list[list[tuple[int, int]]], fault: str) -> None:
    found = find_slice_faults((6, 4), parts)
    assert fault in found
    assert bool(found) == bool(fault)
