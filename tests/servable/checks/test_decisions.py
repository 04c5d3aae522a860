"""A branch that the model itself chooses by all rows is no training left on; what is beside it still is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.checks.suite import check_servable
from servable.report import Severity

pytestmark = pytest.mark.tensorflow

# The sum of all is above 0, that of the second row alone is below.
ROWS = np.array([[4.0, 1.0], [-1.0, -1.0], [2.0, 3.0]], np.float32)


def save_model(folder: Path, *, subtract_mean: bool) -> Path:
    """Saves a TensorFlow 1 graph: twice x where the sum of all rows is above 0, else half of it."""
    import tensorflow as tf

    v1 = tf.compat.v1
    was_on = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 2], name="x")
            middle = x - tf.reduce_mean(x, axis=0) if subtract_mean else x
            y = v1.cond(tf.reduce_sum(x) > 0, lambda: middle * 2, lambda: middle / 2, name="choice")
            v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": y})
    finally:
        if was_on:
            v1.enable_control_flow_v2()
    return folder


def ask_check(folder: Path, answers: Mapping[str, Any]) -> list[Any]:
    sample = Sample(inputs={"x": ROWS}, outputs=dict(answers))
    report = check_servable(folder, baseline=Baseline({"serving_default": sample}))
    assert "inference_mode" in report.checked
    return [finding for finding in report.findings if finding.check == "inference_mode"]


def test_a_branch_of_the_models_own_is_a_warning_that_names_it(tmp_path):
    folder = save_model(tmp_path / "1", subtract_mean=False)
    findings = ask_check(folder, {"y": ROWS * 2})
    assert [finding.severity for finding in findings] == [Severity.WARNING]
    assert "row 1 alone is answered otherwise than among 3 rows" in findings[0].message
    assert "which Greater:0 chooses" in findings[0].message


def test_batch_statistics_beside_such_a_branch_are_an_error(tmp_path):
    folder = save_model(tmp_path / "1", subtract_mean=True)
    findings = ask_check(folder, {"y": (ROWS - ROWS.mean(axis=0)) * 2})
    assert Severity.ERROR in {finding.severity for finding in findings}
