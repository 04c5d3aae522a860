"""A checkpoint with its `.meta`: what does not fit, and what else than variables a saver keeps."""

import shutil

import numpy as np
import pytest

from servable.errors import BrokenSourceError, UsageError
from servable.export.exporting import export_servable
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions
from servable.sources.saver_checkpoints.checkpoint_graph import read_meta_graph


def request_of(case):
    return SignatureRequest("s", case.name_ends("inputs"), case.name_ends("outputs"))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda attr: attr["dtype"].__setattr__("type", 2), "W float64 [784, 10]"),
        (lambda attr: attr["shape"].shape.dim[1].__setattr__("size", 12), "W float32 [784, 12]"),
    ],
)
@pytest.mark.tensorflow
def test_another_type_or_shape_names_both(zoo, tmp_path, change, wanted):
    case = zoo("tf1.15-lr-a")
    folder = tmp_path / "train"
    shutil.copytree(case.source.parent, folder)
    source = folder / case.source.name
    meta_graph = read_meta_graph(source)
    change(next(node for node in meta_graph.graph_def.node if node.name == "W").attr)
    source.with_name(source.name + ".meta").write_bytes(meta_graph.SerializeToString())
    model = open_source(source)
    for ask in (
        lambda: export_servable(model, [request_of(case)], tmp_path / "out"),
        lambda: model.predict(request_of(case), case.read_arrays("inputs"), frozen={}),
    ):
        with pytest.raises(BrokenSourceError, match="1 of 2 have another type or shape") as caught:
            ask()
        assert caught.value.expected == wanted
        assert caught.value.received == "W float32 [784, 10]"
    assert not (tmp_path / "out").exists()


@pytest.mark.tensorflow
def test_a_table_that_training_filled_comes_along(tmp_path):
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        words = v1.placeholder(tf.string, [None], name="words")
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="table")
        tf.gather(v1.get_variable("w", [5, 3]), tf.maximum(table.lookup(words), 0), name="y")
        session.run(v1.global_variables_initializer())
        session.run(table.insert(tf.constant(["a", "b"]), tf.constant([3, 4], tf.int64)))
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        inputs = {"words": np.array([b"a", b"b", b"c"], object)}
        wanted = session.run("y:0", {"words:0": inputs["words"]})
    model = open_source(tmp_path / "model.ckpt")
    assert model.notes == ()
    request = SignatureRequest("s", {"words": "words:0"}, {"y": "y:0"})
    assert export_servable(model, [request], tmp_path / "out").notes == ()
    np.testing.assert_array_equal(model.predict(request, inputs, frozen={})["y"], wanted)
    with v1.Session(graph=tf.Graph()) as session:
        v1.saved_model.load(session, ["serve"], str(tmp_path / "out"))
        np.testing.assert_array_equal(session.run("y:0", {"words:0": inputs["words"]}), wanted)


@pytest.mark.zoo("tf2.*-sm_module-a", "tfk2.15-seq_h5-a", "keras3.15*-seq-a", "k2.3.1-seq-a")
def test_averages_are_asked_for_of_a_savers_checkpoint_only(zoo, case_name):
    with pytest.raises(UsageError, match=r"tf\.train\.Saver only"):
        open_source(zoo(case_name).source, SourceOptions(ema=True))
