"""Bodies of REST requests: what is read from them, and the words of refusals."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from servable.formats.protos import Example
from servable.serving.json_examples import read_json_examples
from servable.serving.json_requests import read_document, read_inputs
from servable.serving.statuses import Code, StatusError
from servable.signature import Signature, TensorSpec


def read(document, **dtypes):
    signature = Signature("s", {key: TensorSpec(dtype, None) for key, dtype in dtypes.items()}, {})
    return read_inputs(read_document(json.dumps(document).encode()), signature)


@pytest.mark.parametrize(
    ("document", "shape"),
    [
        ({"instances": [1, 2, 3]}, (3,)),
        ({"instances": [[1], [2]]}, (2, 1)),
        ({"instances": [[], []]}, (2, 0)),
        ({"instances": [[[1, 2]], [[3, 4]]]}, (2, 1, 2)),
        ({"instances": [{"x": [1, 2]}]}, (1, 2)),
        ({"inputs": 1}, ()),
        ({"inputs": []}, (0,)),
        ({"inputs": {"x": [[1, 2, 3]], "more": "is passed over"}}, (1, 3)),
    ],
)
def test_shapes(document, shape):
    array = read(document, x="float32")["x"]
    assert array.shape == shape
    assert array.dtype == np.float32
    assert array.ravel().tolist() == list(range(1, array.size + 1))


def test_several_inputs():
    for document in (
        {"instances": [{"a": 1, "b": ["x", "y"]}, {"a": 2, "b": ["z", "é"]}]},
        {"inputs": {"a": [1, 2], "b": [["x", "y"], ["z", "é"]]}},
    ):
        arrays = read(document, a="int64", b="string")
        assert arrays["a"].tolist() == [1, 2]
        assert arrays["b"].tolist() == [[b"x", b"y"], [b"z", "é".encode()]]


@pytest.mark.parametrize("encoded", ["YWI=", "YWI"])
def test_base64(encoded):
    item = {"b64": encoded}
    for document in ({"instances": [item, item]}, {"inputs": [item, item]}, {"instances": [{"x": item}] * 2}):
        assert read(document, x="string")["x"].tolist() == [b"ab", b"ab"]
    assert read({"inputs": item}, x="string")["x"].tolist() == b"ab"


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float32", 0.5),
        ("float64", 7),
        ("bool", True),
        ("int8", -128),
        ("uint8", 255),
        ("int16", -(2**15)),
        ("int32", 2**31 - 1),
        ("int64", -(2**63)),
        ("uint32", 2**32 - 1),
        ("uint64", 2**64 - 1),
    ],
)
def test_types(dtype, value):
    array = read({"inputs": [value]}, x=dtype)["x"]
    assert (array.dtype.name, array.tolist()) == (dtype, [value])


def test_what_is_no_number_is_one():
    array = read({"inputs": [float("nan"), float("inf"), -float("inf"), 1e300]}, x="float32")["x"]
    np.testing.assert_array_equal(array, [np.nan, np.inf, -np.inf, np.inf])


WRONG = [
    ({"instances": [1], "inputs": [1]}, "only one of 'inputs' or 'instances'"),
    ({}, "Missing 'inputs' or 'instances' key"),
    ({"instances": 1}, "Expecting 'instances' to be an list/array"),
    ({"instances": []}, "No values in 'instances' array"),
    ({"instances": [1, {"x": 1}]}, "Expecting value/list but got object at item 1"),
    ({"instances": [{"x": 1}, 1]}, "Expecting object but got list at item 1"),
    ({"instances": [{"x": 1, "y": 1}]}, "keys must be equal to: x"),
    ({"instances": [{}]}, "keys must be equal to: x"),
    (
        {"instances": [1, 2, "a"]},
        "element: 2 of 'instances' list. Error: JSON Value: \"a\" Type: String is not of expected type",
    ),
    (
        {"instances": [{"x": 1}, {"x": None}]},
        "element: 1 key: x of 'instances' list. Error: JSON Value: null",
    ),
    ({"instances": [[1, 2], [1]]}, "element: 1 of 'instances' list. Error: Expecting shape [2] but got: [1]"),
    ({"inputs": {}}, "Missing named input: x in 'inputs' object."),
    ({"inputs": [[1, 2], [1]]}, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    ({"inputs": [[1, 2], 1]}, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ({"inputs": [1, [2]]}, "Encountered list at unexpected level: 1 expected < 1"),
    ({"inputs": json.loads("[" * 65 + "]" * 65)}, "expected <= 64"),
    ({"inputs": 0.5}, "JSON Value: 0.5 Type: Number is not of expected type: int32"),
    ({"inputs": True}, "is not of expected type: int32"),
    ({"inputs": 2**31}, "is not of expected type: int32"),
    ({"inputs": {"b64": "YQ=="}}, "Type: Object is not of expected type: int32"),
]


@pytest.mark.parametrize(("document", "said"), WRONG)
def test_refusals(document, said):
    with pytest.raises(StatusError) as caught:
        read(document, x="int32")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert said in caught.value.message


def test_refusals_of_other_inputs():
    with pytest.raises(StatusError, match="multiple input tensors"):
        read({"instances": [1]}, a="int32", b="int32")
    with pytest.raises(StatusError, match="multiple input tensors"):
        read({"inputs": [1]}, a="int32", b="int32")
    with pytest.raises(StatusError, match="Unable to base64 decode"):
        read({"inputs": {"b64": "?"}}, x="string")
    with pytest.raises(StatusError, match="not formatted correctly for base64"):
        read({"inputs": [{"b65": "YQ=="}]}, x="string")
    with pytest.raises(StatusError, match="to type: half") as caught:
        read({"inputs": [1]}, x="float16")
    assert caught.value.code is Code.UNIMPLEMENTED
    with pytest.raises(StatusError, match="'signature_name' key must be a string"):
        read_document(b'{"signature_name": 1}')


def test_examples():
    words = {"b64": base64.b64encode(b"\xff").decode()}
    body = {"context": {"c": 1}, "examples": [{"i": [1, True], "f": 0.5, "b": ["a", words]}, {}]}
    first, second = read_json_examples(read_document(json.dumps(body).encode()))
    features = Example.FromString(first).features.feature
    assert sorted(features) == ["b", "c", "f", "i"]
    assert list(features["i"].int64_list.value) == [1, 1]
    assert list(features["f"].float_list.value) == [0.5]
    assert list(features["b"].bytes_list.value) == [b"a", b"\xff"]
    assert list(Example.FromString(second).features.feature) == ["c"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "key 'examples' is expected"),
        ({"examples": 1}, "to be an list/array"),
        ({"examples": []}, "is an empty array"),
        ({"examples": [1]}, "Example must be JSON object"),
        ({"examples": [{"a": [1, 0.5]}]}, "feature: a expecting type: int64"),
        ({"examples": [{"a": [[1]]}]}, "Feature: a has element with unexpected JSON type"),
        ({"examples": [{"a": 2**64}]}, "Feature: a has element that is out of range"),
    ],
)
def test_what_is_no_example(body, said):
    with pytest.raises(StatusError) as caught:
        read_json_examples(read_document(json.dumps(body).encode()))
    assert said in caught.value.message
