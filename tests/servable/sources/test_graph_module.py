"""What a user's `build_graph()` may look like, and what is said of one that does not do."""

import sys

import pytest

from servable.errors import SettingsError
from servable.sources.user_code.graph_module import build_module_graph

pytestmark = pytest.mark.tensorflow

OLD_STYLE = """
import tensorflow as tf

tf.reset_default_graph()

def build_graph():
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    h = tf.layers.dense(x, 6, activation=tf.nn.relu)
    h = tf.layers.batch_normalization(h, training=False)
    cell = tf.nn.rnn_cell.BasicRNNCell(h.shape[1].value)
    h, _ = cell(h, cell.zero_state(tf.shape(h)[0], tf.float32))
    h = tf.cond(tf.reduce_sum(h) > 0, lambda: h, lambda: -h)
    return {"x": x}, {"y": tf.keras.layers.Dense(3, name="head")(h)}
"""

NEW_STYLE = """
import tensorflow as tf

v1 = tf.compat.v1
v1.disable_v2_behavior()

def build_graph():
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    noise = tf.random.Generator.from_seed(1)  # TensorFlow 1 has no such name
    return {"x": x}, {"y": tf.matmul(x, v1.get_variable("w", [4, 3]))}
"""


@pytest.fixture
def build(tmp_path):
    def build(text):
        path = tmp_path / "model.py"
        path.write_text(text)
        return build_module_graph(path)

    return build


def test_code_of_tensorflow_1_builds_what_it_built_then(build):
    built = build(OLD_STYLE)
    variables = {
        node.name for node in built.meta_graph.graph_def.node if node.op in ("VariableV2", "VarHandleOp")
    }
    assert variables == {
        "dense/kernel",
        "dense/bias",
        *(f"batch_normalization/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")),
        "basic_rnn_cell/kernel",
        "basic_rnn_cell/bias",
        "head/kernel",
        "head/bias",
    }
    ops = {node.op for node in built.meta_graph.graph_def.node}
    assert {"Switch", "Merge"} <= ops
    assert not ops & {"If", "StatelessIf"}
    assert built.request.inputs == {"x": "x:0"}
    assert "variables" in built.meta_graph.collection_def


@pytest.mark.parametrize("text", [OLD_STYLE, NEW_STYLE])
def test_the_process_stays_as_it_was(build, text):
    import tensorflow as tf

    v1 = tf.compat.v1
    before = (
        v1.layers,
        v1.disable_v2_behavior,
        v1.control_flow_v2_enabled(),
        v1.resource_variables_enabled(),
    )
    build(text)
    after = (v1.layers, v1.disable_v2_behavior, v1.control_flow_v2_enabled(), v1.resource_variables_enabled())
    assert after == before
    assert sys.modules["tensorflow"] is tf
    assert tf.executing_eagerly()
    assert tf.TensorShape([1])[0] == 1


def test_a_graph_of_its_own_names_and_variables_are_taken(build):
    built = build(
        "import tensorflow.compat.v1 as tf\n"
        "def build_graph():\n"
        "    with tf.Graph().as_default():\n"
        "        x = tf.placeholder(tf.float32, [None], name='x')\n"
        "        w = tf.get_variable('w', [3])\n"
        "        y = tf.identity(x, name='y')\n"
        "    return {'x': x}, {'y': 'y', 'w': w}\n"
    )
    assert built.request.inputs == {"x": "x:0"}
    assert built.request.outputs["y"] == "y:0"
    nodes = {node.name: node for node in built.meta_graph.graph_def.node}
    read = nodes[built.request.outputs["w"].partition(":")[0]]
    assert read.op == "Identity"


def test_files_of_tables_are_found_from_the_modules_own_folder(build, tmp_path):
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    built = build(
        "import tensorflow.compat.v1 as tf\n"
        "def build_graph():\n"
        "    words = tf.placeholder(tf.string, [None])\n"
        "    line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER\n"
        "    files = tf.lookup.TextFileInitializer('vocab.txt', tf.string, line, tf.int64, number)\n"
        "    return {'words': words}, {'ids': tf.lookup.StaticHashTable(files, -1).lookup(words)}\n"
    )
    assert built.assets == {"vocab.txt": tmp_path / "vocab.txt"}
    assert "table_initializer" in built.meta_graph.collection_def


@pytest.mark.parametrize(
    ("body", "received"),
    [
        ("pass", "NoneType"),
        ("return {'x': 1}", "dict"),
        ("return [1], [2]", "list and list"),
        ("return {}, {'y': 1}", "dict and dict"),
        ("return {'x': 1}, {'y': 2}", "1: int"),
        ("return {'x': 'nowhere:0'}, {'y': 'nowhere:0'}", "does not exist"),
        ("s = tf.sparse_placeholder(tf.float32); return {'x': s}, {'y': s}", "SparseTensor"),
        ("return {'x': tf.zeros([1])}, {'y': other}", "it is of another graph"),
        ("return tf.nope()", "has no attribute 'nope'"),
    ],
)
def test_what_is_returned_is_checked(build, body, received):
    text = (
        "import tensorflow.compat.v1 as tf\n"
        "with tf.Graph().as_default():\n"
        "    other = tf.zeros([1])\n"
        f"def build_graph():\n    {body}\n"
    )
    with pytest.raises(SettingsError, match=r"build_graph\(\) of model.py") as caught:
        build(text)
    assert received in caught.value.received


def test_a_file_without_the_function_is_refused(build):
    with pytest.raises(SettingsError, match=r"no function build_graph\(\)") as caught:
        build("def build_model(): pass\n")
    assert caught.value.received == "build_model"


def test_nothing_of_the_graph_is_run(build, tmp_path):
    marker = tmp_path / "marker"
    build(
        "import tensorflow.compat.v1 as tf\n"
        "def build_graph():\n"
        "    x = tf.placeholder(tf.float32, [None], name='x')\n"
        f"    write = tf.io.write_file({str(marker)!r}, 'here')\n"
        "    with tf.control_dependencies([write]):\n"
        "        return {'x': x}, {'y': tf.identity(x)}\n"
    )
    assert not marker.exists()
