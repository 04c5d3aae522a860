"""EAS's messages, against bytes written by hand from tf_predict.proto and against values of every type."""

from __future__ import annotations

import numpy as np
import pytest

from servable.errors import CheckError
from servable.formats.eas_messages import (
    EAS_DTYPES,
    ArrayProto,
    PredictRequest,
    PredictResponse,
    decode_arrays,
    encode_arrays,
    make_predict_request,
    make_predict_response,
    read_message,
)
from servable.targets.catalog import find_target


def test_the_bytes_are_those_of_the_proto():
    request = make_predict_request("s", {"x": np.array([[1.0, -2.0]], np.float32)}, output_filter=["y"])
    # dtype=1 varint 1; array_shape=2 {dim=1 packed [1, 2]}; float_val=3 packed, little-endian.
    array = bytes.fromhex("0801 1204 0a02 0102 1a08 0000803f 000000c0")
    entry = b"\x0a\x01x" + b"\x12" + bytes([len(array)]) + array
    assert request.SerializeToString() == b"\x0a\x01s" + b"\x12" + bytes([len(entry)]) + entry + b"\x1a\x01y"


@pytest.mark.parametrize(
    ("array", "number", "field"),
    [
        (np.array([0.5, np.inf, -0.0], np.float32), 1, "float_val"),
        (np.array([[0.1], [1e300]]), 2, "double_val"),
        (np.array([-(2**31), 2**31 - 1], np.int32), 3, "int_val"),
        (np.array([0, 255], np.uint8), 4, "int_val"),
        (np.array([-(2**15)], np.int16), 5, "int_val"),
        (np.array([-128], np.int8), 6, "int_val"),
        (np.array([[b"a\0", b""]], object), 7, "string_val"),
        (np.array(-(2**63)), 9, "int64_val"),
        (np.array([True, False]), 10, "bool_val"),
        (np.array([65535], np.uint16), 17, "int_val"),
        (np.zeros((0, 3), np.float32), 1, "float_val"),
    ],
)
def test_arrays_go_there_and_back(array, number, field):
    message = encode_arrays({"k": array})["k"]
    assert message.dtype == number
    assert [name.name for name, _ in message.ListFields() if name.name.endswith("_val")] in ([field], [])
    found = decode_arrays({"k": ArrayProto.FromString(message.SerializeToString())})["k"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


def test_text_is_sent_as_utf8():
    found = decode_arrays(encode_arrays({"k": np.array(["ü"])}))["k"]
    assert found.tolist() == ["ü".encode()]


def test_an_answer_is_read_back():
    response = make_predict_response({"a": np.array([1.5]), "b": np.array([b"t"], object)})
    outputs = decode_arrays(read_message(PredictResponse, response.SerializeToString()).outputs)
    assert outputs["a"].tolist() == [1.5]
    assert outputs["b"].tolist() == [b"t"]


@pytest.mark.parametrize("dtype", ["uint32", "uint64", "float16", "complex64"])
def test_a_type_without_a_place_is_refused(dtype):
    with pytest.raises(CheckError, match=dtype):
        encode_arrays({"k": np.zeros(1, dtype)})


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (ArrayProto(dtype=1, array_shape={"dim": [2]}, float_val=[1]), "expected: 2 values"),
        (ArrayProto(dtype=1, array_shape={"dim": [-1, -1]}, float_val=[1]), "sizes"),
        (ArrayProto(dtype=4, array_shape={"dim": [1]}, int_val=[300]), "uint8"),
        (ArrayProto(dtype=0, array_shape={"dim": [0]}), "number 0"),
        (ArrayProto(dtype=99, array_shape={"dim": [0]}), "number 99"),
    ],
)
def test_a_message_that_contradicts_itself_is_refused(message, said):
    with pytest.raises(CheckError, match=said):
        decode_arrays({"k": message})


def test_other_bytes_are_refused():
    with pytest.raises(CheckError, match="PredictRequest"):
        read_message(PredictRequest, b"\xff\xff")


def test_the_types_are_those_of_the_targets():
    assert find_target("pai-eas/tensorflow_cpu_2.7").wire_dtypes == EAS_DTYPES
