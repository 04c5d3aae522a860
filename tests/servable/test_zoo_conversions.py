"""Model files of many runtimes through the command line, against the outputs of those who wrote them."""

import json

import numpy as np
import pytest

from servable.cli import main
from servable.export.exporting import read_signatures
from servable.runtime.outcome import Call
from servable.runtime.session import run_calls

pytestmark = [pytest.mark.tensorflow]

TF1_CASES = ("tf1.*-lr-?", "tf1.*-cnn_bn-?", "tf1.*-dropout-?", "tf1.*-multi_head-?", "tf1.*-lookup-?")
KERAS_CASES = ("k2*-[!jl]*-a", "tfk*-[!jl]*-a", "keras3*-[!l]*-a")


def ask_cpp_runtime(saved_model_dir, signatures, inputs):
    """Answers of every signature, by name and output key; nothing of Python TensorFlow takes part."""
    calls = [
        Call(
            {spec.tensor: inputs[key] for key, spec in signature.inputs.items()},
            tuple(spec.tensor for spec in signature.outputs.values()),
        )
        for signature in signatures.values()
    ]
    outcome = run_calls(saved_model_dir, calls)
    assert outcome.load_fault is None
    for signature, call, result in zip(signatures.values(), calls, outcome.results, strict=True):
        assert result.fault is None, result.fault
        yield dict(zip(signature.outputs, (result.outputs[name] for name in call.fetches), strict=True))


@pytest.mark.zoo(*TF1_CASES, *KERAS_CASES)
def test_the_pushed_model_answers_as_its_trainer_did(zoo, case_name, tmp_path, capsys):
    case = zoo(case_name)
    out = tmp_path / "1"
    words = ["convert", str(case.source), str(out), "--signature", "predict_images", "--no-check"]
    words += [f"--input={key}={tensor}" for key, tensor in case.name_ends("inputs").items()]
    words += [f"--output={key}={tensor}" for key, tensor in case.name_ends("outputs").items()]
    if case.name.startswith("tf1"):
        words += [f"--set={tensor}={value}" for tensor, value in case.frozen.items()]
    assert main([*words, "--no-baseline", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["saved_model"] == str(out)

    signatures = read_signatures(out)
    assert set(signatures) == {"predict_images", "serving_default"}
    inputs, wanted = case.read_arrays("inputs"), case.read_arrays("outputs")
    for answers in ask_cpp_runtime(out, signatures, inputs):
        assert set(answers) == set(wanted)
        for key, value in wanted.items():
            if value.dtype.kind == "f":
                np.testing.assert_allclose(answers[key], value, rtol=1e-4, atol=1e-4)
            else:
                assert answers[key].tolist() == value.tolist()
