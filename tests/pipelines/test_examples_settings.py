"""Examples and Beam's arguments in the settings file, and what the pipeline makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.settings_file import load_settings
from servable.errors import SettingsError

MODEL = """
models:
  - name: ranker
    source: training
    kind: checkpoint
    push: pushed
    examples: rows/held_out-*.gz
"""
METRICS = "    policy: {metrics: {label: clicked, task: binary, budget: {auc: 0.75}}}\n"


def write(folder: Path, text: str, *, beam: str = "[]") -> Path:
    head = f"pipeline: {{name: p, root: root, metadata: m.sqlite, beam_pipeline_args: {beam}}}\n"
    path = folder / "settings.yaml"
    path.write_text(head + text)
    return path


def test_examples_are_a_path_from_the_files_own_folder(tmp_path):
    settings = load_settings(write(tmp_path, MODEL + METRICS, beam='["--runner=FlinkRunner"]'))
    assert settings.models[0].examples == tmp_path / "rows" / "held_out-*.gz"
    assert settings.pipeline.beam_pipeline_args == ("--runner=FlinkRunner",)


def test_examples_without_a_label_are_a_fault(tmp_path):
    with pytest.raises(
        SettingsError, match=r"line 8: models\[0\]\.examples: has no use without section metrics"
    ):
        load_settings(write(tmp_path, MODEL))


def test_faults_of_the_section_are_told_with_the_file(tmp_path):
    with pytest.raises(SettingsError, match=r"models\[0\]\.policy: .*'auc' does not go with regression"):
        load_settings(write(tmp_path, MODEL + METRICS.replace("binary", "regression")))


@pytest.mark.tfx
def test_nodes_are_handed_both(tmp_path):
    from pipelines.conversion import create_pipeline

    settings = load_settings(write(tmp_path, MODEL + METRICS, beam='["--direct_num_workers=2"]'))
    pipeline = create_pipeline(settings)
    assert pipeline.beam_pipeline_args == ["--direct_num_workers=2"]
    (validator,) = [node for node in pipeline.components if node.id == "validate_ranker"]
    assert validator.exec_properties["examples_files"] == str(tmp_path / "rows" / "held_out-*.gz")
