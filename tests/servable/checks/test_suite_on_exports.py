"""SavedModels of the installed TensorFlow, each right or wrong in one way (see conftest)."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.checks.policy import CheckPolicy
from servable.checks.suite import check_servable
from servable.report import Severity

pytestmark = pytest.mark.tensorflow

WEIGHTS = (np.arange(18, dtype=np.float32).reshape(6, 3) + 1.0) / 4.0

ON_ANSWERS = {"fidelity", "inference_mode", "batch", "cost", "robustness"}


def find(report, severity=Severity.ERROR):
    return [(f.check, f.message) for f in report.findings if f.severity is severity]


def make_baseline(inputs, outputs):
    return Baseline({"serving_default": Sample(inputs, outputs)})


def test_right_model_passes_with_numpys_answer(exported_models, rows):
    logits = rows @ WEIGHTS
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    report = check_servable(exported_models["right"], baseline=make_baseline({"x": rows}, {"y": expected}))
    assert report.findings == ()
    assert report.skipped == ()


def test_one_wrong_element_is_found(exported_models, rows):
    # Rows of the identity: only row 2 sees the one weight that is off by 1e-3, and only in column 1.
    baseline = make_baseline({"x": rows}, {"y": rows @ WEIGHTS})
    assert check_servable(exported_models["linear"], baseline=baseline).passed
    ((check, message),) = find(check_servable(exported_models["wrong_element"], baseline=baseline))
    assert check == "fidelity"
    assert "1 of 12 values differ; worst at [2, 1]: expected 2, received 2.0" in message


def test_tolerance_of_the_policy_decides(exported_models, rows):
    baseline = make_baseline({"x": rows}, {"y": rows @ WEIGHTS})
    policy = CheckPolicy.from_dict({"tolerances": {"float32": {"atol": 0.01, "rtol": 0}}})
    report = check_servable(exported_models["wrong_element"], baseline=baseline, policy=policy)
    assert report.passed
    assert report.facts["worst_differences"]["serving_default"]["y"] == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dropout", "differently the second time"),
        ("v1_switch", "differently the second time"),
        ("stateless_dropout", "alone is answered otherwise"),
        ("batch_norm_in_training", "alone is answered otherwise"),
        ("batch_moments", "alone is answered otherwise"),
    ],
)
def test_training_behaviour_is_found_by_running(exported_models, name, words):
    ((check, message),) = find(check_servable(exported_models[name]))
    assert check == "inference_mode"
    assert words in message


def test_switch_that_nobody_feeds_is_named(exported_models):
    warnings = find(check_servable(exported_models["v1_switch"]), Severity.WARNING)
    assert any("default 0.5 looks like a training value" in message for _, message in warnings)


@pytest.mark.parametrize("name", ["dropout_switched_off", "row_norm_fused"])
def test_training_ops_without_an_effect_are_no_more_than_information(exported_models, name):
    report = check_servable(exported_models[name])
    assert report.passed
    assert find(report, Severity.WARNING) == []
    ((check, message),) = find(report, Severity.INFO)
    assert check == "inference_mode"
    assert "no effect" in message


def test_rows_that_belong_together_can_be_allowed(exported_models):
    policy = CheckPolicy(switched_off=frozenset({"inference_mode"}))
    assert check_servable(exported_models["batch_moments"], policy=policy).passed


def test_nan_and_infinite_weights_are_counted_and_located(exported_models):
    ((check, message),) = find(check_servable(exported_models["nan_weight"]))
    assert check == "weights"
    assert "1 NaN and 1 infinite values of 18, first at [4, 1]" in message


@pytest.mark.parametrize(("name", "op"), [("python_in_branch", "PyFunc"), ("file_in_branch", "ReadFile")])
def test_danger_in_a_branch_is_found_before_anything_runs(exported_models, name, op):
    report = check_servable(exported_models[name])
    (check, message), *others = find(report)
    assert check == "ops"
    assert op in message
    # A server has no Python to run: that is for the target to say, too.
    assert [other for other, _ in others] == (["target"] if op == "PyFunc" else [])
    assert "serving_load" not in report.checked


def test_vocabulary_file_is_an_asset(exported_models):
    words = np.array([b"word", b"none", b"a"], dtype=object)
    expected = {"id": np.array([1, -1, 0]), "word": np.array([b"WORD", b"NONE", b"A"], dtype=object)}
    baseline = make_baseline({"words": words}, expected)
    report = check_servable(exported_models["vocabulary"], baseline=baseline)
    assert report.findings == ()
    wrong = make_baseline(
        {"words": words}, expected | {"word": np.array([b"WORD", b"NONE", b"B"], dtype=object)}
    )
    ((_, message),) = find(check_servable(exported_models["vocabulary"], baseline=wrong))
    assert "first at [2]: expected b'B', received b'A'" in message


def test_made_up_inputs_that_are_refused_are_a_warning(exported_models):
    report = check_servable(exported_models["packed_examples"])
    assert report.passed
    ((check, message),) = find(report, Severity.WARNING)
    assert check == "serving_load"
    assert "Could not parse example" in message
    assert {s.check for s in report.skipped} == ON_ANSWERS - {"cost"}


def test_examples_are_made_up_as_the_graph_parses_them(exported_models):
    report = check_servable(exported_models["examples"])
    assert report.findings == ()
    assert {s.check for s in report.skipped} == {"fidelity"}


def test_dropout_behind_a_parser_is_found_without_a_baseline(exported_models):
    report = check_servable(exported_models["examples_with_dropout"])
    assert {check for check, _ in find(report)} == {"inference_mode"}


def test_real_inputs_that_are_refused_are_an_error(exported_models):
    baseline = make_baseline({"examples": np.array([b"no example"], dtype=object)}, {"y": np.zeros((1, 3))})
    assert (
        "Could not parse example"
        in find(check_servable(exported_models["examples"], baseline=baseline))[0][1]
    )


def test_fixed_number_of_rows_is_a_warning(exported_models):
    report = check_servable(exported_models["fixed_rows"])
    assert report.passed
    ((check, message),) = find(report, Severity.WARNING)
    assert check == "batch"
    assert "[2, 6]" in message


def test_number_of_rows_that_only_the_graph_fixes_is_an_error(exported_models):
    ((check, message),) = find(check_servable(exported_models["reshaped_to_batch"]))
    assert check == "batch"
    assert "1 rows" in message


def test_placeholder_without_a_value(exported_models):
    ((check, message),) = find(check_servable(exported_models["v1_unfed"]))
    assert check == "signatures"
    assert "'scale'" in message


def test_leftovers_of_training(exported_models):
    report = check_servable(exported_models["v1_leftovers"])
    warnings = dict(find(report, Severity.WARNING))
    assert set(dict(find(report))) <= {"inference_mode"}
    messages = [message for _, message in find(report, Severity.WARNING)]
    assert any(
        "TFRecordReaderV2" in message and "nothing that a server runs" in message for message in messages
    )
    assert any("AssignAdd changes a variable" in message for message in messages)
    assert set(warnings) == {"ops"}


def test_endless_request_is_ended(exported_models):
    started = time.monotonic()
    report = check_servable(exported_models["endless"], policy=CheckPolicy(run_time_s=2))
    assert time.monotonic() - started < 20
    ((check, message),) = find(report)
    assert check == "serving_load"
    assert "timeout" in message
    assert {s.check for s in report.skipped} == ON_ANSWERS


def test_request_that_takes_all_memory_is_ended(exported_models):
    report = check_servable(exported_models["greedy"], policy=CheckPolicy(memory_bytes=2 << 30))
    ((check, message),) = find(report)
    assert check == "serving_load"
    assert "out_of_memory" in message
    assert report.facts["peak_memory_bytes"] < 2 << 30


def test_no_busy_child_outlives_a_killed_parent(exported_models):
    program = (
        "import sys\nfrom pathlib import Path\nimport numpy as np\n"
        "from servable.runtime.outcome import Call\nfrom servable.runtime.session import open_session\n"
        "with open_session(Path(sys.argv[1])) as session:\n"
        "    print(session._process._popen.pid, flush=True)\n"
        "    feeds = {'serving_default_x:0': np.ones((1, 6), np.float32)}\n"
        "    session.run(Call(feeds, ('StatefulPartitionedCall:0',)))\n"
    )
    command = [sys.executable, "-c", program, str(exported_models["endless"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = Path("/proc", parent.stdout.readline().strip())
        time.sleep(2)  # by now it is inside the endless request, where it does not see its pipe close
        assert child.exists()
        parent.kill()
    deadline = time.monotonic() + 10
    while child.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists()


def test_a_single_row_is_put_beside_another_one(exported_models, rows):
    # Two of the same row would not show that each is normalized with both.
    baseline = make_baseline({"x": rows[:1]}, {})
    report = check_servable(exported_models["batch_moments"], baseline=baseline)
    assert any(
        "beside another one" in message for check, message in find(report) if check == "inference_mode"
    )


def test_tolerance_of_one_output_decides(exported_models, rows):
    baseline = make_baseline({"x": rows}, {"y": rows @ WEIGHTS})
    for key, passes in (("y", True), ("serving_default/y", True), ("z", False)):
        policy = CheckPolicy.from_dict({"output_tolerances": {key: {"atol": 0.01, "rtol": 0}}})
        report = check_servable(exported_models["wrong_element"], baseline=baseline, policy=policy)
        assert report.passed is passes


def test_the_model_runs_from_a_copy_elsewhere(exported_models):
    report = check_servable(exported_models["vocabulary"])
    assert report.facts["loaded_from"] == "a copy"
    assert report.passed


def test_cost_is_told_in_figures_and_judged_by_a_budget(exported_models):
    cost = check_servable(exported_models["right"]).facts["cost"]
    assert cost["variable_bytes"] == 6 * 3 * 4
    assert cost["graph_bytes"] == (exported_models["right"] / "saved_model.pb").stat().st_size
    assert cost["peak_memory_bytes"] > 50e6
    assert set(cost["latencies"]["serving_default"]) == {"1", "64"}
    for figures in cost["latencies"]["serving_default"].values():
        assert 0 < figures["p50_s"] <= figures["p90_s"] <= figures["p99_s"]
    policy = CheckPolicy.from_dict({"budget": {"variable_bytes": 71}})
    ((check, message),) = find(check_servable(exported_models["right"], policy=policy))
    assert (check, "at most 71 bytes of variables, measured 72" in message) == ("cost", True)


def test_a_model_beside_itself_is_no_regression(exported_models):
    path = exported_models["right"]
    policy = CheckPolicy.from_dict({"budget": {"graph_bytes_ratio": 1.0, "variable_bytes_ratio": 1.0}})
    report = check_servable(path, previous=path, policy=policy)
    assert report.passed
    assert report.facts["cost"]["previous"]["ratios"]["graph_bytes"] == 1.0
    assert "latency_p50_s" in report.facts["cost"]["previous"]["ratios"]
