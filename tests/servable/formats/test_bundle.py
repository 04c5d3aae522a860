from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.errors import BrokenSourceError, ServableError, UnknownSourceError, UnsafeSourceError
from servable.formats.checkpoints import bundle_streams
from servable.formats.checkpoints.bundle import (
    TensorBundle,
    check_extents,
    iter_values,
    open_bundle,
    read_tensor,
)
from servable.formats.checkpoints.table import read_table, write_table
from servable.formats.protos import BundleEntryProto, BundleHeaderProto

WriteBundle = Callable[..., Path]
Tensors = dict[str, np.ndarray]


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("shards", [1, 3])
def test_reads_every_layout(
    tmp_path: Path, write_bundle: WriteBundle, sample_tensors: Tensors, byte_order: str, shards: int
) -> None:
    prefix = write_bundle(tmp_path / "m", sample_tensors, byte_order=byte_order, shards=shards)
    bundle = open_bundle(prefix)
    assert set(bundle.entries) == set(sample_tensors)
    assert check_extents(bundle) == []
    assert sorted(bundle.files) == sorted(tmp_path.iterdir())
    for key, value in sample_tensors.items():
        assert_same(read_tensor(bundle, key), value)
        assert bundle.entries[key].dtype == ("string" if value.dtype == object else value.dtype.name)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 2**20])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_pieces_make_up_the_tensor(
    tmp_path: Path, write_bundle: WriteBundle, sample_tensors: Tensors, byte_order: str, chunk_bytes: int
) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "m", sample_tensors, byte_order=byte_order))
    for key, value in sample_tensors.items():
        pieces = list(iter_values(bundle, key, chunk_bytes=chunk_bytes))
        assert [item for piece in pieces for item in piece.tolist()] == value.ravel().tolist()
        if value.dtype != object:
            assert all(piece.nbytes <= max(chunk_bytes, value.itemsize) for piece in pieces)


@pytest.mark.parametrize("chunk_bytes", [1, 3, 8])
def test_strings_may_be_cut_anywhere(
    tmp_path: Path, write_bundle: WriteBundle, sample_tensors: Tensors, chunk_bytes: int
) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "m", sample_tensors))
    entry = bundle.entries["strings"]
    passed = [c.tobytes() for c in bundle_streams.stream_entry(bundle, entry, chunk_bytes=chunk_bytes)]
    assert b"".join(passed) == bundle.shards[0].read_bytes()[entry.offset :][: entry.size_bytes]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=40), st.integers(1, 50))
def test_any_strings(
    tmp_path_factory: pytest.TempPathFactory,
    write_bundle: WriteBundle,
    strings: list[bytes],
    chunk_bytes: int,
) -> None:
    value = np.empty(len(strings), object)
    value[:] = strings
    bundle = open_bundle(write_bundle(tmp_path_factory.getbasetemp() / "strings", {"s": value}))
    assert read_tensor(bundle, "s").tolist() == strings
    assert [s for piece in iter_values(bundle, "s", chunk_bytes=chunk_bytes) for s in piece] == strings


def test_memory_does_not_grow_with_the_tensor(tmp_path: Path, write_bundle: WriteBundle) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones((16, 2**20), np.float32)}))
    tracemalloc.start()
    total = sum(float(piece.sum()) for piece in iter_values(bundle, "w", chunk_bytes=2**20))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 2**24
    assert peak_bytes < 5 * 2**20


def test_every_flipped_byte_of_data_is_found(
    tmp_path: Path, write_bundle: WriteBundle, sample_tensors: Tensors
) -> None:
    tensors = {key: sample_tensors[key] for key in ("strings", "scalar", "plain/bool", "string")}
    bundle = open_bundle(write_bundle(tmp_path / "m", tensors))
    whole = bundle.shards[0].read_bytes()
    for position in [*range(400), *range(400, len(whole), 97)]:
        damaged = bytearray(whole)
        damaged[position] ^= 0x40
        bundle.shards[0].write_bytes(damaged)
        key = next(k for k, e in bundle.entries.items() if e.offset <= position < e.offset + e.size_bytes)
        with pytest.raises(BrokenSourceError, match=key):
            read_tensor(bundle, key)
        with pytest.raises(BrokenSourceError, match=key):
            list(iter_values(bundle, key, chunk_bytes=16))


def test_the_flipped_byte_of_the_zoo_names_tensor_and_file(zoo: Path) -> None:
    bundle = open_bundle(zoo / "bad-ckpt_flipped_byte-a" / "artifact" / "model.ckpt")
    with pytest.raises(BrokenSourceError, match="'W'") as caught:
        read_tensor(bundle, "W")
    assert caught.value.where == str(bundle.shards[0])
    assert "byte 0" in caught.value.expected
    assert np.isfinite(read_tensor(bundle, "b")).all()


@pytest.mark.parametrize(
    ("case", "name", "sentence"),
    [
        ("bad-ckpt_missing_shard-a", "artifact/lr_model/model.ckpt", "data-00001-of-00002 is missing"),
        ("bad-ckpt_truncated_data-a", "artifact/model.ckpt", "has 15700 bytes, but the index needs 31400"),
    ],
)
def test_extents_name_what_is_missing(zoo: Path, case: str, name: str, sentence: str) -> None:
    bundle = open_bundle(zoo / case / name)
    faults = check_extents(bundle)
    assert len(faults) == 1
    assert sentence in faults[0]
    with pytest.raises(BrokenSourceError, match="'b'"):
        read_tensor(bundle, "b")


def test_no_index_is_unknown_and_a_cut_one_broken(zoo: Path) -> None:
    with pytest.raises(UnknownSourceError, match="no index"):
        open_bundle(zoo / "bad-ckpt_no_index-a" / "artifact" / "model.ckpt")
    with pytest.raises(BrokenSourceError):
        open_bundle(zoo / "bad-ckpt_truncated_index-a" / "artifact" / "model.ckpt")


def test_an_unknown_key_suggests_the_nearest(tmp_path: Path, write_bundle: WriteBundle) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "m", {"dense/kernel": np.ones(1), "x": np.ones(1)}))
    with pytest.raises(BrokenSourceError) as caught:
        read_tensor(bundle, "dense/kernels")
    assert "dense/kernel" in caught.value.received


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, write_bundle: WriteBundle, suffix: str) -> None:
    folder, outside = tmp_path / "model", tmp_path / "outside"
    folder.mkdir()
    prefix = write_bundle(folder / "m", {"w": np.ones(3)})
    prefix.with_name("m" + suffix).rename(outside)
    prefix.with_name("m" + suffix).symlink_to(outside)
    with pytest.raises(UnsafeSourceError) as caught:
        open_bundle(prefix)
    assert str(outside) in caught.value.received


def test_links_inside_the_folder_and_to_it_are_fine(tmp_path: Path, write_bundle: WriteBundle) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    data = write_bundle(folder / "m", {"w": np.ones(3)}).with_name("m.data-00000-of-00001")
    data.rename(folder / "blob")
    data.symlink_to("blob")
    (tmp_path / "link").symlink_to(folder)
    assert read_tensor(open_bundle(tmp_path / "link" / "m"), "w").tolist() == [1, 1, 1]


def test_a_pipe_in_place_of_data_does_not_hang(tmp_path: Path, write_bundle: WriteBundle) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones(3)}))
    bundle.shards[0].unlink()
    os.mkfifo(bundle.shards[0])
    assert "not a plain file" in check_extents(bundle)[0]
    with pytest.raises(BrokenSourceError):
        read_tensor(bundle, "w")


def edit_entry(bundle: TensorBundle, key: str, **fields: int) -> None:
    index = bundle.files[0]
    items = dict(read_table(index))
    entry = BundleEntryProto.FromString(items[key.encode()])
    for name, value in fields.items():
        setattr(entry, name, value)
    items[key.encode()] = entry.SerializeToString()
    write_table(index, sorted(items.items()))


@pytest.mark.parametrize(
    "fields",
    [{"size": 2**60}, {"size": -4}, {"offset": -1}, {"shard_id": 1}, {"shard_id": -1}, {"dtype": 2}],
)
def test_an_index_that_contradicts_itself_is_broken(
    tmp_path: Path, write_bundle: WriteBundle, fields: dict[str, int]
) -> None:
    prefix = write_bundle(tmp_path / "m", {"w": np.ones((2, 3), np.float32)})
    edit_entry(open_bundle(prefix), "w", **fields)
    with pytest.raises(BrokenSourceError, match="'w'"):
        open_bundle(prefix)


@pytest.mark.parametrize("number", [20, 21, 99])
def test_resources_and_variants_are_listed_but_not_read(
    tmp_path: Path, write_bundle: WriteBundle, number: int
) -> None:
    prefix = write_bundle(tmp_path / "m", {"w": np.ones(3)})
    edit_entry(open_bundle(prefix), "w", dtype=number)
    bundle = open_bundle(prefix)
    assert bundle.entries["w"].dtype in {"resource", "variant", "dtype 99"}
    with pytest.raises(BrokenSourceError, match="type"):
        read_tensor(bundle, "w")


def test_a_newer_format_is_refused(tmp_path: Path, write_bundle: WriteBundle) -> None:
    prefix = write_bundle(tmp_path / "m", {"w": np.ones(3)})
    index = open_bundle(prefix).files[0]
    items = dict(read_table(index))
    header = BundleHeaderProto.FromString(items[b""])
    header.version.min_consumer = 2
    write_table(index, sorted((items | {b"": header.SerializeToString()}).items()))
    with pytest.raises(BrokenSourceError) as caught:
        open_bundle(prefix)
    assert "version 2" in caught.value.received


def test_mutated_indexes_raise_nothing_else_and_take_no_memory(
    tmp_path: Path, write_bundle: WriteBundle, sample_tensors: Tensors
) -> None:
    prefix = write_bundle(tmp_path / "m", sample_tensors)
    index = open_bundle(prefix).files[0]
    items = dict(read_table(index))
    dice = random.Random(3)
    opened = 0
    tracemalloc.start()
    for _ in range(1500):
        mutated = dict(items)
        for _ in range(dice.randint(1, 3)):
            key = dice.choice(list(mutated))
            body = bytearray(mutated.pop(key))
            body[dice.randrange(len(body))] = dice.randrange(256)
            name = bytearray(key)
            if name and dice.random() < 0.3:
                name[dice.randrange(len(name))] = dice.randrange(256)
            mutated[bytes(name)] = bytes(body)
        write_table(index, sorted(mutated.items()))  # With right checksums: a hostile file has them too.
        try:
            bundle = open_bundle(prefix)
            opened += 1
            for key in bundle.entries:
                read_tensor(bundle, key)
        except ServableError:
            pass
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened > 100
    assert peak_bytes < 32 * 2**20
