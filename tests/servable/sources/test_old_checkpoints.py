"""Checkpoints in the format before TensorFlow 0.12, and such as restore ops cannot find by their path."""

import shutil

import numpy as np
import pytest

from servable.export.exporting import export_servable, read_signatures
from servable.runtime.outcome import Call
from servable.runtime.session import run_calls
from servable.signature import SignatureRequest
from servable.sources.opening import open_source

pytestmark = pytest.mark.tensorflow

INPUTS = np.random.default_rng(3).standard_normal((4, 6)).astype(np.float32)


def build_graph(tf1):
    """A partitioned variable, one on a parameter server, one of float64; the devices make two shards."""
    x = tf1.placeholder(tf1.float32, [None, 6], name="x")
    with tf1.variable_scope("net", partitioner=tf1.fixed_size_partitioner(2), use_resource=False):
        kernel = tf1.get_variable("kernel", [6, 3], initializer=tf1.random_normal_initializer(seed=1))
    with tf1.device("/job:ps/task:1"):
        shift = tf1.get_variable("shift", initializer=np.array([1, -2, 3], np.int64), use_resource=True)
    scale = tf1.get_variable("scale", initializer=np.float64(1.5), use_resource=False)
    scores = tf1.cast(tf1.matmul(x, tf1.convert_to_tensor(kernel)), tf1.float64) * scale
    tf1.add(scores, tf1.cast(shift, tf1.float64), name="scores")


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Saves as a trainer does; gives its folder and its own answers."""
    import tensorflow as tf

    folder, tf1 = tmp_path_factory.mktemp("train"), tf.compat.v1
    with tf.Graph().as_default():
        build_graph(tf1)
        saver = tf1.train.Saver(sharded=True, write_version=tf1.train.SaverDef.V1)
        meta_path = str(folder / "model.ckpt-5.meta")
        meta_graph = tf1.train.export_meta_graph(meta_path, saver_def=saver.as_saver_def(), as_text=True)
    with tf.Graph().as_default(), tf1.Session() as session:
        saver = tf1.train.import_meta_graph(meta_graph, clear_devices=True)
        session.run(tf1.global_variables_initializer())
        answers = session.run("scores:0", {"x:0": INPUTS})
        saver.save(session, str(folder / "model.ckpt"), global_step=5, write_meta_graph=False)
    return folder, answers


@pytest.mark.parametrize("name", ["moved", "run[1]"])
def test_a_sharded_partitioned_checkpoint_with_a_graph_in_text(train, tmp_path, name):
    folder, answers = train
    assert sorted(path.name for path in folder.glob("*-of-*")) == [
        "model.ckpt-5-00000-of-00002",
        "model.ckpt-5-00001-of-00002",
    ]
    model = open_source(shutil.copytree(folder, tmp_path / name))
    assert model.origin.step == 5
    request = SignatureRequest("predict", {"x": "x:0"}, {"scores": "scores:0"})
    assert np.array_equal(model.predict(request, {"x": INPUTS}, frozen={})["scores"], answers)

    export_servable(model, [request], tmp_path / "1")
    signature = read_signatures(tmp_path / "1")["predict"]
    call = Call({signature.inputs["x"].tensor: INPUTS}, (signature.outputs["scores"].tensor,))
    outcome = run_calls(tmp_path / "1", [call])
    assert outcome.load_fault is None
    (served,) = outcome.results[0].outputs.values()
    np.testing.assert_allclose(served, answers, rtol=1e-6)


@pytest.mark.zoo("tf1.4-lr-a", "tf1.4-lr_v1-a")
def test_the_baseline_of_a_checkpoint_whose_path_looks_like_a_pattern(zoo, case_name, tmp_path):
    case = zoo(case_name)
    folder = tmp_path / "run*[1]"
    folder.mkdir()
    for path in case.source.parent.glob(f"{case.source.name}*"):
        shutil.copy(path, folder / path.name.replace("model.ckpt", "model[a].ckpt"))
    request = SignatureRequest("predict", case.name_ends("inputs"), case.name_ends("outputs"))
    answers = open_source(folder).predict(request, case.read_arrays("inputs"), frozen={})
    np.testing.assert_allclose(answers["y"], case.read_arrays("outputs")["y"], rtol=1e-5)
