"""TensorProtos: against TensorFlow's own reader and writer, and what is none."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from servable.formats.protos import TensorProto
from servable.formats.tensor_values import read_tensor, write_tensor
from servable.signature import DTYPE_NUMBERS

LIMIT = 1 << 20
ARRAYS = {
    "float32": np.array([[0.1, -2.0, np.inf]], np.float32),
    "float64": np.array(3.25),
    "int8": np.array([-128, 127], np.int8),
    "uint8": np.array([0, 255], np.uint8),
    "int16": np.array([-5], np.int16),
    "uint16": np.array([65535], np.uint16),
    "int32": np.zeros((0, 3), np.int32),
    "int64": np.array([[-(2**62)]]),
    "uint32": np.array([2**32 - 1], np.uint32),
    "uint64": np.array([2**64 - 1], np.uint64),
    "bool": np.array([True, False]),
    "float16": np.array([0.5, -0.0], np.float16),
    "bfloat16": np.array([1.5, 2.0], ml_dtypes.bfloat16),
    "complex64": np.array([1 + 2j], np.complex64),
    "complex128": np.array([[1 - 2j], [3j]]),
    "string": np.array([[b"a\x00\xff", b""]], dtype=object),
}


def check_same(found, wanted):
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize("name", ARRAYS)
def test_what_is_written_is_read_again(name):
    found, values = read_tensor(write_tensor(ARRAYS[name]), max_bytes=LIMIT)
    assert found == name
    check_same(values, ARRAYS[name])


@pytest.mark.tensorflow
def test_tensorflow_reads_and_writes_the_same():
    import tensorflow as tf

    for array in ARRAYS.values():
        ours = write_tensor(array).SerializeToString()
        message = tf.make_tensor_proto(array)
        check_same(tf.make_ndarray(type(message).FromString(ours)), array)
        check_same(read_tensor(message, max_bytes=LIMIT)[1], array)


def test_last_value_stands_for_those_that_are_missing():
    tensor = TensorProto(dtype=DTYPE_NUMBERS["int32"], int_val=[1, 2])
    tensor.tensor_shape.dim.add(size=4)
    assert read_tensor(tensor, max_bytes=LIMIT)[1].tolist() == [1, 2, 2, 2]
    del tensor.int_val[:]
    assert read_tensor(tensor, max_bytes=LIMIT)[1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("fields", "sizes", "said"),
    [
        ({"dtype": 0}, [], "no values"),
        ({"dtype": DTYPE_NUMBERS["resource"]}, [], "no values"),
        ({"dtype": 1}, [-1], "shape"),
        ({"dtype": 1}, [1] * 65, "shape"),
        ({"dtype": 1, "float_val": [1.0]}, [1 << 30], "more than"),
        ({"dtype": DTYPE_NUMBERS["string"]}, [1 << 30], "more than"),
        ({"dtype": 1, "tensor_content": b"123"}, [1], "3 bytes"),
        ({"dtype": DTYPE_NUMBERS["string"], "tensor_content": b"123"}, [1], "one by one"),
    ],
)
def test_what_is_no_tensor(fields, sizes, said):
    tensor = TensorProto(**fields)
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError, match=said):
        read_tensor(tensor, max_bytes=LIMIT)
