"""Features into inputs: shapes, types, what is missing or ragged, whole examples."""

from __future__ import annotations

import numpy as np
import pytest

from servable.checks.example_inputs import find_plan_faults, make_requests, plan_inputs
from servable.checks.metrics_policy import MetricsPolicy
from servable.formats.protos import Example
from servable.formats.tf_examples import parse_examples
from servable.signature import Signature, TensorSpec

POLICY = MetricsPolicy(label="y")


def make_rows(*rows):
    made = []
    for features in rows:
        example = Example()
        for name, values in features.items():
            kind = {float: "float_list", int: "int64_list", bytes: "bytes_list"}[type(values[0])]
            getattr(example.features.feature[name], kind).value.extend(values)
        made.append(example.SerializeToString())
    return made


def sign(method="predict", **inputs):
    specs = {key: TensorSpec(dtype, shape, f"{key}:0") for key, (dtype, shape) in inputs.items()}
    return Signature("serving_default", specs, {}, method)


def ask(signature, rows, policy=POLICY):
    plan = plan_inputs(signature, policy)
    requests, refused = make_requests(signature, plan, parse_examples(rows, plan.features.values()))
    return requests, {one.reason: np.flatnonzero(one.mask).tolist() for one in refused}


def test_values_get_the_shape_of_the_input():
    signature = sign(x=("float32", (None, 2, 2)), n=("int32", (None,)))
    (request,), refused = ask(
        signature, make_rows({"x": [1.0, 2.0, 3.0, 4.0], "n": [5]}, {"x": [5.0] * 4, "n": [-6]})
    )
    assert refused == {}
    assert request.inputs["x"].tolist() == [[[1, 2], [3, 4]], [[5, 5], [5, 5]]]
    assert request.inputs["n"].tolist() == [5, -6]
    assert (request.inputs["x"].dtype, request.inputs["n"].dtype) == (np.float32, np.int32)


def test_feature_of_another_name_fills_the_input():
    policy = MetricsPolicy(label="y", inputs={"x": "pixels"})
    (request,), _ = ask(sign(x=("float32", (None, 1))), make_rows({"pixels": [2.0]}), policy)
    assert request.inputs["x"].tolist() == [[2.0]]


def test_missing_and_ragged_rows_are_left_out_and_told():
    rows = make_rows({"x": [1.0, 2.0]}, {"z": [1.0]}, {"x": [3.0]}, {"x": [4.0, 5.0]}, {"x": [1, 2]})
    requests, refused = ask(sign(x=("float32", (None, 2))), [*rows, b"\xff\xff"])
    assert [request.rows.tolist() for request in requests] == [[0, 3]]
    assert requests[0].inputs["x"].tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert refused == {
        "this is no tf.Example": [5],
        "feature x is missing": [1],
        "feature x has values of several types": [4],
        "feature x has not as many values as input x takes: float32 [?, 2]": [2],
    }


def test_feature_that_no_row_has_refuses_all():
    requests, refused = ask(sign(x=("float32", (None,))), make_rows({"z": [1.0]}, {"z": [2.0]}))
    assert (requests, refused) == ([], {"feature x is missing": [0, 1]})


@pytest.mark.parametrize(
    ("dtype", "values", "reason"),
    [
        ("float32", [b"a"], "feature x is of type bytes, expected float32"),
        ("int64", [1.5], "feature x is of type float, expected int64"),
        ("string", [1], "feature x is of type int64, expected string"),
        ("uint8", [256], "feature x has values that input x cannot hold: uint8 [?]"),
        ("int32", [2**31], "feature x has values that input x cannot hold: int32 [?]"),
        ("bool", [2], "feature x has values that input x cannot hold: bool [?]"),
    ],
)
def test_other_types_are_refused(dtype, values, reason):
    requests, refused = ask(sign(x=(dtype, (None,))), make_rows({"x": values}))
    assert (requests, refused) == ([], {reason: [0]})


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("float32", [3], [3.0]),
        ("bool", [1], [True]),
        ("float16", [0.5], [0.5]),
        ("uint64", [7], [7]),
        ("string", [b"a\xff"], [b"a\xff"]),
    ],
)
def test_types_that_lose_nothing_are_cast(dtype, values, expected):
    (request,), _ = ask(sign(x=(dtype, (None,))), make_rows({"x": values}))
    assert request.inputs["x"].tolist() == expected


def test_free_size_makes_one_request_for_each_length():
    rows = make_rows({"x": [1]}, {"x": [2, 3]}, {"x": [4]}, {"x": [5, 6]})
    requests, _ = ask(sign(x=("int64", (None, None))), rows)
    assert [request.rows.tolist() for request in requests] == [[0, 2], [1, 3]]
    assert [request.inputs["x"].tolist() for request in requests] == [[[1], [4]], [[2, 3], [5, 6]]]


@pytest.mark.parametrize(
    ("signature", "policy"),
    [
        (sign(examples=("string", (None,))), POLICY),
        (sign("classify", inputs=("string", (None,))), POLICY),
        (sign(text=("string", (None,))), MetricsPolicy(label="y", serialized_inputs=frozenset({"text"}))),
    ],
)
def test_whole_examples_go_into_an_input_of_strings(signature, policy):
    rows = make_rows({"x": [1.0]}, {"x": [2.0]})
    (request,), refused = ask(signature, rows, policy)
    ((_, array),) = request.inputs.items()
    assert (array.tolist(), refused) == (rows, {})


def test_input_of_texts_takes_its_feature():
    (request,), _ = ask(sign(text=("string", (None,))), make_rows({"text": [b"word"]}))
    assert request.inputs["text"].tolist() == [b"word"]


@pytest.mark.parametrize(
    ("signature", "policy", "words"),
    [
        (sign(x=("float32", (4, 2))), POLICY, "no free number of rows"),
        (sign(x=("float32", (None, None, None))), POLICY, "several free sizes"),
        (sign(x=("complex64", (None,))), POLICY, "no feature holds"),
        (sign(x=("float32", (None,))), MetricsPolicy(label="y", inputs={"z": "a"}), "there is none"),
    ],
)
def test_what_cannot_be_fed_is_told_before(signature, policy, words):
    (fault,) = find_plan_faults(signature, policy)
    assert words in fault
