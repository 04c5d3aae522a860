"""InfraBlessing: what it rests on, and the copy of the model that it may bring."""

from __future__ import annotations

import numpy as np
import pytest

from components.infra_blessing import list_reasons, write_infra_blessing
from servable.baseline import Baseline, Sample
from servable.formats.digest import digest_tree
from servable.report import Finding, Report, Severity, Skipped
from servable.runtime.outcome import Limits

SERVED = Report("m", checked=("layout", "serving_load", "fidelity"), facts={"runtime": "tensorflow 2.21.0"})


def refuse(check):
    return Report("m", SERVED.checked, (Finding(check, Severity.ERROR, "no"),), (), SERVED.facts)


@pytest.fixture
def write(tmp_path, make_artifact, zoo):
    (tmp_path / "infra").mkdir()
    artifact = make_artifact(tmp_path / "infra")

    def run(report, *, baseline=None, make_warmup=False):
        write_infra_blessing(
            artifact,
            report,
            target="current",
            saved_model_dir=zoo("tf2.16-sm_keras_export-a").source,
            baseline=baseline,
            make_warmup=make_warmup,
            limits=Limits(),
        )
        return artifact, sorted(path.name for path in (tmp_path / "infra").iterdir())

    return run


def test_a_model_that_answers_wrongly_can_be_served_all_the_same(write):
    artifact, names = write(refuse("fidelity"))
    assert artifact.numbers["blessed"] == 1
    assert artifact.texts["reasons"] == ""
    assert artifact.texts["runtime"] == "tensorflow 2.21.0"
    assert names == ["INFRA_BLESSED"]
    assert "has_model" not in artifact.numbers


@pytest.mark.parametrize("check", ["layout", "target", "serving_load", "batch", "runtimes"])
def test_a_model_that_no_server_runs_is_not_blessed(write, check):
    artifact, names = write(refuse(check), make_warmup=True)
    assert artifact.numbers["blessed"] == 0
    assert artifact.texts["reasons"] == f"{check}: no"
    assert names == ["INFRA_NOT_BLESSED"]


def test_what_nobody_has_run_is_not_blessed():
    report = Report("m", ("layout",), (), (Skipped("serving_load", "switched off by the policy"),))
    (reason,) = list_reasons(report)
    assert "switched off by the policy" in reason
    assert list_reasons(Report("m"))


def test_the_copy_has_warm_up_requests_and_nothing_else_new(write, zoo, tmp_path):
    rows = np.ones((3, 6), np.float32)
    baseline = Baseline({"serving_default": Sample({"keras_tensor": rows}, {})})
    artifact, names = write(SERVED, baseline=baseline, make_warmup=True)
    assert names == ["INFRA_BLESSED", "stamped_model"]
    assert (artifact.numbers["blessed"], artifact.numbers["has_model"]) == (1, 1)
    assert artifact.numbers["warmup_requests"] == 2  # of one row, and of all three
    stamped = tmp_path / "infra" / "stamped_model"
    added = stamped / "assets.extra" / "tf_serving_warmup_requests"
    assert added.stat().st_size > 0
    added.unlink()
    added.parent.rmdir()
    assert digest_tree(stamped) == digest_tree(zoo("tf2.16-sm_keras_export-a").source)


@pytest.mark.parametrize("inputs", [None, {"keras_tensor": np.ones((3, 5), np.float32)}])
def test_without_proven_requests_there_is_no_copy_and_no_blessing(write, inputs):
    baseline = None if inputs is None else Baseline({"serving_default": Sample(inputs, {})})
    artifact, names = write(SERVED, baseline=baseline, make_warmup=True)
    assert names == ["INFRA_NOT_BLESSED"]
    assert artifact.numbers == {"blessed": 0}
    assert artifact.texts["reasons"].startswith("warm-up: ")
