"""Moving averages in the place of variables: every way in which a training graph keeps them.

Each case is trained for a few steps; what is wanted is what the same session answers once it has the averages
in its variables.
"""

import numpy as np
import pytest

from servable.errors import SignatureError
from servable.export.exporting import export_servable
from servable.formats.checkpoints.bundle import open_bundle, read_tensor
from servable.formats.protos import MetaGraphDef, parse_message
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions
from servable.sources.saver_checkpoints.shadows import find_shadows

pytestmark = pytest.mark.tensorflow

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def plain_control_flow():
    """Averages of references are initialized in conditionals, which version 2 of them cannot hold."""
    import tensorflow as tf

    tf.compat.v1.disable_control_flow_v2()
    yield
    tf.compat.v1.enable_control_flow_v2()


def make_net(x):
    import tensorflow as tf

    v1 = tf.compat.v1
    weights = v1.get_variable("net/w", [4, 6], initializer=v1.random_normal_initializer(seed=1))
    bias = v1.get_variable("net/b", [6], initializer=v1.ones_initializer())
    return tf.nn.softmax(tf.matmul(x, weights) + bias, name="y"), weights, bias


def step(variables):
    """Stands for an optimizer: moves every column by another amount."""
    import tensorflow as tf

    return tf.group(
        *(tf.compat.v1.assign_add(v, 0.3 * tf.ones(v.shape) * tf.range(1.0 * v.shape[-1])) for v in variables)
    )


def keep_averages(x, *, name="ExponentialMovingAverage", scope="", of_all=True):
    import tensorflow as tf

    y, weights, bias = make_net(x)
    variables = [weights, bias] if of_all else [weights]
    average = tf.train.ExponentialMovingAverage(0.6, name=name)
    with tf.control_dependencies([step([weights, bias])]), tf.compat.v1.variable_scope(scope):
        train = average.apply(variables)
    return y, train, {variable: average.average(variable) for variable in variables}


def keep_by_hand(x, *, form):
    import tensorflow as tf
    from tensorflow.python.training.moving_averages import assign_moving_average

    v1 = tf.compat.v1
    y, w, b = make_net(x)
    shadow = v1.get_variable("w_ema", [4, 6], initializer=v1.zeros_initializer(), trainable=False)
    with tf.control_dependencies([step([w, b])]):
        train = {
            "blend": lambda: v1.assign(shadow, shadow * 0.7 + tf.identity(w) * 0.3),
            "sub": lambda: v1.assign_sub(shadow, (shadow - w) * 0.3),
            "add": lambda: v1.assign_add(shadow, 0.3 * (w - shadow)),
            "zero_debias": lambda: assign_moving_average(shadow, w, 0.7, zero_debias=True),
            "in_cond": lambda: v1.cond(
                tf.constant(True), lambda: v1.assign_sub(shadow, (shadow - w) * 0.3), lambda: shadow + 0.0
            ),
        }[form]()
    return y, train, {w: shadow}


def keep_of_parts(x):
    import tensorflow as tf

    v1 = tf.compat.v1
    parts = list(
        v1.get_variable(
            "emb",
            [4, 6],
            initializer=v1.random_normal_initializer(seed=1),
            partitioner=v1.fixed_size_partitioner(2),
        )
    )
    y = tf.nn.softmax(tf.matmul(x, tf.concat(parts, 0)), name="y")
    average = tf.train.ExponentialMovingAverage(0.6)
    with tf.control_dependencies([step(parts)]):
        train = average.apply(parts)
    return y, train, {part: average.average(part) for part in parts}


def train(folder, build, *, use_resource=False, swap=False, only_averages=False, **options):
    """Trains, saves, and returns the answers with the variables' own values and with the averages."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with (
        tf.Graph().as_default(),
        v1.variable_scope(v1.get_variable_scope(), use_resource=use_resource),
        v1.Session() as session,
    ):
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        y, train_op, averages = build(x, **options)
        names = {v.op.name: v for v in v1.global_variables()}
        if swap:  # as the saver of contrib's MovingAverageOptimizer does
            for variable, average in averages.items():
                names[variable.op.name], names[average.op.name] = average, variable
        if only_averages:
            names = {average.op.name: average for average in averages.values()}
        saver = v1.train.Saver(names)
        session.run(v1.global_variables_initializer())
        for _ in range(3):
            session.run(train_op)
        saver.save(session, str(folder / "model.ckpt"))
        raw = session.run(y, {x: X})
        for variable, value in [(v, session.run(average)) for v, average in averages.items()]:
            session.run(v1.assign(variable, value))
        return {False: raw, True: session.run(y, {x: X})}


def answer(folder, out_dir, ema):
    """Answers of the source and of what was exported, and the notes on it."""
    import tensorflow as tf

    model = open_source(folder / "model.ckpt", SourceOptions(ema=ema))
    request = SignatureRequest("s", {"x": "x:0"}, {"y": "y:0"})
    export = export_servable(model, [request], out_dir)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        tf.compat.v1.saved_model.load(session, ["serve"], str(out_dir))
        served = session.run("y:0", {"x:0": X})
    return model.predict(request, {"x": X}, frozen={})["y"], served, [note.message for note in export.notes]


CASES = {
    "default": (keep_averages, {}),
    "resources": (keep_averages, {"use_resource": True}),
    "other_name": (keep_averages, {"name": "avg"}),
    "in_a_scope": (keep_averages, {"scope": "train"}),
    "of_some": (keep_averages, {"of_all": False}),
    "swapped_by_the_saver": (keep_averages, {"swap": True}),
    "of_parts": (keep_of_parts, {}),
    **{form: (keep_by_hand, {"form": form}) for form in ("blend", "sub", "add", "zero_debias", "in_cond")},
    "zero_debias_of_resources": (keep_by_hand, {"form": "zero_debias", "use_resource": True}),
}


@pytest.mark.parametrize("name", CASES)
def test_averages_stand_for_variables_only_when_asked(tmp_path, name):
    build, options = CASES[name]
    wanted = train(tmp_path, build, **options)
    assert np.abs(wanted[False] - wanted[True]).max() > 1e-2
    for ema in (False, True):
        predicted, served, notes = answer(tmp_path, tmp_path / f"out_{ema}", ema)
        np.testing.assert_allclose(predicted, wanted[ema], atol=1e-5)
        np.testing.assert_allclose(served, wanted[ema], atol=1e-5)
        assert any("variables take their moving average" in note for note in notes) == ema


def test_what_has_no_average_is_counted_and_named(tmp_path):
    train(tmp_path, keep_averages, of_all=False)
    _, _, notes = answer(tmp_path, tmp_path / "out", ema=True)
    assert "1 of 2 variables take their moving average, 1 have none: net/b" in notes


def test_an_average_is_stored_under_its_variables_name(tmp_path):
    train(tmp_path, keep_averages)
    answer(tmp_path, tmp_path / "out", ema=True)
    bundle = open_bundle(tmp_path / "out" / "variables" / "variables")
    assert sorted(bundle.entries) == ["net/b", "net/w"]
    trained = open_bundle(tmp_path / "model.ckpt")
    average = read_tensor(trained, "net/w/ExponentialMovingAverage")
    np.testing.assert_array_equal(read_tensor(bundle, "net/w"), average)


@pytest.mark.parametrize("scope", ["", "train"])
def test_a_graph_without_updates_finds_averages_by_name(tmp_path, scope):
    import tensorflow as tf

    wanted = train(tmp_path, keep_averages, scope=scope)
    with tf.Graph().as_default() as graph:
        make_net(tf.compat.v1.placeholder(tf.float32, [None, 4], name="x"))
        tf.compat.v1.train.Saver()
        tf.compat.v1.train.export_meta_graph(str(tmp_path / "model.ckpt.meta"), graph=graph)
    predicted, served, _ = answer(tmp_path, tmp_path / "out", ema=True)
    np.testing.assert_allclose(predicted, wanted[True], atol=1e-5)
    np.testing.assert_allclose(served, wanted[True], atol=1e-5)


def test_a_checkpoint_of_averages_alone_fits_a_users_graph(tmp_path):
    import tensorflow as tf

    wanted = train(tmp_path, keep_averages, only_averages=True)
    assert sorted(open_bundle(tmp_path / "model.ckpt").entries) == [
        f"net/{name}/ExponentialMovingAverage" for name in "bw"
    ]
    module = tmp_path / "model.py"
    module.write_text(
        "import tensorflow.compat.v1 as tf\n"
        "def build_graph():\n"
        "    x = tf.placeholder(tf.float32, [None, 4])\n"
        "    y = tf.matmul(x, tf.get_variable('net/w', [4, 6])) + tf.get_variable('net/b', [6])\n"
        "    return {'x': x}, {'y': tf.nn.softmax(y)}\n"
    )
    model = open_source(tmp_path / "model.ckpt", SourceOptions(module=module, ema=True))
    (request,) = model.signatures
    np.testing.assert_allclose(model.predict(request, {"x": X}, frozen={})["y"], wanted[True], atol=1e-5)
    export_servable(model, [request], tmp_path / "out")
    served = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"](x=tf.constant(X))["y"]
    np.testing.assert_allclose(served, wanted[True], atol=1e-5)


def test_two_averages_of_one_variable_are_refused(tmp_path):
    import tensorflow as tf

    def keep_two(x):
        y, weights, bias = make_net(x)
        averages = [tf.train.ExponentialMovingAverage(decay) for decay in (0.6, 0.9)]
        with tf.control_dependencies([step([weights, bias])]):
            return y, tf.group(*(average.apply([weights]) for average in averages)), {}

    train(tmp_path, keep_two)
    with pytest.raises(SignatureError, match="net/w has several moving averages") as caught:
        open_source(tmp_path / "model.ckpt", SourceOptions(ema=True))
    assert caught.value.received == "net/w/ExponentialMovingAverage, net/w/ExponentialMovingAverage_1"


def test_outputs_that_no_average_reaches_are_refused(tmp_path):
    import tensorflow as tf

    def keep_of_another_net(x):
        _, w, b = make_net(x)
        other = tf.compat.v1.get_variable("other", [4, 2])
        tf.matmul(x, other, name="z")
        average = tf.train.ExponentialMovingAverage(0.6)
        with tf.control_dependencies([step([w, b])]):
            return other, average.apply([other]), {}

    train(tmp_path, keep_of_another_net)
    with pytest.raises(SignatureError, match="None of the variables that the signatures need") as caught:
        answer(tmp_path, tmp_path / "out", ema=True)
    assert caught.value.expected.endswith("other")
    assert not (tmp_path / "out").exists()


@pytest.mark.zoo("tf1.*-lr-a", "tf1.*-cnn_bn-a")
def test_where_nothing_is_averaged_the_option_is_refused(zoo, case_name):
    """The moving mean and variance of a batch normalization are averages, but of no variable."""
    with pytest.raises(SignatureError, match="No variable of the graph has a moving average"):
        open_source(zoo(case_name).source, SourceOptions(ema=True))


@pytest.mark.zoo("tf1.*-ema-?")
def test_shadows_are_those_that_the_trainer_knew(zoo, case_name):
    case = zoo(case_name)
    meta_graph = parse_message(MetaGraphDef, case.source.with_name(case.source.name + ".meta"))
    found = find_shadows({node.name: node for node in meta_graph.graph_def.node})
    assert found == {name: {shadow} for name, shadow in case.facts["ema"].items()}
