"""Models with ops that do more than compute, through the doors; nothing of them may happen."""

import numpy as np
import pytest

from servable.checks.policy import CheckPolicy
from servable.checks.suite import check_servable
from servable.convert import ConversionOptions, check_conversion, convert_source
from servable.errors import UnsafeSourceError
from servable.export.exporting import export_servable, read_signatures
from servable.formats.protos import SavedModel, parse_message
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions

pytestmark = pytest.mark.tensorflow


def save_checkpoint(folder, build):
    """Saves the graph of a TF1 trainer; returns its prefix."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], "x")
        w = v1.get_variable("w", initializer=np.ones((4, 2), np.float32))
        build(tf, tf.matmul(x, w, name="y"))
        session.run(v1.global_variables_initializer())
        return v1.train.Saver().save(session, str(folder / "model.ckpt"))


REQUEST = SignatureRequest("predict", {"x": "x:0"}, {"y": "y:0"})


def test_ops_of_the_training_part_fall_away(tmp_path):
    def build(tf, y):
        tf.io.write_file(str(tmp_path / "marker"), tf.as_string(tf.reduce_sum(y)))
        tf.compat.v1.py_func(lambda value: value, [y], tf.float32)

    prefix = save_checkpoint(tmp_path, build)
    out = export_servable(open_source(tmp_path / prefix), [REQUEST], tmp_path / "out").path
    (meta_graph,) = parse_message(SavedModel, out / "saved_model.pb").meta_graphs
    assert not {node.op for node in meta_graph.graph_def.node} & {"PyFunc", "WriteFile"}
    assert not (tmp_path / "marker").exists()


def test_an_op_in_a_branch_of_a_function_is_found(tmp_path):
    def build(tf, y):
        @tf.function(autograph=False)
        def leak(value):
            return tf.cond(
                tf.reduce_sum(value) > 0, lambda: tf.io.read_file("/etc/hostname"), lambda: tf.constant("")
            )

        tf.identity(leak(y), name="leaked")

    prefix = save_checkpoint(tmp_path, build)
    request = SignatureRequest("predict", {"x": "x:0"}, {"text": "leaked:0"})
    with pytest.raises(UnsafeSourceError, match="more than compute") as caught:
        export_servable(open_source(tmp_path / prefix), [request], tmp_path / "out")
    assert "ReadFile reads or writes files" in caught.value.received
    assert "in function" in caught.value.received
    assert not (tmp_path / "out").exists()


def test_importing_a_graph_reads_no_file(tmp_path):
    """TensorFlow computes constants to infer shapes: [3, 4] could only come out of the file."""
    np.array([3, 4], np.int32).tofile(tmp_path / "shape")

    def build(tf, y):
        shape = tf.io.decode_raw(tf.io.read_file(str(tmp_path / "shape")), tf.int32)
        middle = tf.multiply(tf.reshape(tf.reduce_sum(y) * tf.ones([12]), shape), 1.0, name="middle")
        tf.multiply(middle, 2.0, name="end")

    prefix = save_checkpoint(tmp_path, build)
    request = SignatureRequest("predict", {"m": "middle:0"}, {"end": "end:0"})
    out = export_servable(open_source(tmp_path / prefix), [request], tmp_path / "out").path
    assert read_signatures(out)["predict"].inputs["m"].shape in (None, (None, None))


def save_reader(folder, path):
    """A SavedModel that answers with what a file holds."""
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
        def serve(self, words):
            return {"y": tf.strings.join([words, tf.io.read_file(path)])}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    return folder


def test_what_the_user_lets_in_passes_every_check_and_is_said(tmp_path):
    (tmp_path / "suffix").write_text("!")
    folder = save_reader(tmp_path / "in", str(tmp_path / "suffix"))
    with pytest.raises(UnsafeSourceError, match="more than compute"):
        convert_source(folder, tmp_path / "out")
    options = ConversionOptions(source=SourceOptions(allowed_ops=frozenset({"ReadFile"})))
    conversion = convert_source(folder, tmp_path / "out", options)
    (note,) = [note for note in conversion.notes if "ReadFile" in note.message]
    assert conversion.origin.digest in note.message
    sample = conversion.baseline.samples["serving_default"]
    assert all(value.endswith(b"!") for value in sample.outputs["y"].tolist())
    report = check_conversion(conversion)
    assert report.passed
    assert "fidelity" in report.checked
    assert any("let in by name" in finding.message for finding in report.findings)
    assert not check_servable(tmp_path / "out").passed
    policy = CheckPolicy.from_dict({"allowed_ops": ["ReadFile"]})
    assert check_servable(tmp_path / "out", policy=policy).passed


def test_every_name_is_an_op_of_tensorflow_or_was_one():
    """Against the registry of this TensorFlow; what older ones had, and contrib, is listed here."""
    from tensorflow.python.framework import op_def_registry

    from servable.graphs import op_classes

    gone = {
        "BigQueryReader", "GenerateBigQueryReaderPartitions", "GcsConfigureBlockCache",
        "GcsConfigureCredentials", "RemoteFusedGraphExecute", "Rpc", "TryRpc",
        "CreateTRTResourceHandle", "InitializeTRTResource", "SerializeTRTResource",
        "RestoreIterator", "SaveIterator",
        "BigtableClient", "IgniteDataset", "KafkaDataset", "KinesisDataset",
    }  # fmt: skip
    named = op_classes.CODE_OPS | op_classes.FILE_OPS | op_classes.NETWORK_OPS
    named |= op_classes.CHECKPOINT_READING_OPS | op_classes.CHECKPOINT_WRITING_OPS
    unknown = {name for name in named if op_def_registry.get(name) is None}
    assert unknown == gone
