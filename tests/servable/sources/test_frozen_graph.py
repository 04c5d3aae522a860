"""Frozen graphs under every name and in both forms, against the session that they were frozen from."""

import numpy as np
import pytest

from servable.cli import main
from servable.errors import BrokenSourceError, UnknownSourceError, UnsafeSourceError
from servable.export.exporting import export_servable
from servable.formats.protos import GraphDef
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.resolving import resolve_source

REQUEST = SignatureRequest("predict", {"words": "words:0"}, {"y": "y:0"})


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """The bytes of a graph with a table from a file and weights as constants, and what it answers."""
    import tensorflow as tf

    v1 = tf.compat.v1
    folder = tmp_path_factory.mktemp("frozen")
    (folder / "vocab.txt").write_text("cat\ndog\n")
    with tf.Graph().as_default() as graph, v1.Session() as session:
        words = v1.placeholder(tf.string, [None], "words")
        lines = tf.lookup.TextFileIndex
        initializer = tf.lookup.TextFileInitializer(
            str(folder / "vocab.txt"), tf.string, lines.WHOLE_LINE, tf.int64, lines.LINE_NUMBER
        )
        ids = tf.lookup.StaticHashTable(initializer, 2).lookup(words)
        weights = v1.get_variable("weights", initializer=np.arange(6, dtype=np.float32).reshape(3, 2))
        y = tf.nn.softmax(tf.gather(weights, ids), name="y")
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        asked = np.array([b"dog", b"x", b"cat"], object)
        answer = session.run(y, {words: asked})
        init = v1.tables_initializer(name="init").name
        constant = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y", init])
        not_frozen = graph.as_graph_def().SerializeToString()
    return constant.SerializeToString(), not_frozen, asked, answer


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("name", "is_text"),
    [
        ("frozen.pb", False),
        ("graph.pbtxt", True),
        ("model.bytes", False),
        ("noname", True),
        ("saved_model.pb", False),
    ],
)
def test_answers_stay_the_same(name, is_text, frozen, making, tmp_path):
    data, _, asked, answer = frozen
    folder = tmp_path / "in"
    making.write_words(folder / "vocab.txt", "cat dog")
    (folder / name).write_bytes(str(GraphDef.FromString(data)).encode() if is_text else data)
    model = open_source(folder / name)
    assert model.origin.kind == "frozen-graph"
    out = export_servable(model, [REQUEST], tmp_path / "out").path
    made = making.made(out, {"predict": ({"words": asked}, {"y": answer})})
    making.require_same_runtime_answers(made)
    np.testing.assert_allclose(model.predict(REQUEST, {"words": asked}, frozen={})["y"], answer, rtol=1e-6)


@pytest.mark.tensorflow
def test_names_are_found_or_asked_for(frozen, tmp_path, capfd):
    (tmp_path / "frozen.pb").write_bytes(frozen[0])
    (tmp_path / "vocab.txt").write_text("cat\ndog\n")
    assert main(["convert", str(tmp_path / "frozen.pb"), str(tmp_path / "out" / "1")]) == 0
    assert "y:0" in capfd.readouterr().out
    assert main(["inspect", str(tmp_path / "frozen.pb")]) == 0
    assert "frozen graph" in capfd.readouterr().out


def make_graph(*ops):
    graph = GraphDef()
    for number, op in enumerate(ops):
        graph.node.add(name=f"n{number}", op=op)
    return graph.SerializeToString()


def test_a_graph_with_variables_wants_its_checkpoint(tmp_path):
    (tmp_path / "graph.pb").write_bytes(make_graph("Placeholder", "VariableV2", "VarHandleOp"))
    with pytest.raises(BrokenSourceError, match="not frozen") as caught:
        open_source(tmp_path / "graph.pb")
    assert "n1, n2" in caught.value.received
    assert "--architecture" in caught.value.advice


def test_a_truncated_graph_is_broken(tmp_path):
    (tmp_path / "graph.pb").write_bytes(make_graph("Placeholder", "Relu")[:-3])
    with pytest.raises(BrokenSourceError):
        open_source(tmp_path / "graph.pb")


def test_what_only_resembles_a_graph_is_unknown(tmp_path):
    (tmp_path / "graph.pb").write_bytes(b"\n\x03abc and more")
    with pytest.raises(UnknownSourceError):
        open_source(tmp_path / "graph.pb")


def test_a_folder_with_one_graph_means_that_graph_and_its_vocabulary(tmp_path):
    graph = GraphDef.FromString(make_graph("HashTableV2", "Const"))
    graph.node[1].attr["dtype"].type = 7
    graph.node[1].attr["value"].tensor.string_val.append(b"/gone/vocab.txt")
    graph.node.add(name="fill", op="InitializeTableFromTextFileV2", input=["n0", "n1"])
    graph.node.add(name="broken", op="InitializeTableFromTextFileV2")
    (tmp_path / "frozen.pb").write_bytes(graph.SerializeToString())
    (tmp_path / "fingerprint.pb").write_bytes(b"\x08\x01")
    (tmp_path / "vocab.txt").write_text("cat")
    assert resolve_source(tmp_path).path == tmp_path / "frozen.pb"
    del graph.node[-1]
    (tmp_path / "frozen.pb").write_bytes(graph.SerializeToString())
    source = resolve_source(tmp_path)
    assert [path.name for path in source.files] == ["frozen.pb", "vocab.txt"]


def test_a_bomb_of_functions_is_refused(tmp_path):
    graph = GraphDef.FromString(make_graph("f0"))
    for number in range(64):
        function = graph.library.function.add()
        function.signature.name = f"f{number}"
        for side in "ab":
            function.node_def.add(name=side, op=f"f{number + 1}")
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(UnsafeSourceError, match="inlined"):
        open_source(tmp_path / "graph.pb")
