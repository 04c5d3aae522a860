"""Warm-up requests, read by TensorFlow's own reader and TensorFlow Serving's own messages."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.deploy.predict_requests import make_request, read_request
from servable.deploy.warm_up import WARM_UP_FILE, add_warm_up
from servable.errors import CheckError
from servable.formats.digest import digest_tree
from servable.signature import Signature, TensorSpec


@pytest.fixture
def stamped(zoo, tmp_path):
    """A copy of a SavedModel with one free dimension, and its signature's input key."""
    shutil.copytree(zoo("tf2.16-sm_keras_export-a").source, tmp_path / "1")
    return tmp_path / "1"


@pytest.fixture
def rows():
    return np.random.default_rng(5).normal(size=(40, 6)).astype(np.float32)


@pytest.fixture
def baseline(rows):
    return Baseline({"serving_default": Sample({"keras_tensor": rows}, {})})


def read_with_tensorflow(path):
    tf = pytest.importorskip("tensorflow")
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    for record in records:
        request = log.PredictionLog.FromString(record).predict_log.request
        yield request, {key: tf.make_ndarray(value) for key, value in request.inputs.items()}


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_server_reads_what_was_written(stamped, baseline, rows):
    outcome = add_warm_up(stamped, baseline)
    assert (outcome.requests, outcome.signatures, outcome.faults) == (2, ("serving_default",), ())
    (one, first), (many, more) = read_with_tensorflow(stamped / "assets.extra" / "tf_serving_warmup_requests")
    assert one.model_spec.signature_name == many.model_spec.signature_name == "serving_default"
    np.testing.assert_array_equal(first["keras_tensor"], rows[:1])
    np.testing.assert_array_equal(more["keras_tensor"], rows[:32])
    assert [path.name for path in (stamped / "assets.extra").iterdir()] == ["tf_serving_warmup_requests"]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (
            {"keras_tensor": np.zeros((2, 5), np.float32)},
            "a warm-up request of signature serving_default fails",
        ),
        ({}, "a warm-up request of signature serving_default fails"),
    ],
)
def test_requests_that_fail_leave_no_file(stamped, inputs, said):
    before = digest_tree(stamped)
    outcome = add_warm_up(stamped, Baseline({"serving_default": Sample(inputs, {})}))
    assert outcome.requests == 0
    assert said in outcome.faults[0]
    assert not (stamped / WARM_UP_FILE).exists()
    shutil.rmtree(stamped / "assets.extra")
    assert digest_tree(stamped) == before


def test_a_baseline_of_other_signatures_makes_none(stamped):
    outcome = add_warm_up(stamped, Baseline({"other": Sample({}, {})}))
    assert outcome.faults == ("the baseline has no inputs for any signature of the model",)
    assert not (stamped / WARM_UP_FILE).exists()


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"keras_tensor": np.zeros((2, 6), np.float64)}, "float32"),
        ({"other": np.zeros((2, 6), np.float32)}, "keras_tensor"),
    ],
)
def test_inputs_that_are_not_the_signatures_are_refused(stamped, inputs, expected):
    with pytest.raises(CheckError, match=expected):
        add_warm_up(stamped, Baseline({"serving_default": Sample(inputs, {})}))
    assert not (stamped / WARM_UP_FILE).exists()


def test_a_model_that_cannot_be_loaded_gets_none(stamped, baseline):
    shutil.rmtree(stamped / "variables")
    outcome = add_warm_up(stamped, baseline)
    assert outcome.faults
    assert not (stamped / WARM_UP_FILE).exists()


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_type_survives_and_is_tensorflows_own():
    tf = pytest.importorskip("tensorflow")
    arrays = {
        "text": np.array([[b"a\0b", b""], ["ü".encode(), b"d"]], dtype=object),
        "empty": np.zeros((0, 3), np.int64),
        "scalar": np.array(True),
        "half": np.array([0.5, np.nan], np.float16),
        "brain": np.array([1.5, -2], tf.bfloat16.as_numpy_dtype),
        "numbers": np.array([1 << 40, -1]),
        "complex": np.array([1 + 2j], np.complex64),
    }
    dtypes = {"text": "string", "empty": "int64", "scalar": "bool", "half": "float16", "brain": "bfloat16"}
    dtypes |= {"numbers": "int64", "complex": "complex64"}
    signature = Signature("s", {key: TensorSpec(dtype, None) for key, dtype in dtypes.items()}, {})
    request = make_request(signature, arrays).predict_log.request
    name, found = read_request(request)
    assert name == "s"
    for key, array in arrays.items():
        theirs = tf.make_tensor_proto(0).FromString(request.inputs[key].SerializeToString())
        np.testing.assert_array_equal(tf.make_ndarray(theirs), array)
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype == array.dtype
