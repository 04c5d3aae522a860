import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.checks import runtimes
from servable.checks.policy import CheckPolicy
from servable.checks.proving import prove_servable
from servable.checks.suite import check_servable
from servable.errors import SettingsError
from servable.report import Report, Severity
from servable.report_page import render_page
from servable.runtime.installed import InstalledRuntime, find_current


@pytest.fixture
def no_old_runtimes(monkeypatch, tmp_path):
    monkeypatch.setenv("SERVABLE_CACHE_DIR", str(tmp_path / "no-cache"))


@pytest.fixture
def simple(zoo):
    return zoo("tf1.12-sm_simple-a")


@pytest.fixture
def baseline(simple):
    return make_baseline(simple.read_arrays("inputs"), simple.read_arrays("outputs"))


@pytest.fixture
def as_other_version(monkeypatch):
    """Lets the installed TensorFlow be found under other numbers too."""

    def find(version):
        return InstalledRuntime(version, find_current().library)

    monkeypatch.setattr(runtimes, "find_runtime", find)


def make_baseline(inputs, outputs):
    return Baseline({"serving_default": Sample(inputs, outputs)})


def find_errors(report):
    return [f for f in report.findings if f.check == "runtimes" and f.severity is Severity.ERROR]


def test_nobody_asked_nothing_is_said(simple):
    report = check_servable(simple.source)
    assert "runtimes" not in {*report.checked, *(s.check for s in report.skipped)}
    assert "runtimes" not in report.facts


def test_agreement_is_told_with_its_figures(simple, baseline):
    report = check_servable(simple.source, baseline=baseline, policy=CheckPolicy(runtimes=("current",)))
    assert report.passed
    assert report.checked[-1] == "runtimes"
    (proof,) = report.facts["runtimes"].values()
    assert proof["version"] == find_current().version
    assert proof["installed"]
    assert proof["loaded"]
    assert proof["ran"] == ["serving_default"]
    assert proof["compared_with"] == ["the baseline"]
    assert 0 <= proof["worst_difference"]["serving_default"]["y"] < 1e-5
    assert 0 < proof["load_time_s"] < 60
    assert proof["peak_memory_bytes"] > 50e6
    assert Report.from_json(report.to_json()) == report
    page = render_page(report, title="m")
    assert "Runtimes that ran it" in page
    assert proof["version"] in page


def test_one_wrong_element_is_found_and_shown(simple, baseline):
    outputs = {"y": baseline.samples["serving_default"].outputs["y"].copy()}
    outputs["y"][1, 7] += 0.5
    wrong = make_baseline(baseline.samples["serving_default"].inputs, outputs)
    report = prove_servable(simple.source, ["current"], baseline=wrong)
    (finding,) = find_errors(report)
    assert "answers otherwise than the baseline" in finding.message
    assert "1 of 30 values differ; worst at [1, 7]" in finding.message
    assert finding.where == "signature serving_default, output y"
    (proof,) = report.facts["runtimes"].values()
    assert proof["differing"] == ["serving_default/y"]
    assert proof["worst_difference"]["serving_default"]["y"] == pytest.approx(0.5, abs=1e-4)


def test_tolerances_of_the_policy_hold(simple, baseline):
    outputs = {"y": baseline.samples["serving_default"].outputs["y"] + np.float32(0.01)}
    off = make_baseline(baseline.samples["serving_default"].inputs, outputs)
    loose = CheckPolicy.from_dict({"tolerances": {"float32": {"atol": 0.02, "rtol": 0}}})
    assert not prove_servable(simple.source, ["current"], baseline=off).passed
    assert prove_servable(simple.source, ["current"], baseline=off, policy=loose).passed


def test_an_output_that_is_not_there_is_an_error(simple, baseline):
    sample = baseline.samples["serving_default"]
    more = make_baseline(sample.inputs, {**sample.outputs, "z": np.zeros(3, np.float32)})
    (finding,) = find_errors(prove_servable(simple.source, ["current"], baseline=more))
    assert "missing" in finding.message
    assert finding.where == "signature serving_default, output z"


def test_a_signature_that_is_not_there_is_an_error(simple, baseline):
    other = Baseline({"predict_images": baseline.samples["serving_default"]})
    (finding,) = find_errors(prove_servable(simple.source, ["current"], baseline=other))
    assert "not there" in finding.message
    assert finding.where == "signature predict_images"


def test_other_inputs_in_the_baseline_are_an_error(simple, baseline):
    other = make_baseline({"pixels": np.zeros((1, 784), np.float32)}, {})
    (finding,) = find_errors(prove_servable(simple.source, ["current"], baseline=other))
    assert "the baseline has other inputs" in finding.message


@pytest.mark.usefixtures("no_old_runtimes")
def test_a_runtime_asked_for_by_name_must_be_there(simple, baseline):
    report = check_servable(simple.source, baseline=baseline, policy=CheckPolicy(runtimes=("2.7", "current")))
    (finding,) = find_errors(report)
    assert "could not be proven in TensorFlow 2.7" in finding.message
    assert finding.advice == "servable runtimes add 2.7"
    assert report.facts["runtimes"]["2.7"]["installed"] is False
    assert report.facts["runtimes"][find_current().version]["loaded"] is True


@pytest.mark.usefixtures("no_old_runtimes")
def test_the_targets_runtime_is_skipped_where_it_is_not_there(simple, baseline):
    report = check_servable(simple.source, baseline=baseline, policy=CheckPolicy(target="tensorflow-1.15"))
    (skipped,) = [s for s in report.skipped if s.check == "runtimes"]
    assert "servable runtimes add 1.15.5" in skipped.reason
    assert "runtimes" not in report.checked


@pytest.mark.usefixtures("no_old_runtimes")
def test_both_together_are_in_the_report_once(simple, baseline):
    policy = CheckPolicy(target="tensorflow-1.15", runtimes=("current",))
    report = check_servable(simple.source, baseline=baseline, policy=policy)
    names = [*report.checked, *(s.check for s in report.skipped)]
    assert names.count("runtimes") == 1
    (note,) = [f for f in report.findings if f.check == "runtimes"]
    assert note.severity is Severity.INFO
    assert note.advice == "servable runtimes add 1.15.5"


def test_the_targets_runtime_is_taken_where_it_is_there(simple, baseline, old_runtime):
    old_runtime("1.15.5")
    policy = CheckPolicy(target="pai-eas/tensorflow_cpu_1.15")
    report = check_servable(simple.source, baseline=baseline, policy=policy)
    assert [*report.facts["runtimes"]] == ["1.15.5"]
    assert find_errors(report) == []


@pytest.mark.usefixtures("as_other_version")
def test_without_a_baseline_todays_runtime_says_what_is_right(simple):
    report = prove_servable(simple.source, ["1.15.5"])
    assert report.checked == ("layout", "tags", "signatures", "ops", "serving_load", "runtimes")
    proof = report.facts["runtimes"]["1.15.5"]
    assert proof["compared_with"] == [f"TensorFlow {find_current().version}"]
    assert proof["worst_difference"] == {"serving_default": {"y": 0.0}}


@pytest.mark.usefixtures("as_other_version")
def test_where_todays_runtime_says_nothing_the_newest_does(simple):
    policy = CheckPolicy(switched_off=frozenset({"serving_load"}))
    report = prove_servable(simple.source, ["1.15.5", "2.11.1", "2.7.4"], policy=policy)
    proofs = report.facts["runtimes"]
    assert [*proofs] == ["1.15.5", "2.7.4", "2.11.1"]
    assert proofs["2.11.1"]["compared_with"] == []
    assert proofs["2.7.4"]["compared_with"] == proofs["1.15.5"]["compared_with"] == ["TensorFlow 2.11.1"]


def test_with_a_baseline_todays_runtime_is_not_asked(simple, baseline, monkeypatch):
    monkeypatch.setattr("servable.checks.context.open_session", None)
    report = prove_servable(simple.source, ["current"], baseline=baseline)
    assert report.passed
    assert "serving_load" not in report.checked


def test_nothing_foreign_is_run_before_the_static_checks_allow_it(zoo, monkeypatch):
    monkeypatch.setattr(runtimes, "open_session", None)
    report = prove_servable(zoo("bad-sm_pyfunc-a").source, ["current"])
    assert not report.passed
    assert {s.check: s.reason for s in report.skipped}["runtimes"] == "check ops found errors"


def test_a_model_that_does_not_load_is_told_with_the_runtimes_words(simple, monkeypatch, tmp_path):
    real = runtimes.open_session
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(runtimes, "open_session", lambda _, **options: real(tmp_path / "empty", **options))
    (finding,) = find_errors(prove_servable(simple.source, ["current"]))
    assert finding.message.startswith(f"TensorFlow {find_current().version} does not load the model: status:")


def test_an_old_runtime_that_refuses_the_model_names_the_target(zoo, old_runtime):
    old_runtime("1.12.3")
    report = prove_servable(zoo("tf1.15-sm_assets-a").source, ["1.12"])
    (finding,) = find_errors(report)
    assert "TensorFlow 1.12.3 does not load the model" in finding.message
    assert "batch_dims" in finding.message
    assert "--target tensorflow-1.12" in finding.advice
    assert report.facts["runtimes"]["1.12.3"]["loaded"] is False


@pytest.mark.parametrize("version", ["1.14.0", "1.15.5", "2.3.4", "2.7.4", "2.18.1"])
def test_strings_are_proven_with_their_own_runtimes_answers(zoo, old_runtime, version):
    old_runtime(version)
    case = zoo("tf1.15-sm_assets-a")
    (inputs,) = case.read_arrays("inputs").values()
    (outputs,) = case.read_arrays("outputs").values()
    report = prove_servable(
        case.source, [version], baseline=make_baseline({"words": inputs}, {"vec": outputs})
    )
    assert report.passed, report.summarize()
    assert report.facts["runtimes"][version]["compared_with"] == ["the baseline"]


def test_versions_in_a_policy_are_texts():
    assert CheckPolicy.from_dict({"runtimes": ["1.15", "current"]}).runtimes == ("1.15", "current")
    for wrong in ([2.7], "2.7", ["2.x"], 3):
        with pytest.raises(SettingsError, match="policy") as caught:
            CheckPolicy.from_dict({"runtimes": wrong})
        assert "runtimes" in caught.value.received


def test_the_policy_may_take_it_lightly(simple, baseline, monkeypatch, tmp_path):
    monkeypatch.setenv("SERVABLE_CACHE_DIR", str(tmp_path))
    policy = CheckPolicy.from_dict({"runtimes": ["2.7"], "severities": {"runtimes": "warning"}})
    assert check_servable(simple.source, baseline=baseline, policy=policy).passed
