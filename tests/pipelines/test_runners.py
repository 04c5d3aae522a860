"""The same settings file on LocalDagRunner and on BeamDagRunner, models side by side."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.beam import run_beam
from pipelines.local import run_local
from pipelines.metadata.records import read_executions
from pipelines.outcome import State
from pipelines.settings_file import load_settings
from servable.formats.digest import digest_tree

pytestmark = pytest.mark.tfx


@pytest.fixture(scope="module")
def story(tmp_path_factory, checkpoint_saver, keras_saver, settings_writer) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("runners")
    weights = np.array([[1.0, -2.0], [0.5, 0.25], [3.0, 4.0]], np.float32)
    told = SimpleNamespace(settings={}, runs={})
    for runner, run in (("local", run_local), ("beam", run_beam)):
        # The same sources under the same path for both, so that everything has to come out alike.
        here = folder / "here"
        checkpoint_saver(here / "training", weights)
        if not (here / "model.keras").exists():
            keras_saver(here / "model.keras")
        text = settings_writer(here).read_text()
        text = text.replace("metadata: metadata.sqlite", "metadata: metadata.sqlite, workers: 2")
        (here / "settings.yaml").write_text(
            text.replace("push: pushed", f"push: ../{runner}/pushed")
            .replace("root: pipeline", f"root: ../{runner}/pipeline")
            .replace("metadata.sqlite", f"../{runner}/metadata.sqlite")
        )
        settings = load_settings(here / "settings.yaml")
        told.settings[runner] = settings
        told.runs[runner] = [run(settings), run(settings)]
        checkpoint_saver(here / "training", weights + 1)
        told.runs[runner].append(run(settings))
    shutil.rmtree(folder / "here")
    return told


@pytest.mark.parametrize("runner", ["local", "beam"])
def test_a_runner_pushes_keeps_and_renews(story, runner):
    first, unchanged, overwritten = story.runs[runner]
    assert [outcome.state for outcome in first.models] == [State.PUSHED] * 2, first
    assert [outcome.state for outcome in unchanged.models] == [State.UNCHANGED] * 2
    assert [outcome.executed for outcome in unchanged.models] == [(), ()]
    assert [outcome.state for outcome in overwritten.models] == [State.PUSHED, State.UNCHANGED]
    # One run id for all models of a run, whatever ran beside what.
    settings = story.settings[runner]
    executions = read_executions(settings.pipeline.metadata, settings.pipeline.name, run_id=first.run_id)
    assert len(executions) == 6
    assert {item.state for item in executions} == {"complete"}


def test_both_runners_push_the_same_bytes(story):
    for index in (0, 2):
        digests = [
            [
                digest_tree(outcome.pushed_path)
                for outcome in story.runs[runner][index].models
                if outcome.state is State.PUSHED
            ]
            for runner in ("local", "beam")
        ]
        assert digests[0] == digests[1]
