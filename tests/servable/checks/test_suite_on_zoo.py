"""SavedModels that older runtimes wrote, with those runtimes' own answers, and broken or hostile ones."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.checks.policy import CheckPolicy
from servable.checks.suite import CHECKS, check_servable
from servable.report import Report, Severity

ZOO = Path(__file__).parents[2] / "data" / "zoo"
RIGHT = [
    "tf1.12-sm_simple-a",
    "tf1.12-sm_assets-a",
    "tf1.15-sm_assets-a",
    "tf1.15-sm_predict_images-a",
    "tf2.3-sm_keras-a",
    "tf2.3-sm_module-a",
    "tf2.16-sm_keras_export-a",
    "tf2.16-sm_module-a",
]


def read_case(name):
    """Folder of the SavedModel, and the baseline where the case has one input and one output."""
    folder = ZOO / name
    case = json.loads((folder / "case.json").read_text())
    saved_model_dir = folder / (case.get("saved_model") or case["path"])
    if not (folder / "golden.npz").exists():
        return saved_model_dir, None
    with np.load(folder / "golden.npz") as arrays:
        (given,), (answer,) = ([read_array(arrays, e) for e in case[side]] for side in ("inputs", "outputs"))
    samples = {
        signature: Sample(dict.fromkeys(keys["inputs"], given), dict.fromkeys(keys["outputs"], answer))
        for signature, keys in case["meta_graphs"][0]["signatures"].items()
        if not signature.startswith("__")
    }
    return saved_model_dir, Baseline(samples)


def read_array(arrays, entry):
    value = arrays[entry["key"]]
    if entry.get("encoding") != "base64":
        return value
    return np.array([base64.b64decode(text) for text in value.ravel().tolist()], dtype=object).reshape(
        value.shape
    )


def copy_case(name, tmp_path):
    saved_model_dir, baseline = read_case(name)
    return shutil.copytree(saved_model_dir, tmp_path / "model"), baseline


@pytest.mark.parametrize("name", RIGHT)
def test_right_models_pass_every_check_with_their_own_runtimes_answers(name, report_faults):
    saved_model_dir, baseline = read_case(name)
    policy = CheckPolicy(runtimes=("current",))
    report = check_servable(saved_model_dir, baseline=baseline, policy=policy)
    assert [f for f in report.findings if f.severity is Severity.ERROR] == []
    assert report.skipped == ()
    assert report.checked == tuple(check.name for check in CHECKS if check.is_asked(policy))
    for differences in report.facts["worst_differences"].values():
        assert all(worst < 1e-5 for worst in differences.values())
    assert Report.from_json(report.to_json()) == report
    assert report_faults(report.to_dict()) == []
    assert report.facts["signature_specs"].keys() == report.facts["signatures"].keys()
    assert sum(w["size_bytes"] for w in report.facts["weights"]) == report.facts["variable_bytes"]


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("bad-sm_garbage_pb-a", "layout", "not a readable SavedModel"),
        ("bad-sm_no_serve_tag-a", "tags", "{train}"),
        ("bad-sm_no_signature-a", "signatures", "no signature"),
        ("bad-sm_no_variables-a", "variables", "missing"),
        ("bad-sm_pyfunc-a", "ops", "PyFunc"),
        ("bad-sm_readfile-a", "ops", "ReadFile"),
        ("bad-sm_writefile-a", "ops", "WriteFile"),
    ],
)
def test_bad_models_fail_for_their_own_reason_and_are_not_run(name, check, words, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the runtime was started")

    monkeypatch.setattr("servable.checks.context.open_session", refuse)
    report = check_servable(read_case(name)[0])
    # There is no Python in a server: that is for the target to say, too.
    assert {f.check for f in report.errors} == {check} | ({"target"} if words == "PyFunc" else set())
    assert words in report.errors[0].message
    assert not report.passed


def test_wrong_baseline_is_told_with_its_worst_element():
    saved_model_dir, baseline = read_case("tf1.12-sm_simple-a")
    sample = baseline.samples["serving_default"]
    outputs = sample.outputs["y"].copy()
    outputs[2, 7] += 0.25
    wrong = Baseline({"serving_default": Sample(sample.inputs, {"y": outputs})})
    (error,) = check_servable(saved_model_dir, baseline=wrong).errors
    assert error.check == "fidelity"
    assert "1 of 30 values differ; worst at [2, 7]" in error.message


def test_baseline_of_other_shape_inputs_or_signatures(tmp_path):
    saved_model_dir, baseline = read_case("tf1.12-sm_simple-a")
    inputs, outputs = baseline.samples["serving_default"].inputs, baseline.samples["serving_default"].outputs

    def find_error(sample, name="serving_default"):
        return check_servable(saved_model_dir, baseline=Baseline({name: sample})).errors[0]

    assert "output is missing" in find_error(Sample(inputs, {"z": outputs["y"]})).message
    assert "shape" in find_error(Sample(inputs, {"y": outputs["y"][:2]})).message
    assert "expected x, received images" in find_error(Sample({"images": inputs["x"]}, outputs)).message
    assert "not there" in find_error(Sample(inputs, outputs), "other").message


def test_baseline_that_is_not_finite_is_an_error_of_the_trainers():
    saved_model_dir, baseline = read_case("tf1.12-sm_simple-a")
    sample = baseline.samples["serving_default"]
    outputs = sample.outputs["y"].copy()
    outputs[0, 3] = np.nan
    report = check_servable(
        saved_model_dir, baseline=Baseline({"serving_default": Sample(sample.inputs, {"y": outputs})})
    )
    assert "source framework itself answers 1 NaN" in report.errors[0].message


def test_flipped_byte_in_the_weights(tmp_path):
    model_dir, _ = copy_case("tf1.12-sm_simple-a", tmp_path)
    shard = model_dir / "variables" / "variables.data-00000-of-00001"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    report = check_servable(model_dir)
    assert "weights" in {f.check for f in report.errors}


def test_truncated_shard(tmp_path):
    model_dir, _ = copy_case("tf1.12-sm_simple-a", tmp_path)
    shard = model_dir / "variables" / "variables.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-1000])
    report = check_servable(model_dir)
    assert {f.check for f in report.errors} == {"variables"}


def test_variables_of_another_model(tmp_path):
    model_dir, _ = copy_case("tf2.16-sm_module-a", tmp_path)
    other_dir, _ = read_case("tf1.12-sm_simple-a")
    shutil.rmtree(model_dir / "variables")
    shutil.copytree(other_dir / "variables", model_dir / "variables")
    report = check_servable(model_dir)
    assert any("not in the files" in f.message for f in report.errors)


def test_asset_that_was_not_copied_along(tmp_path):
    model_dir, _ = copy_case("tf1.15-sm_assets-a", tmp_path)
    (model_dir / "assets" / "vocab.txt").unlink()
    report = check_servable(model_dir)
    assert report.checked == ("layout",)
    assert "vocab.txt" in report.errors[0].where


def test_inputs_are_made_up_where_there_is_no_baseline():
    report = check_servable(read_case("tf2.16-sm_keras_export-a")[0])
    assert report.passed
    assert [s.check for s in report.skipped] == ["fidelity"]


def test_progress_counts_the_bytes_of_the_weights():
    told = []
    check_servable(
        read_case("tf1.12-sm_simple-a")[0],
        policy=CheckPolicy(switched_off=frozenset({"serving_load"})),
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    size_bytes = (784 * 10 + 10) * 4
    assert told[-1] == ("weights", size_bytes, size_bytes)


def test_checks_that_need_the_runtime_are_skipped_with_it():
    policy = CheckPolicy(switched_off=frozenset({"serving_load"}))
    saved_model_dir, baseline = read_case("tf1.12-sm_simple-a")
    report = check_servable(saved_model_dir, baseline=baseline, policy=policy)
    assert report.passed
    left_out = ["serving_load", "fidelity", "inference_mode", "batch", "cost", "robustness"]
    assert [s.check for s in report.skipped] == left_out


def test_the_command_line_takes_a_previous_model(capsys):
    from servable.cli import main

    path = str(read_case("tf1.12-sm_simple-a")[0])
    assert main(["check", path, "--previous", path, "--json"]) == 0
    ratios = json.loads(capsys.readouterr().out)["facts"]["cost"]["previous"]["ratios"]
    assert ratios["variable_bytes"] == 1.0
