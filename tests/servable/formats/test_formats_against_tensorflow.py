"""TensorFlow is the judge here: it writes what we read, and reads what we write."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from servable.formats.checkpoints.bundle import (
    check_extents,
    copy_tensors,
    iter_values,
    open_bundle,
    read_tensor,
)
from servable.formats.checkpoints.table import read_table
from servable.formats.dtypes import ITEM_BYTES

pytestmark = pytest.mark.tensorflow

WriteBundle = Callable[..., Path]
Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def tf() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow
    return tensorflow


def save(tf: Any, prefix: Path, tensors: dict[str, Any], slices: dict[str, str] | None = None) -> Path:
    specs = [(slices or {}).get(key, "") for key in tensors]
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=list(tensors), shape_and_slices=specs, tensors=list(tensors.values())
    )
    return prefix


def load(reader: Any, key: str) -> np.ndarray:
    value = reader.get_tensor(key)
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if found.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        assert found.tobytes() == expected.tobytes()


def test_every_checkpoint_of_the_test_data_reads_alike(tf: Any, zoo: Path, tmp_path: Path) -> None:
    indexes = [
        path for path in sorted(zoo.rglob("*.index")) if not path.relative_to(zoo).parts[0].startswith("bad-")
    ]
    assert len(indexes) >= 10
    for number, index in enumerate(indexes):
        prefix = index.with_suffix("")
        bundle = open_bundle(prefix)
        copied = tmp_path / str(number)
        copy_tensors(bundle, {f"new/{key}": key for key in bundle.entries}, copied)
        theirs, of_copy = tf.train.load_checkpoint(str(prefix)), tf.train.load_checkpoint(str(copied))
        assert theirs.get_variable_to_shape_map() == {k: list(e.shape) for k, e in bundle.entries.items()}
        assert of_copy.get_variable_to_shape_map().keys() == {f"new/{key}" for key in bundle.entries}
        for key in bundle.entries:
            expected = load(theirs, key)
            assert_same_bits(read_tensor(bundle, key), expected)
            assert_same_bits(load(of_copy, f"new/{key}"), expected)


def test_every_type_that_tensorflow_saves(tf: Any, tmp_path: Path) -> None:
    values = tf.constant([[0, 1, 1], [1, 0, 1]])
    tensors = {}
    for name in ITEM_BYTES:
        dtype = getattr(tf, name, None) or getattr(tf.dtypes.experimental, name)
        if name.startswith("q"):
            plain = np.array([[0, 1, 1], [1, 0, 1]], name[1:])
            tensors[name] = tf.bitcast(tf.constant(plain), dtype)
        else:
            near = tf.int32 if name.endswith("int4") else tf.float32  # What there are kernels for.
            tensors[name] = tf.cast(tf.cast(values, near), dtype)
    bundle = open_bundle(save(tf, tmp_path / "m", tensors))
    for name in tensors:
        assert bundle.entries[name].dtype == name
        found = read_tensor(bundle, name)
        assert found.itemsize == ITEM_BYTES[name]
        assert (found == np.array([[0, 1, 1], [1, 0, 1]]).astype(found.dtype)).all()
    copy_tensors(bundle, {name: name for name in tensors}, tmp_path / "copy")
    for name, tensor in tensors.items():
        (restored,) = tf.raw_ops.RestoreV2(
            prefix=str(tmp_path / "copy"), tensor_names=[name], shape_and_slices=[""], dtypes=[tensor.dtype]
        )
        assert restored.numpy().tobytes() == tensor.numpy().tobytes()


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_tensorflow_reads_what_is_copied(
    tf: Any, tmp_path: Path, write_bundle: WriteBundle, sample_tensors: Tensors, byte_order: str
) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", sample_tensors, byte_order=byte_order, shards=2))
    copy_tensors(source, {key: key for key in sample_tensors}, tmp_path / "copy")
    for prefix in (tmp_path / "m", tmp_path / "copy"):
        reader = tf.train.load_checkpoint(str(prefix))
        for key, value in sample_tensors.items():
            assert load(reader, key).tolist() == value.tolist()


def test_tensorflow_finds_every_key_in_many_blocks(
    tf: Any, tmp_path: Path, write_bundle: WriteBundle
) -> None:
    tensors = {f"{'scope/' * 20}{number:05d}/kernel": np.array(number) for number in range(9000)}
    prefix = write_bundle(tmp_path / "m", tensors)
    assert (tmp_path / "m.index").stat().st_size > 256 * 1024
    reader = tf.train.load_checkpoint(str(prefix))
    for key, value in tensors.items():
        assert reader.get_tensor(key) == value


# Sizes about the borders of the slice keys' encoding: 1, 2 and 3 bytes for a start or length.
@pytest.mark.parametrize("rows", [2, 64, 65, 128, 129, 8192, 8194, 20_000])
def test_partitioned_tensors_over_several_files(tf: Any, tmp_path: Path, rows: int) -> None:
    whole = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    half = rows // 2
    specs = [f"{rows} 3 0,{half}:-", f"{rows} 3 {half},{rows - half}:-"]
    for number, part in enumerate((whole[:half], whole[half:])):
        save(
            tf,
            tmp_path / f"p{number}",
            {"v": tf.constant(part), f"s{number}": part[:1]},
            {"v": specs[number]},
        )
    parts = [str(tmp_path / f"p{number}") for number in range(2)]
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(tmp_path / "m"))

    bundle = open_bundle(tmp_path / "m")
    assert set(bundle.entries) == {"v", "s0", "s1"}
    assert len(bundle.shards) == 2
    assert check_extents(bundle) == []
    assert bundle.entries["v"].size_bytes == whole.nbytes
    assert_same_bits(read_tensor(bundle, "v"), whole)
    pieces = np.concatenate(list(iter_values(bundle, "v", chunk_bytes=100)))
    assert sorted(pieces.tolist()) == whole.ravel().tolist()

    copy_tensors(bundle, {"renamed": "v"}, tmp_path / "copy")
    assert read_table_keys(tmp_path / "copy.index") == {
        key.replace(b"v\0\1", b"renamed\0\1") if key[:1] == b"\0" else b"renamed"
        for key in read_table_keys(tmp_path / "m.index") - {b"s0", b"s1"}
    }
    assert_same_bits(read_tensor(open_bundle(tmp_path / "copy"), "renamed"), whole)
    restored = tf.raw_ops.RestoreV2(
        prefix=str(tmp_path / "copy"),
        tensor_names=["renamed"] * 2,
        shape_and_slices=["", specs[1]],
        dtypes=[tf.float32] * 2,
    )
    assert_same_bits(restored[0].numpy(), whole)
    assert_same_bits(restored[1].numpy(), whole[half:])


def read_table_keys(path: Path) -> set[bytes]:
    return {key for key, _ in read_table(path) if key}


def test_a_grid_of_slices(tf: Any, tmp_path: Path) -> None:
    whole = np.arange(24, dtype=np.int64).reshape(4, 6)
    parts = {(rows, cols): f"4 6 {rows},2:{cols},3" for rows in (0, 2) for cols in (0, 3)}
    names = ["v"] * len(parts)
    tensors = [tf.constant(whole[rows : rows + 2, cols : cols + 3]) for rows, cols in parts]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "m"), tensor_names=names, shape_and_slices=list(parts.values()), tensors=tensors
    )
    assert_same_bits(read_tensor(open_bundle(tmp_path / "m"), "v"), whole)
