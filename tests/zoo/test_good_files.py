"""Every good file of the zoo: converted as a user would type it, moved, and asked in the C++ runtime.

The baseline and the SavedModel both have to answer as the runtime that wrote the file did, to 1e-4.
"""

import shutil

import numpy as np
import pytest

from servable.baseline import load_baseline
from servable.cli import main
from servable.export.exporting import read_signatures
from servable.runtime.outcome import Call
from servable.runtime.session import run_calls
from servable.signature import DEFAULT_SIGNATURE

pytestmark = pytest.mark.tensorflow


@pytest.mark.zoo("k2*", "keras*", "tf*")
def test_answers_are_those_of_the_runtime_that_wrote_the_file(
    zoo, case_name, tmp_path, type_command, record_property, capfd
):
    case = zoo(case_name)
    record_property("kind", case.facts["kind"])
    inputs, wanted = case.read_arrays("inputs"), case.read_arrays("outputs")
    for ema in sorted({end.get("needs") == "ema" for end in case.facts["outputs"]}):
        out_dir = tmp_path / f"ema-{ema}"
        words = type_command(case, out_dir, ema=ema)
        is_named = "--signature=predict_images" in words
        if is_named:
            np.savez(tmp_path / "inputs.npz", **{key: to_plain(value) for key, value in inputs.items()})
            words += [f"--inputs={tmp_path / 'inputs.npz'}", f"--baseline-out={tmp_path / 'baseline.npz'}"]
        # Where the file has its own names, golden inputs have others: the checks then do the comparing.
        words += ["--no-check"] if is_named else []
        assert main(words) == 0, capfd.readouterr().err
        assert "no baseline" not in capfd.readouterr().out
        names = [end["name"] for end in case.facts["outputs"] if (end.get("needs") == "ema") == ema]
        if is_named:
            sample = load_baseline(tmp_path / "baseline.npz").samples["predict_images"]
            compare_answers(sample.outputs, {name: wanted[name] for name in names})
        moved_dir = tmp_path / "elsewhere" / out_dir.name
        shutil.move(out_dir, moved_dir)
        signatures = read_signatures(moved_dir)
        if is_named:
            assert set(signatures) == {"predict_images", DEFAULT_SIGNATURE}
        signature = signatures.get(DEFAULT_SIGNATURE) or next(iter(signatures.values()))
        answers = ask_cpp_runtime(moved_dir, signature, inputs, names)
        compare_answers(answers, {name: wanted[name] for name in names})


def to_plain(value):
    """`.npz` holds no objects; bytes that end in zeros would lose them."""
    if value.dtype != object:
        return value
    assert not any(item.endswith(b"\0") for item in value.ravel())
    return value.astype(np.bytes_)


def ask_cpp_runtime(saved_model_dir, signature, inputs, names):
    """Nothing of Python TensorFlow takes part."""
    feeds = {
        find_end(signature.inputs, name, position).tensor: value
        for position, (name, value) in enumerate(inputs.items())
    }
    fetches = {name: find_end(signature.outputs, name, i).tensor for i, name in enumerate(names)}
    outcome = run_calls(saved_model_dir, [Call(feeds, tuple(fetches.values()))])
    assert outcome.load_fault is None, outcome.load_fault
    assert outcome.results[0].fault is None, outcome.results[0].fault
    return {name: outcome.results[0].outputs[tensor] for name, tensor in fetches.items()}


def find_end(side, name, position):
    """By name, or by place where the file has its own names."""
    return side[name] if name in side else list(side.values())[position]


def compare_answers(answers, wanted):
    assert set(answers) == set(wanted)
    for name, value in wanted.items():
        assert answers[name].shape == value.shape
        if value.dtype.kind == "f":
            np.testing.assert_allclose(answers[name], value, rtol=1e-4, atol=1e-4)
        else:
            assert answers[name].tolist() == value.tolist()
