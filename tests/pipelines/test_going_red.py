"""A pipeline that is set to stop at a refused model: nothing is pushed, and the report is still there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipelines.local import run_local
from pipelines.outcome import State
from pipelines.rendering.outcomes import render_outcome
from pipelines.settings_file import load_settings

pytestmark = pytest.mark.tfx

SETTINGS = """
pipeline: {name: red, root: pipeline, metadata: metadata.sqlite}
models:
  - name: m
    source: training
    signatures: {predict: {inputs: {x: "x:0"}, outputs: {y: "y:0"}}}
    raise_on_rejection: true
    push: pushed
"""


def test_a_refused_model_stops_its_branch_until_it_is_mended(tmp_path, checkpoint_saver):
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    settings = load_settings(tmp_path / "settings.yaml")
    weights = np.array([[1.0, -2.0], [0.5, 0.25], [3.0, 4.0]], np.float32)
    checkpoint_saver(tmp_path / "training", np.where(weights == 3, np.nan, weights).astype(np.float32))

    refused = run_local(settings)
    outcome = refused.find("m")
    assert (outcome.state, refused.exit_code) == (State.REFUSED, 1)
    assert outcome.executed == ("convert_m",)
    assert "NaN" in outcome.message
    assert str(outcome.report_path) in render_outcome(outcome)
    assert "Not fit to serve" in outcome.report_path.read_text(encoding="utf-8")
    assert json.loads(outcome.report_path.with_suffix(".json").read_text())["passed"] is False
    assert not (tmp_path / "pushed").exists()

    # A failed node is no result to take again.
    assert run_local(settings).find("m").state is State.REFUSED

    checkpoint_saver(tmp_path / "training", weights)
    mended = run_local(settings).find("m")
    assert mended.state is State.PUSHED
    assert (mended.pushed_path / "saved_model.pb").is_file()
