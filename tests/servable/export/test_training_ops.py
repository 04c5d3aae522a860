"""Dropout and batch statistics that a graph was built with, in the spellings of all eras, switched off."""

from dataclasses import replace

import numpy as np
import pytest

from servable.export.exporting import export_servable, read_signatures
from servable.formats.protos import SavedModel, parse_message
from servable.runtime.outcome import Call
from servable.runtime.session import run_calls
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions

pytestmark = pytest.mark.tensorflow

ROWS, WIDTH = 6, 4
EPSILON = 1e-3
X = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)
# What training has arrived at, by the last part of a variable's name.
VALUES = {
    "moving_mean": np.array([0.5, -1.0, 2.0, 0.25], np.float32),
    "moving_variance": np.array([4.0, 0.25, 1.0, 2.0], np.float32),
    "gamma": np.array([1.0, 2.0, 0.5, -1.0], np.float32),
    "beta": np.array([0.0, 1.0, -1.0, 0.5], np.float32),
}


def tf1():
    import tensorflow as tf

    return tf.compat.v1


def uniform(shape):
    """tf.random_uniform of TensorFlow 1: uniform * (max - min) + min, spelled out."""
    v1 = tf1()
    low, high = v1.constant(0.0), v1.constant(1.0)
    return v1.add(v1.raw_ops.RandomUniform(shape=shape, dtype=v1.float32) * (high - low), low)


# Each of these is given x, float32 [None, 4], and gives what training computes. In inference it gives x.


def dropout_of_1_4(x):
    """nn_ops.py of 1.0 to 1.12."""
    v1 = tf1()
    keep_prob = v1.constant(0.5)
    binary = v1.floor(keep_prob + uniform(v1.shape(x)))
    return v1.realdiv(x, keep_prob) * binary


def dropout_of_0_12(x):
    """tf.div and tf.inv instead of a real division."""
    v1 = tf1()
    keep_prob = v1.constant(0.75)
    return x * v1.raw_ops.Inv(x=keep_prob) * v1.floor(uniform(v1.shape(x)) + keep_prob)


def dropout_of_1_13(x):
    """nn_ops.py of 1.13 to 1.15."""
    v1 = tf1()
    rate = v1.constant(0.2)
    scale = 1 / (1 - rate)
    keep_mask = uniform(v1.shape(x)) >= rate
    return x * scale * v1.cast(keep_mask, v1.float32)


def dropout_of_today_by_keep_prob(x):
    return tf1().nn.dropout(x, keep_prob=0.5)


def dropout_of_today_by_rate(x):
    return tf1().nn.dropout(x, rate=0.3)


def dropout_of_whole_rows(x):
    v1 = tf1()
    return v1.nn.dropout(x, rate=0.5, noise_shape=[v1.shape(x)[0], 1])


def dropout_without_state(x):
    import tensorflow as tf

    return tf.nn.experimental.stateless_dropout(x, rate=0.5, seed=[1, 2])


def dropout_by_selection(x):
    v1 = tf1()
    return v1.where(v1.random_uniform(v1.shape(x)) < 0.25, x / 0.25, v1.zeros_like(x))


def dropout_by_dropping(x):
    v1 = tf1()
    dropped = v1.logical_not(v1.random_uniform(v1.shape(x)) > 0.4)
    return v1.where_v2(dropped, x, 0.0) / 0.4


def dropout_scaled_at_the_end(x):
    v1 = tf1()
    return x * v1.cast(v1.less_equal(0.5, v1.random_uniform(v1.shape(x))), v1.float32) * 2.0


def dropout_with_a_scaled_mask(x):
    v1 = tf1()
    return v1.floor(v1.random_uniform(v1.shape(x), 0.1, 1.1)) / 0.1 * x


def dropout_of_half_precision(x):
    v1 = tf1()
    return v1.cast(v1.nn.dropout(v1.cast(x, v1.float16), rate=0.2), v1.float32)


def dropout_by_a_default(x):
    """Nobody feeds this switch in serving."""
    v1 = tf1()
    return v1.nn.dropout(x, keep_prob=v1.placeholder_with_default(0.5, []))


def dropout_twice(x):
    v1 = tf1()
    return v1.nn.dropout(v1.nn.dropout(x, rate=0.5), rate=0.5)


def one_mask_for_two(x):
    v1 = tf1()
    mask = v1.floor(0.5 + uniform(v1.shape(x)))
    return (x / 0.5 * mask + x * mask * 2.0) / 2.0


def dropout_in_a_decided_branch(x):
    v1 = tf1()
    return v1.cond(v1.constant(True), lambda: v1.nn.dropout(x, rate=0.5), lambda: x)


def dropout_in_a_loop(x):
    v1 = tf1()
    keep_prob = v1.constant(0.5)

    def step(i, value):
        return i + 1, v1.realdiv(value, keep_prob) * v1.floor(keep_prob + v1.random_uniform(v1.shape(value)))

    return v1.while_loop(lambda i, _: i < 3, step, [v1.constant(0), x])[1]


def keras_dropout(x):
    import tf_keras

    return tf_keras.layers.Dropout(0.5)(x, training=True)


DROPOUTS = [
    dropout_of_1_4,
    dropout_of_0_12,
    dropout_of_1_13,
    dropout_of_today_by_keep_prob,
    dropout_of_today_by_rate,
    dropout_of_whole_rows,
    dropout_without_state,
    dropout_by_selection,
    dropout_by_dropping,
    dropout_scaled_at_the_end,
    dropout_with_a_scaled_mask,
    dropout_of_half_precision,
    dropout_by_a_default,
    dropout_twice,
    one_mask_for_two,
    dropout_in_a_decided_branch,
    dropout_in_a_loop,
    keras_dropout,
]


def make_variables(use_resource):
    v1 = tf1()
    return {
        name: v1.get_variable(name, [WIDTH], initializer=v1.zeros_initializer(), use_resource=use_resource)
        for name in VALUES
    }


def fused(x, use_resource, **options):
    v1 = tf1()
    own = make_variables(use_resource)
    y, mean, variance = v1.nn.fused_batch_norm(
        x[:, None, None, :], own["gamma"], own["beta"], epsilon=EPSILON, is_training=True, **options
    )
    return own, y[:, 0, 0, :], mean, variance


# Each gives what training computes: x normalized by its own batch.


def fused_norm_of_tensorflow_1(x):
    """tf.layers with fused=True: reference variables, updates in a collection that nothing waits for."""
    from tensorflow.python.training.moving_averages import assign_moving_average

    own, y, mean, variance = fused(x, use_resource=False)
    assign_moving_average(own["moving_mean"], mean, 0.99, zero_debias=False)
    assign_moving_average(own["moving_variance"], variance, 0.99, zero_debias=False)
    return y


def fused_norm_with_resources(x):
    from tensorflow.python.training.moving_averages import assign_moving_average

    own, y, mean, variance = fused(x, use_resource=True)
    assign_moving_average(own["moving_mean"], mean, 0.9, zero_debias=False)
    assign_moving_average(own["moving_variance"], variance, 0.9, zero_debias=False)
    return y


def fused_norm_that_waits(x):
    """contrib.layers.batch_norm with updates_collections=None."""
    v1 = tf1()
    own, y, mean, variance = fused(x, use_resource=False)
    updates = [
        v1.assign_sub(own["moving_mean"], (own["moving_mean"] - mean) * 0.001),
        v1.assign_sub(own["moving_variance"], (own["moving_variance"] - variance) * 0.001),
    ]
    with v1.control_dependencies(updates):
        return v1.identity(y)


def fused_norm_of_half_precision(x):
    from tensorflow.python.training.moving_averages import assign_moving_average

    v1 = tf1()
    own = make_variables(use_resource=True)
    y, mean, variance, *_ = v1.raw_ops.FusedBatchNormV3(
        x=v1.cast(x, v1.float16)[:, None, None, :],
        scale=own["gamma"],
        offset=own["beta"],
        mean=v1.constant([], v1.float32),
        variance=v1.constant([], v1.float32),
        epsilon=EPSILON,
    )
    assign_moving_average(own["moving_mean"], mean, 0.9, zero_debias=False)
    assign_moving_average(own["moving_variance"], variance, 0.9, zero_debias=False)
    return v1.cast(y[:, 0, 0, :], v1.float32)


def fused_norm_that_averages_itself(x):
    """tf.keras from 2.3 on: exponential_avg_factor."""
    v1 = tf1()
    own = make_variables(use_resource=True)
    y, mean, variance = v1.nn.fused_batch_norm(
        x[:, None, None, :],
        own["gamma"],
        own["beta"],
        mean=own["moving_mean"],
        variance=own["moving_variance"],
        epsilon=EPSILON,
        is_training=True,
        exponential_avg_factor=0.01,
    )
    v1.assign(own["moving_mean"], mean)
    v1.assign(own["moving_variance"], variance)
    return y[:, 0, 0, :]


def loose_norm(x, use_resource, update):
    v1 = tf1()
    own = make_variables(use_resource)
    mean, variance = v1.nn.moments(x, [0])
    updates = [update(own["moving_mean"], mean), update(own["moving_variance"], variance)]
    with v1.control_dependencies(updates):
        return v1.nn.batch_normalization(x, mean, variance, own["beta"], own["gamma"], EPSILON)


def loose_norm_of_tutorials(x):
    v1 = tf1()
    return loose_norm(x, False, lambda old, new: v1.assign(old, old * 0.95 + new * (1 - 0.95)))


def loose_norm_with_resources(x):
    v1 = tf1()
    return loose_norm(x, True, lambda old, new: v1.assign_add(old, 0.1 * (new - old)))


def loose_norm_with_a_growing_decay(x):
    v1 = tf1()
    step = v1.get_variable("step", [], initializer=v1.zeros_initializer(), use_resource=False)
    decay = v1.minimum(0.99, (1 + step) / (10 + step))
    return loose_norm(x, False, lambda old, new: v1.assign_sub(old, (old - new) * (1 - decay)))


def loose_norm_by_an_average_object(x):
    """The tutorials' tf.train.ExponentialMovingAverage, behind a condition that is always true."""
    v1 = tf1()
    beta = v1.get_variable("beta", [WIDTH], initializer=v1.zeros_initializer(), use_resource=False)
    gamma = v1.get_variable("gamma", [WIDTH], initializer=v1.zeros_initializer(), use_resource=False)
    mean, variance = v1.nn.moments(x, [0], name="moments")
    ema = v1.train.ExponentialMovingAverage(0.5)

    def update():
        with v1.control_dependencies([ema.apply([mean, variance])]):
            return v1.identity(mean), v1.identity(variance)

    mean, variance = v1.cond(v1.constant(True), update, lambda: (mean, variance))
    return v1.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON)


def keras_norm(x):
    import tf_keras

    layer = tf_keras.layers.BatchNormalization(epsilon=EPSILON, fused=False)
    return layer(x, training=True)


def keras_norm_fused(x):
    import tf_keras

    layer = tf_keras.layers.BatchNormalization(epsilon=EPSILON, fused=True)
    return layer(x[:, None, None, :], training=True)[:, 0, 0, :]


NORMS = [
    fused_norm_of_tensorflow_1,
    fused_norm_with_resources,
    fused_norm_that_waits,
    fused_norm_of_half_precision,
    fused_norm_that_averages_itself,
    loose_norm_of_tutorials,
    loose_norm_with_resources,
    loose_norm_with_a_growing_decay,
    loose_norm_by_an_average_object,
    keras_norm,
    keras_norm_fused,
]


# Parts of a model that look alike and must stay.


def sampled_latents(x):
    v1 = tf1()
    return x + v1.exp(x) * v1.random_normal(v1.shape(x))


def sampled_bits(x):
    """A restricted Boltzmann machine's: 1 with the probability that was computed."""
    v1 = tf1()
    return x * v1.floor(v1.sigmoid(x) + v1.random_uniform(v1.shape(x)))


def sampled_bits_by_comparison(x):
    v1 = tf1()
    return x * v1.cast(v1.random_uniform(v1.shape(x)) < v1.sigmoid(x), v1.float32)


def sampled_coin(x):
    """Unscaled: on average this is not x."""
    v1 = tf1()
    return x * v1.floor(v1.random_uniform(v1.shape(x)) + 0.5)


def sampled_mask_that_is_an_output_too(x):
    v1 = tf1()
    mask = v1.floor(v1.random_uniform(v1.shape(x)) + 0.5)
    return v1.concat([x / 0.5 * mask, mask], axis=1)


def gumbel_noise(x):
    v1 = tf1()
    return v1.argmax(x - v1.log(-v1.log(v1.random_uniform(v1.shape(x)))), axis=1)


def layer_norm(x):
    v1 = tf1()
    mean, variance = v1.nn.moments(x, [1], keepdims=True)
    return v1.nn.batch_normalization(x, mean, variance, None, None, EPSILON)


def batch_statistics_that_nobody_averages(x):
    return fused(x, use_resource=False)[1]


def averaged_activations(x):
    """A moving average of something that is no statistic, kept for a summary."""
    v1 = tf1()
    mean = v1.reduce_mean(x, axis=0)
    average = v1.get_variable("average", [WIDTH], initializer=v1.zeros_initializer(), use_resource=False)
    v1.assign(average, average * 0.9 + mean * 0.1)
    return x - mean


def zero_debiased_norm(x):
    from tensorflow.python.training.moving_averages import assign_moving_average

    own, y, mean, variance = fused(x, use_resource=False)
    assign_moving_average(own["moving_mean"], mean, 0.99, zero_debias=True)
    assign_moving_average(own["moving_variance"], variance, 0.99, zero_debias=True)
    return y


LOOKALIKES = [
    sampled_latents,
    sampled_bits,
    sampled_bits_by_comparison,
    sampled_coin,
    sampled_mask_that_is_an_output_too,
    gumbel_noise,
    layer_norm,
    batch_statistics_that_nobody_averages,
    averaged_activations,
    zero_debiased_norm,
]


def save_training_graph(folder, builders, *, as_saved_model=False):
    """One graph with a net for each builder, saved as a trainer does; returns where and its requests."""
    v1 = tf1()
    graph = v1.Graph()
    with graph.as_default():
        x = v1.placeholder(v1.float32, [None, WIDTH], name="x")
        requests = []
        was_on = v1.control_flow_v2_enabled()
        v1.disable_control_flow_v2()
        try:
            for build in builders:
                with v1.variable_scope(build.__name__):
                    y = v1.identity(build(x), name=f"{build.__name__}_y")
                requests.append(SignatureRequest(build.__name__, {"x": "x:0"}, {"y": y.name}))
        finally:
            # What is built after this, in other tests, is built as ever.
            if was_on:
                v1.enable_control_flow_v2()
        v1.train.create_global_step()
        saver = v1.train.Saver()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for variable in v1.global_variables():
                if (value := read_stand_in(variable.op.name)) is not None:
                    variable.load(value, session)
            if not as_saved_model:
                saver.save(session, str(folder / "model.ckpt"))
                return folder / "model.ckpt", requests
            build_signature = v1.saved_model.build_signature_def
            describe = v1.saved_model.build_tensor_info
            signatures = {
                request.name: build_signature(
                    {"x": describe(x)}, {"y": describe(graph.get_tensor_by_name(request.outputs["y"]))}
                )
                for request in requests
            }
            builder = v1.saved_model.Builder(str(folder / "saved_model"))
            builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
            builder.save()
            return folder / "saved_model", requests


def read_stand_in(variable):
    last = variable.rpartition("/")[2]
    if last == "ExponentialMovingAverage":
        last = "moving_variance" if "moments/Squeeze_1" in variable else "moving_mean"
    return VALUES.get(last)


def ask_cpp_runtime(saved_model_dir, inputs):
    signatures = read_signatures(saved_model_dir)
    calls = [Call({s.inputs["x"].tensor: inputs}, (s.outputs["y"].tensor,)) for s in signatures.values()]
    outcome = run_calls(saved_model_dir, calls)
    assert outcome.load_fault is None
    answers = {}
    for name, call, result in zip(signatures, calls, outcome.results, strict=True):
        assert result.fault is None, (name, result.fault)
        answers[name] = result.outputs[call.fetches[0]]
    return answers


def read_ops(saved_model_dir):
    (meta_graph,) = parse_message(SavedModel, saved_model_dir / "saved_model.pb").meta_graphs
    return {node.name: node.op for node in meta_graph.graph_def.node}


class Converted:
    def __init__(self, folder, builders, *, as_saved_model=False, **options):
        folder.mkdir()
        source, self.requests = save_training_graph(folder, builders, as_saved_model=as_saved_model)
        # Without suggestions: some of these graphs have switches that would be frozen for the user.
        self.model = replace(open_source(source, SourceOptions(**options)), suggest=None)
        self.dir = folder / "out"
        self.export = export_servable(self.model, self.requests, self.dir, default_signature=None)
        self.notes = [note for note in self.export.notes if "switched off" in note.message]
        self.answers = ask_cpp_runtime(self.dir, X)
        self.ops = read_ops(self.dir)

    def ask_source(self, name):
        (request,) = (r for r in self.requests if r.name == name)
        return self.model.predict(request, {"x": X}, frozen={})["y"]


@pytest.fixture(scope="module")
def off(tmp_path_factory):
    return Converted(tmp_path_factory.mktemp("off") / "train", [*DROPOUTS, *NORMS])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return Converted(tmp_path_factory.mktemp("kept") / "train", LOOKALIKES)


@pytest.mark.parametrize("build", DROPOUTS, ids=lambda build: build.__name__)
def test_dropout_gives_in_serving_what_it_is_given(off, build):
    wanted = X.astype(np.float16) if build is dropout_of_half_precision else X
    np.testing.assert_allclose(off.answers[build.__name__], wanted, rtol=1e-6)
    np.testing.assert_allclose(off.ask_source(build.__name__), wanted, rtol=1e-6)


@pytest.mark.parametrize("build", NORMS, ids=lambda build: build.__name__)
def test_batch_norm_takes_its_moving_averages_in_serving(off, build):
    spread = np.sqrt(VALUES["moving_variance"] + EPSILON)
    wanted = (X - VALUES["moving_mean"]) / spread * VALUES["gamma"] + VALUES["beta"]
    tolerance = 1e-2 if build is fused_norm_of_half_precision else 1e-5
    for answers in (off.answers[build.__name__], off.ask_source(build.__name__)):
        np.testing.assert_allclose(answers, wanted, rtol=tolerance, atol=tolerance)


def test_the_source_can_be_asked_where_its_own_op_needs_a_gpu(tmp_path):
    """Channels first: the batch's own statistics are cut, and plain arithmetic takes their place."""
    from tensorflow.python.training.moving_averages import assign_moving_average

    def channels_first(x):
        v1 = tf1()
        own = make_variables(use_resource=True)
        y, mean, variance = v1.nn.fused_batch_norm(
            x[:, :, None, None],
            own["gamma"],
            own["beta"],
            epsilon=EPSILON,
            data_format="NCHW",
            is_training=True,
        )
        assign_moving_average(own["moving_mean"], mean, 0.9, zero_debias=False)
        assign_moving_average(own["moving_variance"], variance, 0.9, zero_debias=False)
        return y[:, :, 0, 0]

    checkpoint, (request,) = save_training_graph(tmp_path, [channels_first])
    answers = open_source(checkpoint).predict(request, {"x": X}, frozen={})["y"]
    spread = np.sqrt(VALUES["moving_variance"] + EPSILON)
    wanted = (X - VALUES["moving_mean"]) / spread * VALUES["gamma"] + VALUES["beta"]
    np.testing.assert_allclose(answers, wanted, rtol=1e-5, atol=1e-5)


def test_nothing_random_and_no_update_is_left(off):
    assert not [name for name, op in off.ops.items() if "Random" in op]
    changing = {n for n, op in off.ops.items() if op.startswith("Assign") and not n.startswith("save")}
    assert not changing


def test_what_was_switched_off_is_said(off):
    dropouts, norms = off.notes
    assert f"({len(DROPOUTS) + 2} times)" in dropouts.message  # two of them are two dropouts
    assert f"({len(NORMS)} times)" in norms.message
    assert "--keep-training-ops" in norms.advice


@pytest.mark.parametrize("build", LOOKALIKES, ids=lambda build: build.__name__)
def test_what_only_looks_like_training_stays(kept, build):
    assert not kept.notes
    scope = build.__name__
    before = {"RandomUniform", "RandomStandardNormal", "FusedBatchNormV3", "Mean"}
    assert any(name.startswith(scope) and op in before for name, op in kept.ops.items())


def test_a_savedmodel_of_a_training_graph_is_compared_with_its_own_inference(tmp_path):
    builders = [dropout_of_1_13, fused_norm_with_resources]
    converted = Converted(tmp_path / "train", builders, as_saved_model=True)
    spread = np.sqrt(VALUES["moving_variance"] + EPSILON)
    normalized = (X - VALUES["moving_mean"]) / spread * VALUES["gamma"] + VALUES["beta"]
    for build, wanted in zip(builders, (X, normalized), strict=True):
        np.testing.assert_allclose(converted.answers[build.__name__], wanted, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(converted.ask_source(build.__name__), wanted, rtol=1e-5, atol=1e-5)


def test_a_mask_that_is_served_stays(tmp_path):
    """The same dropout with its mask as a second output is a sampler."""
    folder = tmp_path / "train"
    folder.mkdir()
    checkpoint, (request,) = save_training_graph(folder, [dropout_of_1_4])
    model = open_source(checkpoint)
    both = SignatureRequest("both", request.inputs, {**request.outputs, "mask": "dropout_of_1_4/Floor:0"})
    export_servable(model, [both], tmp_path / "out", default_signature=None)
    assert "RandomUniform" in read_ops(tmp_path / "out").values()


def test_a_keep_prob_that_clients_feed_stays(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    checkpoint, (request,) = save_training_graph(folder, [dropout_by_a_default])
    fed = SignatureRequest(
        "fed", {**request.inputs, "keep": "dropout_by_a_default/PlaceholderWithDefault:0"}, request.outputs
    )
    export_servable(open_source(checkpoint), [fed], tmp_path / "out", default_signature=None)
    assert "RandomUniform" in read_ops(tmp_path / "out").values()


def test_training_ops_stay_where_the_user_wants_them(tmp_path):
    builders = [dropout_of_1_13, loose_norm_of_tutorials]
    converted = Converted(tmp_path / "train", builders, keep_training_ops=True)
    assert not converted.notes
    assert "RandomUniform" in converted.ops.values()
    by_batch = (X - X.mean(0)) / np.sqrt(X.var(0) + EPSILON) * VALUES["gamma"] + VALUES["beta"]
    name = loose_norm_of_tutorials.__name__
    np.testing.assert_allclose(converted.answers[name], by_batch, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(converted.ask_source(name), by_batch, rtol=1e-4, atol=1e-4)


CLASS_IDS = {"tf1.12": "ExpandDims", "tf1.15": "ExpandDims_2"}


@pytest.mark.zoo("tf1.*-cnn_bn-?")
def test_a_switch_that_the_user_turned_on_stays_on(zoo, case_name, tmp_path):
    case = zoo(case_name)
    request = SignatureRequest("s", case.name_ends("inputs"), case.name_ends("outputs"))
    export = export_servable(
        open_source(case.source), [request], tmp_path / "out", frozen=dict.fromkeys(case.frozen, True)
    )
    assert not [note for note in export.notes if "switched off" in note.message]


@pytest.mark.zoo("tf1.*-estimator-?")
def test_an_estimators_training_graph_answers_as_its_predictions_did(zoo, case_name, tmp_path):
    case = zoo(case_name)
    request = SignatureRequest(
        "predict",
        {"f1": "IteratorGetNext:0", "f2": "IteratorGetNext:1"},
        {
            "probabilities": "dnn/head/predictions/probabilities:0",
            "logits": "dnn/logits/BiasAdd:0",
            "class_ids": f"dnn/head/predictions/{CLASS_IDS[case_name[:6]]}:0",
        },
    )
    model = open_source(case.source)
    export_servable(model, [request], tmp_path / "out", default_signature=None)
    signature = read_signatures(tmp_path / "out")["predict"]
    inputs, wanted = case.read_arrays("inputs"), case.read_arrays("outputs")
    feeds = {spec.tensor: inputs[key] for key, spec in signature.inputs.items()}
    outcome = run_calls(
        tmp_path / "out", [Call(feeds, tuple(spec.tensor for spec in signature.outputs.values()))]
    )
    served = dict(zip(signature.outputs, outcome.results[0].outputs.values(), strict=True))
    for answers in (served, model.predict(request, inputs, frozen={})):
        for key, value in wanted.items():
            np.testing.assert_allclose(answers[key], value, rtol=1e-4, atol=1e-4)
