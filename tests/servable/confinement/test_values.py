"""Values that travel between the processes: the corridor's types there and back, nothing odd believed."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.confinement.limits import SettledLimits
from servable.confinement.values import decode_value, encode_value
from servable.convert import Conversion, ConversionOptions
from servable.model import Origin
from servable.report import Finding, Severity
from servable.signature import Signature, SignatureRequest, TensorSpec
from servable.sources.options import SourceOptions


def send(value):
    arrays = []
    return decode_value(type(value), encode_value(value, arrays), arrays)


def test_options_come_back_as_they_were():
    options = ConversionOptions(
        signatures=(SignatureRequest("a", {"x": "x:0"}, {"y": "y:0"}, method="predict"),),
        frozen={"is_training": False, "keep_prob": 1.0, "steps": 1, "mode": "infer"},
        source=SourceOptions(
            step=7,
            module=Path("model.py"),
            replace_layers={"l": "f.py:g"},
            tags=("serve", "gpu"),
            assets={"words.txt": Path("/data/words.txt")},
            allowed_ops=frozenset({"ReadFile", "PyFunc"}),
        ),
        inputs=Path("inputs.npz"),
        default_signature=None,
        target="kserve",
    )
    returned = send(options)
    assert returned == options
    assert {name: type(value) for name, value in returned.frozen.items()} == {
        "is_training": bool,
        "keep_prob": float,
        "steps": int,
        "mode": str,
    }


def test_a_conversion_comes_back_as_it_was():
    outputs = {
        "half": np.array([[1.5, np.nan]], dtype=ml_dtypes.bfloat16),
        "text": np.array([[b"\xff\x00"], [b""]], dtype=object),
        "empty": np.zeros((0, 3), np.float32),
    }
    spec = TensorSpec("float32", (None, 3), "x:0")
    conversion = Conversion(
        saved_model_dir=Path("out/1"),
        origin=Origin(Path("m.h5"), "keras_h5", "keras", "2.2.4", (Path("m.h5"),), None, "0" * 64),
        requests=(SignatureRequest("s"),),
        signatures={"s": Signature("s", {"x": spec}, {"y": TensorSpec("string", None)})},
        baseline=Baseline({"s": Sample({}, outputs)}, invented=True),
        digest="1" * 64,
        notes=(Finding("source", Severity.WARNING, "an odd name: \udcff"),),
        target="tensorflow-1.15",
    )
    returned = send(conversion)
    assert returned.origin == conversion.origin
    assert returned.signatures == conversion.signatures
    assert returned.notes == conversion.notes
    assert returned.target == "tensorflow-1.15"
    assert returned.notes[0].severity is Severity.WARNING
    assert returned.baseline.invented
    assert {key: value.dtype for key, value in returned.baseline.samples["s"].outputs.items()} == {
        key: value.dtype for key, value in outputs.items()
    }


@pytest.mark.parametrize(
    "data",
    [
        {"time_limit_s": 1.0, "memory_bytes": 1, "file_bytes": 1},
        {"time_limit_s": 1.0, "memory_bytes": 1, "file_bytes": 1, "network": False, "more": 1},
        {"time_limit_s": 1.0, "memory_bytes": True, "file_bytes": 1, "network": False},
        {"time_limit_s": 1.0, "memory_bytes": 1, "file_bytes": 1, "network": 0},
        {"time_limit_s": "1", "memory_bytes": 1, "file_bytes": 1, "network": False},
        {"time_limit_s": None, "memory_bytes": 1, "file_bytes": 1, "network": False},
        ["time_limit_s"],
        None,
    ],
)
def test_what_does_not_fit_is_refused(data):
    with pytest.raises(ValueError, match="expected"):
        decode_value(SettledLimits, data, [])


@pytest.mark.parametrize("number", [-1, 1, True, "0", None])
def test_an_array_that_is_not_there_is_refused(number):
    with pytest.raises(ValueError, match="expected"):
        decode_value(Sample, {"inputs": {"x": number}, "outputs": {}}, [np.zeros(1)])


@pytest.mark.parametrize("value", [object(), {1: "key that is no text"}, b"bytes"])
def test_other_types_do_not_travel(value):
    with pytest.raises(TypeError, match="cannot be passed"):
        encode_value(value, [])
