"""Live models in the form of TensorFlow 1: no functions, no lists, variables and tables as they were."""

import numpy as np
import pytest

from servable.errors import ExportError
from servable.export.object_graphs import write_object_as_graph
from servable.formats.checkpoints.bundle import open_bundle
from servable.formats.protos import SavedModel, parse_message
from servable.model import ObjectBody
from servable.runtime.outcome import Call
from servable.runtime.session import open_session
from servable.signature import SignatureRequest, TensorSpec
from servable.targets.catalog import find_target

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

X = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 3, 4)
SEQUENCE = TensorSpec("float32", (None, None, 4))


def make_body(build, spec=SEQUENCE):
    """Makes a model of `build(module)`, which gives the function from x to y."""
    import tensorflow as tf

    module = tf.Module()
    function = tf.function(build(module))
    return ObjectBody(
        module,
        lambda tensors: {"y": function(tensors["x"])},
        {"x": spec},
        {"y": TensorSpec("float32", None)},
    )


def export(body, out_dir, target="1.12"):
    request = SignatureRequest("predict", {"x": "x"}, {"y": "y"})
    return write_object_as_graph(body, [request], "predict", out_dir, target=find_target(target))


def read_meta_graph(out_dir):
    (meta_graph,) = parse_message(SavedModel, out_dir / "saved_model.pb").meta_graphs
    return meta_graph


def ask(out_dir, value):
    definition = read_meta_graph(out_dir).signature_def["predict"]
    tensor = definition.outputs["y"].name
    with open_session(out_dir) as session:
        assert session.load_fault is None, session.load_fault
        result = session.run(Call({definition.inputs["x"].name: value}, (tensor,)))
    assert result.fault is None, result.fault
    return result.outputs[tensor]


def collect_states(module):
    """Every state of a loop over time, as a Keras layer for recurrent nets does it."""
    import tensorflow as tf

    module.kernel = tf.Variable(np.full((4, 4), 0.25, "float32"), name="kernel")

    def call(x):
        steps = tf.transpose(x, [1, 0, 2])
        count = tf.shape(steps)[0]
        taken = tf.TensorArray(tf.float32, count).unstack(steps)
        given = tf.TensorArray(tf.float32, count)

        def turn(time, state, given):
            state = tf.tanh(taken.read(time) + state @ module.kernel)
            return time + 1, state, given.write(time, state)

        _, _, given = tf.while_loop(lambda time, *_: time < count, turn, (0, tf.zeros_like(steps[0]), given))
        return tf.transpose(given.stack(), [1, 0, 2])

    return call


def keep_last_state(module):
    """A list of one element, into which every turn writes its result."""
    import tensorflow as tf

    def call(x):
        steps = tf.transpose(x, [1, 0, 2])
        taken = tf.TensorArray(tf.float32, tf.shape(steps)[0]).unstack(steps)
        given = tf.TensorArray(tf.float32, 1)

        def turn(time, state, given):
            state = 0.5 * state + taken.read(time)
            return time + 1, state, given.write(0, state)

        start = (0, tf.zeros_like(steps[0]), given)
        _, _, given = tf.while_loop(lambda time, *_: time < tf.shape(steps)[0], turn, start)
        return given.stack()[-1]

    return call


def grow_list(module):
    """A list that begins empty and takes one more element each turn."""
    import tensorflow as tf

    def call(x):
        steps = tf.transpose(x, [1, 0, 2])
        grown = tf.TensorArray(tf.float32, 0, dynamic_size=True)

        def turn(time, grown):
            return time + 1, grown.write(time, steps[time] * tf.cast(time + 1, tf.float32))

        _, grown = tf.while_loop(lambda time, _: time < tf.shape(steps)[0], turn, (0, grown))
        return grown.stack()

    return call


def nest_loops(module):
    """A loop in a loop, with a list that is made outside and filled inside, and one that is made inside."""
    import tensorflow as tf

    def call(x):
        count = tf.shape(x)[1]
        rows = tf.TensorArray(tf.float32, count).unstack(tf.transpose(x, [1, 0, 2]))
        sums = tf.TensorArray(tf.float32, count)

        def outer(i, sums):
            parts = tf.TensorArray(tf.float32, i + 1)

            def inner(j, parts):
                return j + 1, parts.write(j, rows.read(j) * tf.cast(i + 1, tf.float32))

            _, parts = tf.while_loop(lambda j, *_: j <= i, inner, (0, parts))
            return i + 1, sums.write(i, tf.reduce_sum(parts.stack(), 0))

        _, sums = tf.while_loop(lambda i, *_: i < count, outer, (0, sums))
        return sums.stack()

    return call


def branch(module):
    import tensorflow as tf

    module.left = tf.Variable(3.0, name="left")

    def call(x):
        total = tf.reduce_sum(x)
        value = tf.cond(total > 0, lambda: x * module.left, lambda: tf.constant(7.0) - x)
        return tf.switch_case(tf.cast(total > 5, tf.int32), [lambda: value + 1, lambda: value - 1])

    return call


@pytest.mark.parametrize(("op", "axes"), [("Conv2D", 2), ("Conv3D", 3)])
def test_groups_of_channels_are_taken_apart_where_a_cpu_knows_none(tmp_path, op, axes):
    import tensorflow as tf

    kernel = np.random.default_rng(0).standard_normal((*[3] * axes, 2, 6)).astype("float32")
    images = np.random.default_rng(1).standard_normal((2, *[5] * axes, 4)).astype("float32")
    # One convolution a group, by hand: channels 0 and 1 make 0 to 2, channels 2 and 3 make 3 to 5.
    parts = [
        tf.nn.convolution(images[..., 2 * i : 2 * i + 2], kernel[..., 3 * i : 3 * i + 3], padding="SAME")
        for i in (0, 1)
    ]
    expected = tf.concat(parts, -1).numpy()

    def convolve(module):
        module.kernel = tf.Variable(kernel, name="kernel")
        strides = [1] * (axes + 2)

        def run(x):
            return getattr(tf.raw_ops, op)(input=x, filter=module.kernel, strides=strides, padding="SAME")

        compiled = tf.function(run, jit_compile=True)
        return lambda x: compiled(x) + 0.0

    body = make_body(convolve, TensorSpec("float32", (None, *[None] * axes, 4)))
    export(body, tmp_path / "model")
    convolutions = [n for n in read_meta_graph(tmp_path / "model").graph_def.node if n.op == op]
    assert len(convolutions) == 2
    np.testing.assert_allclose(ask(tmp_path / "model", images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [collect_states, keep_last_state, grow_list, nest_loops, branch])
def test_loops_and_branches_answer_as_before(tmp_path, build):
    body = make_body(build)
    expected = [body.call({"x": value})["y"].numpy() for value in (X, -X, X[:1, :2] + 2)]
    export(body, tmp_path / "model")
    meta_graph = read_meta_graph(tmp_path / "model")
    assert not meta_graph.graph_def.library.function
    assert not meta_graph.object_graph_def.nodes
    ops = {node.op for node in meta_graph.graph_def.node}
    assert not {op for op in ops if "TensorList" in op or "PartitionedCall" in op}
    for value, answer in zip((X, -X, X[:1, :2] + 2), expected, strict=True):
        np.testing.assert_allclose(ask(tmp_path / "model", value), answer, rtol=1e-5, atol=1e-6)


def test_lists_stay_where_the_runtime_can_fill_them(tmp_path):
    body = make_body(collect_states)
    export(body, tmp_path / "model", "1.15")
    ops = {node.op for node in read_meta_graph(tmp_path / "model").graph_def.node}
    assert "TensorListSetItem" in ops
    expected = body.call({"x": X})["y"].numpy()
    np.testing.assert_allclose(ask(tmp_path / "model", X), expected, rtol=1e-5, atol=1e-6)


def test_variables_stay_variables_that_a_saver_restores(tmp_path):
    export(make_body(collect_states), tmp_path / "model")
    meta_graph = read_meta_graph(tmp_path / "model")
    (variable,) = [node for node in meta_graph.graph_def.node if node.op == "VarHandleOp"]
    assert variable.name == "kernel"
    assert meta_graph.saver_def.restore_op_name
    (entry,) = open_bundle(tmp_path / "model/variables/variables").entries.values()
    assert entry.shape == (4, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"], "a folder beside it was left behind"


def test_tables_and_their_files_come_along(tmp_path):
    import tensorflow as tf

    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("a\nb\n")

    def look_up(module):
        module.vocabulary = tf.saved_model.Asset(str(vocabulary))
        initializer = tf.lookup.TextFileInitializer(
            module.vocabulary,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        module.table = tf.lookup.StaticHashTable(initializer, -1)
        pairs = tf.lookup.KeyValueTensorInitializer(
            tf.constant([0, 1, -1], tf.int64), tf.constant([0.5, 1.5, 9.0])
        )
        module.weights = tf.lookup.StaticHashTable(pairs, 0.0)
        return lambda words: module.weights.lookup(module.table.lookup(words))

    export(make_body(look_up, TensorSpec("string", (None,))), tmp_path / "model")
    vocabulary.unlink()
    (tmp_path / "model").rename(tmp_path / "moved")
    words = np.array([b"b", b"a", b"c"], dtype=object)
    assert ask(tmp_path / "moved", words).tolist() == [1.5, 0.5, 9.0]
    assert (tmp_path / "moved/assets/words.txt").read_text() == "a\nb\n"


def test_what_the_target_cannot_run_is_refused_and_leaves_nothing(tmp_path):
    import tensorflow as tf

    def transcode(module):
        return lambda words: tf.strings.unicode_transcode(words, "UTF-8", "UTF-16-BE", name="clean/recode")

    body = make_body(transcode, TensorSpec("string", (None,)))
    with pytest.raises(ExportError) as caught:
        export(body, tmp_path / "model")
    assert "UnicodeTranscode" in caught.value.received
    assert "from clean" in caught.value.received
    assert "newer target" in caught.value.advice
    assert list(tmp_path.iterdir()) == []
    export(body, tmp_path / "model", "1.15")
    assert ask(tmp_path / "model", np.array([b"a"], dtype=object)).tolist() == [b"\0a"]
