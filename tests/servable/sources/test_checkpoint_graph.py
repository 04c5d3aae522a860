"""Checkpoints without their graph: from the user's code, from a graph's file, or with a plain refusal."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from servable.errors import BrokenSourceError, UsageError
from servable.export.exporting import export_servable
from servable.formats.protos import MetaGraphDef, parse_message
from servable.sources.description import describe_source
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions

MODULES_DIR = Path(__file__).parents[2] / "data" / "modules"


@pytest.fixture
def bare(zoo, tmp_path):
    """Copies a checkpoint without its `.meta`; gives its prefix and the meta graph that it had."""

    def bare(name):
        case = zoo(name)
        folder = tmp_path / "train"
        shutil.copytree(case.source.parent, folder)
        meta = folder / f"{case.source.name}.meta"
        meta_graph = parse_message(MetaGraphDef, meta)
        meta.unlink()
        return case, folder / case.source.name, meta_graph

    return bare


@pytest.mark.zoo("tf1.*-lr_nometa-a", "tf1.*-lr_v1_nometa-a")
def test_without_a_graph_variables_and_the_next_command_are_told(zoo, case_name):
    source = zoo(case_name).source
    with pytest.raises(BrokenSourceError, match=r"has no \.meta") as caught:
        open_source(source)
    assert "W float32 [784, 10], b float32 [10]" in caught.value.received
    assert f"servable convert {source} OUT_DIR --module FILE.py" in caught.value.advice
    assert "build_graph()" in caught.value.advice
    assert "(inputs, outputs)" in caught.value.advice
    assert describe_source(source).next_command == f"servable convert {source} OUT_DIR --module FILE.py"


@pytest.mark.parametrize(
    ("beside", "advised"),
    [
        (["graph.pbtxt", "a.pbtxt"], "graph.pbtxt"),  # what an Estimator writes
        (["net.pb"], "net.pb"),
        (["model.ckpt-100.meta"], "model.ckpt-100.meta"),
    ],
)
def test_a_graph_that_lies_beside_is_advised(bare, beside, advised):
    _, prefix, meta_graph = bare("tf1.15-lr-a")
    for name in beside:
        prefix.with_name(name).write_text(text_format.MessageToString(meta_graph.graph_def))
    with pytest.raises(BrokenSourceError) as caught:
        open_source(prefix)
    assert caught.value.advice.endswith(f"OUT_DIR --architecture {prefix.with_name(advised)}")


@pytest.mark.tensorflow
def test_a_graph_that_does_not_fit_is_listed_both_ways(zoo, tmp_path):
    module = tmp_path / "model.py"
    module.write_text(
        "import tensorflow.compat.v1 as tf\n"
        "def build_graph():\n"
        "    x = tf.placeholder(tf.float32, [None, 784])\n"
        "    tf.get_variable('unused', [3])\n"
        "    y = tf.matmul(x, tf.get_variable('W', [784, 12])) + tf.get_variable('bias', [12])\n"
        "    return {'x': x}, {'y': y}\n"
    )
    with pytest.raises(BrokenSourceError, match=r"1 of 2 variables .* and 1 of 2 have another") as caught:
        open_source(zoo("tf1.15-lr_nometa-a").source, SourceOptions(module=module))
    assert caught.value.expected == "bias float32 [12]; W float32 [784, 12]"
    assert caught.value.received.startswith("W float32 [784, 10]; ")
    assert caught.value.received.endswith("in no variable of the graph: b float32 [10]")


@pytest.mark.tensorflow
def test_what_no_variable_takes_is_noted_and_slots_are_not(zoo, tmp_path):
    module = tmp_path / "model.py"
    module.write_text(
        "import tensorflow.compat.v1 as tf\n"
        "def build_graph():\n"
        "    x = tf.placeholder(tf.float32, [None, 784])\n"
        "    return {'x': x}, {'y': tf.matmul(x, tf.get_variable('W', [784, 10]))}\n"
    )
    model = open_source(zoo("tf1.15-lr_nometa-a").source, SourceOptions(module=module))
    assert model.notes[-1].message == "no variable of the graph takes b float32 [10]"


@pytest.mark.tensorflow
def test_the_users_graph_goes_before_the_one_beside(zoo):
    case = zoo("tf1.15-lr-a")
    options = SourceOptions(module=MODULES_DIR / "logistic_regression.py")
    notes = [note.message for note in open_source(case.source, options).notes]
    assert notes[-2].startswith("ran logistic_regression.py (sha256 ")
    assert notes[-1] == "left model.ckpt.meta beside the checkpoint aside, since --module names the graph"


def test_two_graphs_of_the_users_are_one_too_many(zoo):
    options = SourceOptions(module=Path("a.py"), architecture=Path("graph.pbtxt"))
    with pytest.raises(UsageError, match="--module and --architecture"):
        open_source(zoo("tf1.15-lr_nometa-a").source, options)


@pytest.mark.tensorflow
@pytest.mark.parametrize("form", ["graph.pbtxt", "graph.pb", "meta", "meta without saver"])
@pytest.mark.parametrize("name", ["tf1.4-lr-a", "tf1.12-partitioned-a", "tf1.15-cnn_bn-a"])
def test_every_form_of_a_graph_gives_the_trainers_answers(bare, tmp_path, name, form):
    import tensorflow as tf

    from servable.signature import SignatureRequest

    case, prefix, meta_graph = bare(name)
    path = tmp_path / "structure"
    if form == "graph.pbtxt":
        path.write_text(text_format.MessageToString(meta_graph.graph_def))
    elif form == "graph.pb":
        path.write_bytes(meta_graph.graph_def.SerializeToString())
    else:
        if form == "meta without saver":
            meta_graph.ClearField("saver_def")
        path.write_bytes(meta_graph.SerializeToString())
    model = open_source(prefix, SourceOptions(architecture=path))
    assert model.notes[-1].message.startswith("took the graph of structure (sha256 ")
    request = SignatureRequest("s", case.name_ends("inputs"), case.name_ends("outputs"))
    export_servable(model, [request], tmp_path / "out", frozen=case.frozen)
    inputs = case.read_arrays("inputs")
    baseline = model.predict(request, inputs, frozen=case.frozen)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path / "out")).signature_def[
            "s"
        ]
        feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
        for key, wanted in case.read_arrays("outputs").items():
            np.testing.assert_allclose(session.run(signature.outputs[key].name, feeds), wanted, atol=1e-5)
            np.testing.assert_allclose(baseline[key], wanted, atol=1e-5)
