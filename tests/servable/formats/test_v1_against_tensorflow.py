"""TensorFlow is the judge here: it writes V1 checkpoints that we read, and reads the V2 ones that we make."""

from __future__ import annotations

import warnings
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

pytestmark = pytest.mark.tensorflow

TYPES = (
    *("float32", "float64", "float16", "complex64", "complex128", "bool", "string"),
    *("int8", "uint8", "int16", "uint16", "int32", "int64"),
    *("qint8", "quint8", "qint32"),
)


@pytest.fixture(scope="module")
def tf() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow
    return tensorflow


def save(tf: Any, path: Path, tensors: dict[str, Any], slices: dict[str, str] | None = None) -> Path:
    specs = [(slices or {}).get(key, "") for key in tensors]
    tf.raw_ops.SaveSlices(
        filename=str(path), tensor_names=list(tensors), shapes_and_slices=specs, data=list(tensors.values())
    )
    return path


def restore(tf: Any, prefix: Path, key: str, dtype: Any, spec: str = "") -> np.ndarray:
    (value,) = tf.raw_ops.RestoreV2(
        prefix=str(prefix), tensor_names=[key], shape_and_slices=[spec], dtypes=[dtype]
    )
    return value.numpy()


def make_values(tf: Any, name: str, shape: tuple[int, ...]) -> Any:
    random = np.random.default_rng(len(name) + sum(shape))
    if name == "string":
        words = random.choice([b"", b"a", b"\x00\xff", b"w" * 300], shape)
        return tf.constant(words.astype(object), tf.string)
    if name.startswith("q"):
        limits = np.iinfo(name[1:])
        plain = random.integers(limits.min, limits.max, shape, name[1:], endpoint=True)
        return tf.bitcast(tf.constant(plain), getattr(tf, name))
    if name.lstrip("u").startswith("int"):
        limits = np.iinfo(name)
        return tf.constant(random.integers(limits.min, limits.max, shape, name, endpoint=True))
    values = random.standard_normal(shape) * 100
    if name.startswith("complex"):
        values = values + 1j * random.standard_normal(shape)
    return tf.constant((values > 0) if name == "bool" else values.astype(name))


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    if found.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        assert found.tobytes() == expected.tobytes()


def test_every_type_that_the_format_holds(tf: Any, tmp_path: Path) -> None:
    shapes = {"m": (31, 17), "scalar": (), "empty": (0, 4), "v": (5,), "deep": (2, 3, 1, 2)}
    tensors = {
        f"{name}/{kind}": make_values(tf, name, shape) for name in TYPES for kind, shape in shapes.items()
    }
    bundle = open_bundle(save(tf, tmp_path / "model.ckpt", tensors))
    assert bundle.prefix == tmp_path / "model.ckpt"
    assert bundle.files == (tmp_path / "model.ckpt",)
    assert check_extents(bundle) == []
    reader = tf.train.load_checkpoint(str(bundle.prefix))
    assert reader.get_variable_to_shape_map() == {k: list(e.shape) for k, e in bundle.entries.items()}
    copied = copy_tensors(bundle, {f"new/{key}": key for key in tensors}, tmp_path / "copy")
    assert copied == (tmp_path / "copy.data-00000-of-00001").stat().st_size
    for key, tensor in tensors.items():
        expected = np.array(tensor.numpy(), object) if tensor.dtype == tf.string else tensor.numpy()
        assert bundle.entries[key].dtype == tensor.dtype.name
        assert_same_bits(read_tensor(bundle, key), expected)
        pieces = list(iter_values(bundle, key, chunk_bytes=100))
        assert [item for piece in pieces for item in piece.tolist()] == read_tensor(
            bundle, key
        ).ravel().tolist()
        assert all(piece.nbytes <= 100 for piece in pieces if piece.dtype != object)
        assert_same_bits(read_tensor(open_bundle(tmp_path / "copy"), f"new/{key}"), expected)
        restored = restore(tf, tmp_path / "copy", f"new/{key}", tensor.dtype)
        assert_same_bits(np.array(restored, object) if tensor.dtype == tf.string else restored, expected)


@pytest.mark.parametrize("rows", [2, 65, 8194])
def test_partitioned_tensors_over_several_files(tf: Any, tmp_path: Path, rows: int) -> None:
    whole = np.arange(rows * 3, dtype=np.int64).reshape(rows, 3) - 5
    half = rows // 2
    specs = [f"{rows} 3 0,{half}:-", f"{rows} 3 {half},{rows - half}:-"]
    for number, part in enumerate((whole[:half], whole[half:])):
        save(
            tf,
            tmp_path / f"model.ckpt-7-{number:05d}-of-00002",
            {"v": tf.constant(part), f"s{number}": tf.constant(part[:1])},
            {"v": specs[number]},
        )
    prefix = tmp_path / "model.ckpt-7-?????-of-00002"
    bundle = open_bundle(prefix)
    assert set(bundle.entries) == {"v", "s0", "s1"}
    assert sorted(bundle.files) == sorted(tmp_path.iterdir())
    assert_same_bits(read_tensor(bundle, "v"), whole)
    assert_same_bits(restore(tf, prefix, "v", tf.int64), whole)

    copy_tensors(bundle, {"renamed": "v"}, tmp_path / "copy")
    assert_same_bits(read_tensor(open_bundle(tmp_path / "copy"), "renamed"), whole)
    assert_same_bits(restore(tf, tmp_path / "copy", "renamed", tf.int64), whole)
    assert_same_bits(restore(tf, tmp_path / "copy", "renamed", tf.int64, specs[1]), whole[half:])


def test_a_saver_of_many_variables_writes_many_blocks(tf: Any, tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        scope = "scope/" * 10
        variables = [
            tf.compat.v1.get_variable(f"{scope}{number:04d}", initializer=np.full(200, number, np.float32))
            for number in range(500)
        ]
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(variables, write_version=tf.compat.v1.train.SaverDef.V1)
        saver.save(session, str(tmp_path / "model.ckpt"), global_step=3)
    bundle = open_bundle(tmp_path / "model.ckpt-3")
    assert bundle.shards[0].stat().st_size > 256 * 1024
    assert len(bundle.entries) == 500
    copy_tensors(bundle, {key: key for key in bundle.entries}, tmp_path / "copy")
    reader = tf.train.load_checkpoint(str(tmp_path / "copy"))
    for key in bundle.entries:
        assert reader.get_tensor(key).tolist() == [float(key[-4:])] * 200
