"""Requests for each platform: what is written, what is said, and that nothing acts which should not."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.deploy.requests.example import Destination, Platform
from servable.deploy.requests.inputs import RequestValues, choose_values, read_served_signatures
from servable.deploy.requests.writing import write_request
from servable.errors import BrokenSourceError, SettingsError
from servable.formats.eas_messages import PredictRequest, decode_arrays
from servable.formats.protos import Example
from servable.signature import Signature, TensorSpec

IMAGES = Signature(
    "predict_images",
    {"images": TensorSpec("float32", (None, 2), "x:0")},
    {"scores": TensorSpec("float32", (None, 3), "y:0")},
)
TWO_INPUTS = Signature(
    "serving_default",
    {"raw_bytes": TensorSpec("string", (None,), "a:0"), "size": TensorSpec("int64", (None, 1), "b:0")},
    {"text": TensorSpec("string", (None,), "c:0")},
)


def make_texts(*texts):
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def write(signature, inputs, platform, **destination):
    return write_request(
        signature, RequestValues(inputs), Destination(Platform(platform), "digits", **destination)
    )


def test_rows_of_one_input():
    values = np.array([[0.1, 2.0], [np.nan, -np.inf]], np.float32)
    example = write(IMAGES, {"images": values}, "tf-serving-rest")
    assert b"[0.1, 2.0]" in example.body
    assert b"[NaN, -Infinity]" in example.body
    document = json.loads(example.body)
    assert document["signature_name"] == "predict_images"
    np.testing.assert_array_equal(np.array(document["instances"], np.float32), values)
    words = shlex.split(example.command)
    assert words[words.index("--data") + 1].encode() == example.body
    assert words[-1] == "http://localhost:8501/v1/models/digits:predict"


def test_rows_of_two_inputs_and_base64():
    inputs = {"raw_bytes": make_texts(b"ab", b"\xff"), "size": np.array([[2], [1]])}
    example = write(TWO_INPUTS, inputs, "kserve")
    assert json.loads(example.body)["instances"] == [
        {"raw_bytes": {"b64": "YWI="}, "size": [2]},
        {"raw_bytes": {"b64": "/w=="}, "size": [1]},
    ]
    assert any("Output text comes as text" in note for note in example.notes)
    assert any("SERVICE_HOSTNAME" in note for note in example.notes)
    assert '"${INGRESS_HOST}"' in example.command


@pytest.mark.parametrize(
    ("inputs", "outputs", "arrays", "said"),
    [
        ({"a": ()}, {"y": (None,)}, {"a": np.float32(1.0)[...]}, "no number of rows in common"),
        (
            {"a": (None,), "b": (None,)},
            {"y": (None,)},
            {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)},
            "no number of rows in common",
        ),
        ({"a": (None,)}, {"y": ()}, {"a": np.zeros(2, np.float32)}, "Output y is not by row"),
        ({"a": (None,)}, {"y": (None,)}, {"a": np.zeros(0, np.float32)}, "There are no rows"),
    ],
)
def test_columns_where_there_are_no_rows(inputs, outputs, arrays, said):
    signature = Signature(
        "s",
        {key: TensorSpec("float32", shape) for key, shape in inputs.items()},
        {key: TensorSpec("float32", shape) for key, shape in outputs.items()},
    )
    example = write(signature, {key: np.asarray(array) for key, array in arrays.items()}, "tf-serving-rest")
    assert json.loads(example.body)["inputs"] == {key: array.tolist() for key, array in arrays.items()}
    assert any(said in note for note in example.notes)


def test_classify_is_asked_with_examples():
    signature = Signature(
        "serving_default",
        {"inputs": TensorSpec("string", (None,))},
        {"scores": TensorSpec("float32", (None, None))},
        "classify",
    )
    message = Example()
    message.features.feature["age"].int64_list.value.append(3)
    message.features.feature["words"].bytes_list.value.extend([b"a", b"\xff"])
    message.features.feature["none"].SetInParent()
    example = write(signature, {"inputs": make_texts(message.SerializeToString())}, "tf-serving-rest")
    assert example.command.endswith(":classify")
    assert json.loads(example.body)["examples"] == [
        {"age": 3, "words": [{"b64": "YQ=="}, {"b64": "/w=="}], "none": []}
    ]
    # What is no example goes as it is.
    example = write(signature, {"inputs": make_texts(b"\xff")}, "tf-serving-rest")
    assert example.command.endswith(":predict")


def test_types_without_a_form_are_said_plainly():
    half = Signature("s", {"a": TensorSpec("bfloat16", (None,))}, {"y": TensorSpec("uint32", (None,))})
    array = np.zeros(1, ml_dtypes.bfloat16)
    for platform, said in (
        ("tf-serving-rest", "REST has no form for bfloat16"),
        ("kserve", "send it with gRPC"),
        ("eas", "no place for the type of output y"),
    ):
        example = write(half, {"a": array}, platform)
        assert (example.command, example.body) == ("", b"")
        assert said in example.notes[0]
    assert write(half, {"a": array}, "tf-serving-grpc").command
    output = Signature("s", {"a": TensorSpec("float32", (None,))}, {"y": TensorSpec("float16", (None,))})
    (note,) = write(output, {"a": np.zeros(1, np.float32)}, "tf-serving-rest").notes
    assert "output y (float16)" in note


def test_eas_leaves_out_what_it_has_no_place_for():
    outputs = {"y": TensorSpec("float32", (None,)), "n": TensorSpec("uint64", (None,))}
    signature = Signature("s", {"a": TensorSpec("float32", (None,))}, outputs)
    example = write(signature, {"a": np.array([0.5], np.float32)}, "eas")
    request = PredictRequest.FromString(example.body)
    assert request.signature_name == "s"
    assert list(request.output_filter) == ["y"]
    assert decode_arrays(request.inputs)["a"].tolist() == [0.5]
    assert any("Output n is left out" in note for note in example.notes)
    assert example.language == "python"
    example = write(signature, {"a": np.array([0.5], np.float32)}, "eas", body_path="a file")
    assert "--data-binary '@a file'" in example.command


def test_long_bodies_do_not_go_into_one_word():
    values = np.full([40, 2000], 0.25, np.float32)
    signature = Signature("s", {"x": TensorSpec("float32", (None, 2000))}, {})
    example = write(signature, {"x": values}, "tf-serving-rest")
    assert max(len(word) for word in shlex.split(example.command.partition(" <<")[0])) < 200
    assert example.body.decode() in example.command


HOSTILE = "'; touch /tmp/never #\n$(touch /tmp/never)`touch /tmp/never`\\"


@pytest.mark.parametrize("platform", ["tf-serving-rest", "kserve"])
def test_names_of_a_model_do_not_act_on_the_shell(platform, tmp_path):
    signature = Signature(HOSTILE, {HOSTILE: TensorSpec("string", ())}, {HOSTILE: TensorSpec("float32", ())})
    text = np.array(HOSTILE.encode(), dtype=object)
    destination = Destination(Platform(platform), HOSTILE)
    example = write_request(signature, RequestValues({HOSTILE: text}), destination)
    script = example.command.replace("curl ", "printf '%s\\0' ", 1).replace("/tmp/never", str(tmp_path / "n"))
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=60)
    assert not (tmp_path / "n").exists()
    sent = json.loads(done.stdout.split(b"\0--data\0")[1].split(b"\0")[0])
    assert sent["signature_name"] == HOSTILE.replace("/tmp/never", str(tmp_path / "n"))


@pytest.mark.parametrize("platform", ["tf-serving-grpc", "eas"])
def test_names_of_a_model_are_literals_of_a_program(platform):
    signature = Signature(HOSTILE, {HOSTILE: TensorSpec("string", ())}, {"y": TensorSpec("float32", ())})
    text = np.array(HOSTILE.encode(), dtype=object)
    destination = Destination(Platform(platform), HOSTILE, url=HOSTILE)
    program = write_request(signature, RequestValues({HOSTILE: text}), destination).command
    literals = [node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant)]
    assert HOSTILE in literals
    assert "touch" not in {node.id for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Name)}


def test_values_are_the_baselines_first_rows(zoo):
    case = zoo("tf1.12-sm_simple-a")
    signatures = read_served_signatures(case.source)
    assert list(signatures) == ["serving_default"]
    sample = Sample({"x": case.read_arrays("inputs")["x"]}, {})
    values = choose_values(
        signatures["serving_default"],
        signatures,
        baseline=Baseline({"serving_default": sample}),
        rows=2,
    )
    np.testing.assert_array_equal(values.inputs["x"], sample.inputs["x"][:2])
    assert values.notes == ()
    made_up = choose_values(signatures["serving_default"], signatures, baseline=None, rows=2)
    assert made_up.inputs["x"].shape == (2, 784)
    assert "made up" in made_up.notes[0]
    with pytest.raises(SettingsError, match="other inputs"):
        choose_values(
            signatures["serving_default"],
            signatures,
            baseline=Baseline({"serving_default": Sample({"z": sample.inputs["x"]}, {})}),
            rows=1,
        )


def test_a_model_that_no_server_takes(zoo):
    with pytest.raises(BrokenSourceError, match="no graph that a server takes"):
        read_served_signatures(zoo("bad-sm_no_serve_tag-a").source)


def test_no_tensorflow_is_imported():
    program = "import sys, servable.deploy.requests.writing, servable.serving.server\n"
    program += "print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "False"
