"""V1 checkpoints made record by record from the format's description; no TensorFlow here."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from servable.errors import BrokenSourceError, ServableError, UnknownSourceError, UnsafeSourceError
from servable.formats.checkpoints.bundle import (
    check_extents,
    copy_tensors,
    iter_values,
    open_bundle,
    read_tensor,
)
from servable.formats.checkpoints.table import read_table, write_table
from servable.formats.checkpoints.v1_index import is_v1_file
from servable.formats.protos import SavedTensorSlices

# Key of the slice that is all of "w", a matrix: number 0, the name, its end, 2 axes, each from 0, all of it.
W_KEY = b"\x00w\x00\x01\x01\x02\x80\x7f\x80\x7f"


def describe(
    name: str = "w", shape: tuple[int, ...] = (2, 3), dtype: int = 1, parts: tuple[Any, ...] = ((),)
) -> Any:
    """Makes the list of a file with one tensor; a part is a start and a length for each axis, () for all."""
    message = SavedTensorSlices()
    tensor = message.meta.tensor.add(name=name, type=dtype)
    tensor.shape.SetInParent()
    for size in shape:
        tensor.shape.dim.add(size=size)
    for part in parts:
        extents = tensor.slice.add().extent
        for start, length in part or ((None, None),) * len(shape):
            extents.add() if length is None else extents.add(start=start, length=length)
    message.meta.versions.producer = 1
    return message


def hold(**fields: Any) -> bytes:
    message = SavedTensorSlices()
    message.data.name = "w"
    message.data.data.SetInParent()
    for field, values in fields.items():
        if field == "tensor_content":
            message.data.data.tensor_content = values
        else:
            getattr(message.data.data, field).extend(values)
    return bytes(message.SerializeToString())


def write(path: Path, meta: Any, records: Mapping[bytes, bytes]) -> Path:
    write_table(path, sorted({b"": meta.SerializeToString(), **records}.items()))
    return path


SIX = np.array([[0, 1.5, 2], [3, -4, 5]], np.float32)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write(tmp_path / "model.ckpt", describe(), {W_KEY: hold(float_val=SIX.ravel())})


def test_a_tensor_is_read_in_every_way(whole: Path, tmp_path: Path) -> None:
    bundle = open_bundle(whole)
    assert list(bundle.entries) == ["w"]
    assert bundle.entries["w"].shape == (2, 3)
    assert bundle.entries["w"].size_bytes == 24
    assert bundle.files == (whole,)
    found = read_tensor(bundle, "w")
    assert found.dtype == np.float32
    assert found.tolist() == SIX.tolist()
    pieces = list(iter_values(bundle, "w", chunk_bytes=8))
    assert [piece.tolist() for piece in pieces] == [[0, 1.5], [2, 3], [-4, 5]]
    calls: list[tuple[str, int, int]] = []
    assert copy_tensors(bundle, {"v": "w"}, tmp_path / "v", progress=lambda *call: calls.append(call)) == 24
    assert calls == [("variables", 24, 24)]
    assert read_tensor(open_bundle(tmp_path / "v"), "v").tolist() == SIX.tolist()


def test_what_is_read_can_be_changed_without_changing_the_next_read(whole: Path) -> None:
    bundle = open_bundle(whole)
    read_tensor(bundle, "w")[:] = 9
    assert read_tensor(bundle, "w").tolist() == SIX.tolist()


# Numbers of tensorflow/core/framework/types.proto; halves are 1.0 and -2.0 by their bits.
@pytest.mark.parametrize(
    ("dtype", "fields", "expected"),
    [
        (2, {"double_val": [1e300, -0.0]}, np.array([1e300, -0.0])),
        (6, {"int_val": [-128, 127]}, np.array([-128, 127], np.int8)),
        (9, {"int64_val": [-(2**63), 2**63 - 1]}, np.array([-(2**63), 2**63 - 1])),
        (23, {"uint64_val": [2**64 - 1, 0]}, np.array([2**64 - 1, 0], np.uint64)),
        (10, {"bool_val": [True, False]}, np.array([True, False])),
        (19, {"half_val": [0x3C00, 0xC000]}, np.array([1, -2], np.float16)),
        (8, {"scomplex_val": [1, 2, 3, -4]}, np.array([1 + 2j, 3 - 4j], np.complex64)),
        (7, {"string_val": [b"", b"a\xff"]}, np.array([b"", b"a\xff"], object)),
        (1, {"tensor_content": b"\x00\x00\x80?\x00\x00\x00@"}, np.array([1, 2], np.float32)),
        (3, {"tensor_content": b"\x01\x00\x00\x00\xff\xff\xff\xff"}, np.array([1, -1], np.int32)),
    ],
)
def test_every_field_is_read(
    tmp_path: Path, dtype: int, fields: dict[str, Any], expected: np.ndarray
) -> None:
    key = b"\x00w\x00\x01\x01\x01\x80\x7f"
    path = write(tmp_path / "m", describe(shape=(2,), dtype=dtype), {key: hold(**fields)})
    found = read_tensor(open_bundle(path), "w")
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()


def test_bfloat16_is_read_by_its_bits(tmp_path: Path) -> None:
    record = {b"\x00w\x00\x01\x01\x01\x80\x7f": hold(half_val=[0x3F80, 0xC000])}
    found = read_tensor(open_bundle(write(tmp_path / "m", describe(shape=(2,), dtype=14), record)), "w")
    assert found.dtype.name == "bfloat16"
    assert found.astype(np.float32).tolist() == [1, -2]


def test_values_that_are_not_packed_are_read(tmp_path: Path) -> None:
    # Tags of fields 5 (fixed32) and 7 (varint), each before every value.
    floats = b"".join(b"\x2d" + np.float32(value).tobytes() for value in (1, 2))
    integers = b"\x38\x05\x38" + b"\xff" * 9 + b"\x01"
    key = b"\x00w\x00\x01\x01\x01\x80\x7f"
    for dtype, body, expected in ((1, floats, [1, 2]), (3, integers, [5, -1])):
        record = b"\x12" + bytes([len(body) + 2]) + b"\x1a" + bytes([len(body)]) + body
        path = write(tmp_path / f"m{dtype}", describe(shape=(2,), dtype=dtype), {key: record})
        assert read_tensor(open_bundle(path), "w").tolist() == expected


def test_slices_over_two_files_make_up_the_tensor(tmp_path: Path) -> None:
    # Rows 0 and 1 in one file, row 2 in the other; the key of a part has its start and its length.
    parts = [((0, 2), (None, None)), ((2, 1), (None, None))]
    keys = [b"\x00w\x00\x01\x01\x02\x80\x82\x80\x7f", b"\x00w\x00\x01\x01\x02\x82\x81\x80\x7f"]
    values = [[1, 2, 3, 4], [5, 6]]
    for number in range(2):
        meta = describe(shape=(3, 2), parts=(parts[number],))
        write(tmp_path / f"m-{number:05d}-of-00002", meta, {keys[number]: hold(float_val=values[number])})
    bundle = open_bundle(tmp_path / "m-?????-of-00002")
    assert read_tensor(bundle, "w").tolist() == [[1, 2], [3, 4], [5, 6]]
    assert check_extents(bundle) == []
    (tmp_path / "m-00001-of-00002").unlink()
    with pytest.raises(BrokenSourceError, match="incomplete") as caught:
        open_bundle(tmp_path / "m-?????-of-00002")
    assert "m-00001-of-00002" in caught.value.received


def test_a_compressed_checkpoint_is_read(
    tmp_path: Path, whole: Path, build_table: Callable[..., bytes]
) -> None:
    plain = whole.read_bytes()
    block = plain[: plain.index(b"\x00\x00\x00\x00\x01\x00\x00\x00") + 8]
    size = len(block)
    # One literal: its length, then the tag for a length in two bytes (format_description.txt of snappy).
    packed = bytes([size & 0x7F | 0x80, size >> 7, 61 << 2]) + (size - 1).to_bytes(2, "little") + block
    (tmp_path / "packed").write_bytes(build_table([(packed, 1)], separators={b"\x01": 0}))
    assert is_v1_file(tmp_path / "packed")
    assert read_tensor(open_bundle(tmp_path / "packed"), "w").tolist() == SIX.tolist()


@pytest.mark.parametrize(
    ("meta", "record", "said"),
    [
        (describe(), hold(float_val=[1, 2, 3]), "6 values"),
        (describe(), hold(int_val=[1] * 6), "0 bytes where 6 values"),
        (describe(dtype=9), hold(int64_val=[1] * 7), "more than 6"),
        (describe(dtype=9), hold(int64_val=[1] * 5), "at most 5"),
        (describe(dtype=7), hold(string_val=[b"a"] * 7), "7 strings"),
        (describe(), b"\x12\xff\xff\xff\xff\x0f", "cut off"),
        (describe(), b"\x0b", "does not decode"),
        (describe(name="v"), hold(float_val=[0] * 6), "a table without them"),
        (describe(dtype=20), hold(float_val=[0] * 6), "resource"),
    ],
)
def test_a_record_that_does_not_fit_its_list(tmp_path: Path, meta: Any, record: bytes, said: str) -> None:
    bundle = open_bundle(write(tmp_path / "m", meta, {W_KEY: record}))
    (key,) = bundle.entries
    with pytest.raises(BrokenSourceError) as caught:
        read_tensor(bundle, key)
    assert said in str(caught.value)
    with pytest.raises(BrokenSourceError):
        copy_tensors(bundle, {"x": key}, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        (describe(shape=(2**20, 2**20)), "tensors of 4398046511104 bytes"),
        (describe(shape=(2**30, 2**30)), "axes"),
        (describe(shape=(2**40,), dtype=29), "tensors of 1099511627776 bytes"),
        (describe(shape=(2, -1)), "free sizes"),
        (describe(parts=()), "slices hold 0 values"),
        (describe(parts=((), ())), "slices hold 12 values"),
        (describe(parts=(((0, 1), (0, 3)), ((0, 1), (0, 3)))), "overlap"),
        (describe(parts=(((1, 2), (0, 3)),)), "takes 2 from 1"),
        (describe(parts=(((0, 2),),)), "1 axes"),
    ],
)
def test_a_list_that_cannot_be_true_is_refused_before_anything_is_made(
    tmp_path: Path, meta: Any, said: str
) -> None:
    path = write(tmp_path / "m", meta, {W_KEY: hold(float_val=[0] * 6)})
    tracemalloc.start()
    with pytest.raises(BrokenSourceError) as caught:
        open_bundle(path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said in str(caught.value)
    assert peak_bytes < 2**20


def test_files_that_contradict_one_another(tmp_path: Path) -> None:
    for number, shape in enumerate([(2, 3), (3, 2)]):
        write(
            tmp_path / f"m-{number:05d}-of-00002",
            describe(shape=shape),
            {W_KEY: hold(float_val=SIX.ravel())},
        )
    with pytest.raises(BrokenSourceError, match="contradicts itself about tensor 'w'"):
        open_bundle(tmp_path / "m-?????-of-00002")


def test_a_newer_version_is_named(tmp_path: Path) -> None:
    meta = describe()
    meta.meta.versions.min_consumer = 2
    with pytest.raises(BrokenSourceError) as caught:
        open_bundle(write(tmp_path / "m", meta, {}))
    assert caught.value.received == "version 2"


def test_an_index_of_the_newer_format_is_not_taken_for_one(tmp_path: Path, zoo: Path) -> None:
    index = zoo / "tf1.15-lr-a" / "artifact" / "model.ckpt.index"
    (tmp_path / "renamed").write_bytes(index.read_bytes())
    assert not is_v1_file(tmp_path / "renamed")
    with pytest.raises(BrokenSourceError, match="of another kind"):
        open_bundle(tmp_path / "renamed")
    with pytest.raises(UnknownSourceError):
        open_bundle(tmp_path / "nothing")


def test_links_out_of_the_folder_are_refused(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "model.ckpt").symlink_to(whole)
    with pytest.raises(UnsafeSourceError):
        open_bundle(tmp_path / "train" / "model.ckpt")


def test_every_truncation_and_flipped_byte_is_found_or_harmless(tmp_path: Path, whole: Path) -> None:
    data = whole.read_bytes()
    path = tmp_path / "hurt"
    unnoticed = 0
    for position in range(len(data)):
        path.write_bytes(data[:position])
        with pytest.raises(ServableError):
            open_bundle(path)
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        try:
            assert read_tensor(open_bundle(path), "w").tolist() == SIX.tolist()
            unnoticed += 1
        except ServableError:
            pass
    # All that may pass unseen: the block of meta data, its pointer, and the padding of the footer.
    assert unnoticed < 48 + 13


def test_memory_is_that_of_one_slice(tmp_path: Path) -> None:
    count, size = 12, 2**20
    meta = describe(shape=(count, size), parts=tuple(((n, 1), (None, None)) for n in range(count)))
    records = {
        b"\x00w\x00\x01\x01\x02" + bytes([0x80 + n, 0x81, 0x80, 0x7F]): hold(
            float_val=np.full(size, n, np.float32)
        )
        for n in range(count)
    }
    bundle = open_bundle(write(tmp_path / "m", meta, records))
    tracemalloc.start()
    assert copy_tensors(bundle, {"w": "w"}, tmp_path / "out") == 4 * count * size
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2.5 * 4 * size
    found = read_tensor(open_bundle(tmp_path / "out"), "w")
    assert (found == np.arange(count)[:, None]).all()


def test_mutated_checkpoints_never_escape_the_tree_of_errors(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m",
        describe(dtype=9, parts=(((0, 1), (None, None)), ((1, 1), (None, None)))),
        {
            b"\x00w\x00\x01\x01\x02\x80\x81\x80\x7f": hold(int64_val=[1, -2, 3]),
            b"\x00w\x00\x01\x01\x02\x81\x81\x80\x7f": hold(int64_val=[4, 5, 6]),
        },
    )
    items = dict(read_table(path))
    dice = random.Random(5)
    read = 0
    tracemalloc.start()
    for _ in range(1500):
        mutated = dict(items)
        for _ in range(dice.randint(1, 3)):
            key = dice.choice(list(mutated))
            body = bytearray(mutated.pop(key))
            body[dice.randrange(len(body))] = dice.randrange(256)
            mutated[key] = bytes(body)
        write_table(path, sorted(mutated.items()))  # With right checksums: a hostile file has them too.
        try:
            bundle = open_bundle(path)
            for key in bundle.entries:
                read_tensor(bundle, key)
                read += 1
        except ServableError:
            pass
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read > 100
    assert peak_bytes < 32 * 2**20
