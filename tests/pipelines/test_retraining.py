"""Retraining on a schedule: one settings file, run again and again while a trainer writes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.lineage.model_lineage import trace_lineage
from pipelines.local import run_local
from pipelines.outcome import State
from pipelines.settings_file import load_settings
from servable.deploy.verifying import verify_pack
from servable.formats.tfrecords import read_record_file

pytestmark = pytest.mark.tfx

SETTINGS = """
pipeline: {name: retraining, root: pipeline, metadata: metadata.sqlite}
models:
  - name: m
    source: training
    signatures: {predict: {inputs: {x: "x:0"}, outputs: {y: "y:0"}}}
    compare_with_served: true
    make_warmup: true
    policy: {budget: {variable_bytes_ratio: 2}}
    push: pushed
    pack: {platforms: [tf-serving, kserve], to: packs}
"""


def save_step(folder: Path, step: int, *, width: int) -> None:
    """Saves two layers, 3 numbers over `width` to 2, as a training that goes on does."""
    import tensorflow as tf

    folder.mkdir(exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 3], name="x")
        first = tf.compat.v1.get_variable("a", initializer=np.full((3, width), 1 / step, np.float32))
        second = tf.compat.v1.get_variable("b", initializer=np.full((width, 2), step, np.float32))
        tf.matmul(tf.matmul(x, first), second, name="y")
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "model.ckpt"), global_step=step)


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("retraining")
    (folder / "settings.yaml").write_text(SETTINGS)
    settings = load_settings(folder / "settings.yaml")
    push_dir = settings.models[0].push_dir
    told = SimpleNamespace(settings=settings, training=folder / "training", push_dir=push_dir, served={})

    def run(name: str) -> None:
        outcome = run_local(settings)
        setattr(told, name, outcome.find("m"))
        told.served[name] = sorted(told.push_dir.iterdir())[-1]

    save_step(told.training, 100, width=4)
    run("first")
    run("nothing_new")
    save_step(told.training, 200, width=4)
    run("newer")
    run("nothing_new_again")
    save_step(told.training, 300, width=4)
    data = told.training / "model.ckpt-300.data-00000-of-00001"
    complete = data.read_bytes()
    data.write_bytes(complete[:-8])
    run("half_written")
    data.write_bytes(complete)
    run("completed")
    save_step(told.training, 400, width=40)
    run("too_large")
    run("too_large_still")
    save_step(told.training, 500, width=5)
    run("mended")
    return told


def test_what_is_new_is_pushed_and_nothing_else_runs(story):
    for name in ("first", "newer", "completed", "mended"):
        assert getattr(story, name).state is State.PUSHED, getattr(story, name).message
        assert story.served[name] == getattr(story, name).pushed_path
    for name in ("nothing_new", "nothing_new_again"):
        assert getattr(story, name).state is State.UNCHANGED
        assert getattr(story, name).executed == ()
    assert len(list(story.push_dir.iterdir())) == 4


def test_a_checkpoint_that_is_still_written_is_left_for_the_next_run(story):
    assert story.half_written.state is State.UNCHANGED
    assert story.served["half_written"] == story.newer.pushed_path


def test_a_model_that_falls_behind_what_is_served_is_refused(story):
    for name in ("too_large", "too_large_still"):
        assert getattr(story, name).state is State.REFUSED
        assert "times the previous model's bytes of variables" in getattr(story, name).message
        assert story.served[name] == story.completed.pushed_path
    assert story.too_large_still.executed == ()


def test_what_is_pushed_brings_its_warm_up_requests(story):
    for name in ("first", "mended"):
        requests = story.served[name] / "assets.extra" / "tf_serving_warmup_requests"
        assert len(list(read_record_file(requests))) >= 1


def test_what_is_pushed_is_packed_too(story):
    for name in ("first", "newer", "completed", "mended"):
        pack = getattr(story, name).pack_path
        assert "storageUri" in (pack / "kserve" / "inference_service.yaml").read_text()
        assert verify_pack(pack)
    assert story.nothing_new.pack_path == story.first.pack_path
    assert story.too_large.pack_path is None
    assert len(list((story.push_dir.parents[1] / "packs" / "m").iterdir())) == 4


def test_lineage_leads_from_a_version_with_warm_up_requests_to_its_source(story):
    lineages = trace_lineage(story.settings)
    assert [item.source_step for item in lineages] == [100, 200, 300, 400, 500]
    assert [item.blessed for item in lineages] == [True, True, True, False, True]
    assert all(item.is_intact for item in lineages if item.blessed)
