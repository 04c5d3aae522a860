"""Outputs and inputs of training graphs in many styles, built here: which are chosen."""

from pathlib import Path

import numpy as np
import pytest

from servable.signature import SignatureRequest
from servable.sources.choosing.completing import GraphSuggester

pytestmark = pytest.mark.tensorflow

BUILDERS = {}


def style(*outputs, inputs=("x:0",), frozen=None):
    """Registers a style of net, with the signature that a person would choose for it."""

    def register(build):
        BUILDERS[build.__name__] = (build, set(inputs), set(outputs), frozen or {})
        return build

    return register


@style("Predictions:0", inputs=("images:0",), frozen={"is_training:0": False})
def slim_like(net, tf):
    images, labels = net.feed("images", 16, 16, 3), net.feed("labels", dtype="int64")
    h = net.conv(images, 4, "conv1")
    tf.summary.image("features", h[:, :, :, :3])
    h = net.normalize(h, tf.placeholder("bool", name="is_training"), "norm")
    logits = net.dense(tf.reshape(h, [-1, 1024]), 10, "Logits")
    tf.summary.histogram("answers", tf.nn.softmax(logits, name="Predictions"))
    penalty = sum(tf.nn.l2_loss(v) for v in tf.trainable_variables())
    net.fit(tf.losses.sparse_softmax_cross_entropy(labels, logits) + 1e-4 * penalty)
    tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), "float32"), name="accuracy")


@style("fc/BiasAdd:0", inputs=("Placeholder:0",))
def logits_without_a_softmax_or_names(net, tf):
    x, t = tf.placeholder("float32", [None, 8]), tf.placeholder("float32", [None, 3])
    logits = net.dense(x, 3, "fc")
    net.fit(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=t, logits=logits)))
    tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), tf.argmax(t, 1)), "float32"))


@style("decoder/Sigmoid:0")
def autoencoder(net, tf):
    x = net.feed("x", 20)
    y = net.dense(net.dense(x, 5, "encoder", tf.nn.relu), 20, "decoder", tf.nn.sigmoid)
    net.fit(net.square_error(x, y))


@style("Add:0", inputs=("X:0",))
def regression_without_a_head(net, tf):
    x, y = net.feed("X", 7), net.feed("Y", 1)
    net.fit(net.square_error(tf.add(tf.matmul(x, tf.Variable(tf.zeros([7, 1]))), tf.Variable([0.0])), y))


@style("prediction:0", inputs=("features:0",))
def regression_with_a_name(net, tf):
    y = tf.squeeze(net.dense(net.feed("features", 7), 1, "out"), name="prediction")
    target = net.feed("target")
    net.fit(tf.losses.mean_squared_error(target, y))
    tf.metrics.mean_absolute_error(target, y)


@style("output/scores:0", "output/predictions:0", inputs=("words:0",))
def text_cnn(net, tf):
    table = tf.Variable(tf.random_uniform([50, 6]), name="W")
    h = tf.reduce_max(tf.nn.embedding_lookup(table, net.feed("words", 12, dtype="int32")), 1)
    with tf.name_scope("output"):
        scores = tf.nn.xw_plus_b(h, tf.get_variable("W2", [6, 2]), tf.Variable([0.1, 0.1]), name="scores")
        predictions = tf.argmax(scores, 1, name="predictions")
    labels = net.feed("input_y", 2)
    net.fit(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=scores)))
    tf.reduce_mean(tf.cast(tf.equal(predictions, tf.argmax(labels, 1)), "float"), name="accuracy")


@style("detection_boxes:0", "detection_scores:0", inputs=("image:0",))
def detector(net, tf):
    h = net.conv(net.feed("image", 8, 8, 3), 8, "trunk")
    boxes = tf.reshape(net.conv(h, 4, "box"), [-1, 64, 4], name="detection_boxes")
    classes = tf.reshape(net.conv(h, 5, "class"), [-1, 64, 5])
    tf.nn.sigmoid(classes, name="detection_scores")
    wanted = net.feed("gt_classes", 64, 5)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=classes)
    net.fit(tf.reduce_mean(tf.abs(boxes - net.feed("gt_boxes", 64, 4))) + tf.reduce_mean(loss))


@style("digit:0", "age:0")
def multi_task(net, tf):
    h = net.dense(net.feed("x", 9), 8, "trunk", tf.nn.relu)
    digits, age = net.dense(h, 3, "a"), tf.squeeze(net.dense(h, 1, "b"), 1, name="age")
    tf.nn.softmax(digits, name="digit")
    labels = net.feed("ya", dtype="int64")
    net.fit(tf.losses.sparse_softmax_cross_entropy(labels, digits) + net.square_error(age, net.feed("yb")))


@style("distance:0", inputs=("x1:0", "x2:0"))
def siamese(net, tf):
    sides = [net.dense(net.dense(net.feed(n, 10), 8, "a", tf.nn.relu), 4, "b") for n in ("x1", "x2")]
    y = net.feed("y")
    d = tf.sqrt(tf.reduce_sum(tf.square(sides[0] - sides[1]), 1) + 1e-6, name="distance")
    net.fit(tf.reduce_mean(y * tf.square(d) + (1 - y) * tf.square(tf.maximum(1.0 - d, 0.0))))


@style("predict:0")
def train_and_test_net_of_the_same_weights(net, tf):
    x, labels = net.feed("x", 9), net.feed("t", dtype="int64")
    h = net.dense(x, 8, "one", tf.nn.relu)
    trained = net.dense(tf.nn.dropout(h, rate=0.5), 3, "two")
    tf.nn.softmax(net.dense(h, 3, "two"), name="predict")
    net.fit_classes(trained, labels)


@style("click:0", inputs=("wide:0", "deep:0"))
def wide_and_deep(net, tf):
    table = tf.get_variable("table", [10, 4])
    deep = tf.reshape(tf.nn.embedding_lookup(table, net.feed("deep", 3, dtype="int64")), [-1, 12])
    logits = net.dense(net.feed("wide", 5), 1, "w") + net.dense(deep, 1, "d")
    tf.nn.sigmoid(logits, name="click")
    net.fit(tf.losses.sigmoid_cross_entropy(net.feed("label", 1), logits))


@style("prob:0", inputs=("x:0", "mask:0"))
def attention_with_a_mask(net, tf):
    x = net.feed("x", 5, 6)
    scores = tf.squeeze(tf.tensordot(x, tf.get_variable("u", [6, 1]), 1), -1) + net.feed("mask", 5)
    context = tf.reduce_sum(x * tf.nn.softmax(scores, name="attention")[:, :, None], 1)
    logits = net.dense(context, 3, "o")
    tf.nn.softmax(logits, name="prob")
    net.fit_classes(logits, net.feed("lab", dtype="int64"))


@style("act_prob:0", inputs=("observations:0",))
def policy_gradient(net, tf):
    logits = net.dense(net.feed("observations", 4), 2, "fc")
    tf.nn.softmax(logits, name="act_prob")
    actions, worth = net.feed("actions", dtype="int32"), net.feed("worth")
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=logits, labels=actions)
    net.fit(tf.reduce_mean(losses * worth))


@style("ids:0", "logits:0", inputs=("source:0",))
def decoder_in_a_loop(net, tf):
    source, table = net.feed("source", 4, dtype="int32"), tf.get_variable("table", [20, 6])
    w, out = tf.get_variable("w", [12, 6]), tf.get_variable("out", [6, 20])
    h = tf.reduce_mean(tf.nn.embedding_lookup(table, source), 1)

    def step(i, h, token, written):
        h = tf.tanh(tf.matmul(tf.concat([tf.nn.embedding_lookup(table, token), h], 1), w))
        scores = tf.matmul(h, out)
        return i + 1, h, tf.argmax(scores, 1, output_type=tf.int32), written.write(i, scores)

    state = [0, h, source[:, 0], tf.TensorArray(tf.float32, 5)]
    shapes = [tf.TensorShape(s) for s in ([], [None, 6], [None], [])]
    written = tf.while_loop(lambda i, *_: i < 5, step, state, shape_invariants=shapes)[3]
    logits = tf.transpose(written.stack(), [1, 0, 2], name="logits")
    tf.argmax(logits, 2, name="ids")
    net.fit_classes(logits, net.feed("decoder_targets", 5, dtype="int32"))


@style("unstack:0", "unstack:1", inputs=("ids:0",))
def span_of_an_answer(net, tf):
    h = tf.gather(tf.get_variable("table", [30, 6]), net.feed("ids", 8, dtype="int32"))
    scores = tf.reshape(net.dense(tf.reshape(h, [-1, 6]), 2, "o"), [-1, 8, 2])
    ends = tf.unstack(tf.transpose(scores, [2, 0, 1]), axis=0)
    for name, logits in zip(("start", "end"), ends, strict=True):
        net.fit_classes(logits, net.feed(f"{name}_labels", dtype="int32"))


@style("DepthToSpace:0", inputs=("small:0",))
def super_resolution(net, tf):
    y = tf.depth_to_space(net.conv(net.feed("small", 8, 8, 1), 4, "a"), 2)
    net.fit(tf.reduce_mean(tf.abs(y - net.feed("large", 16, 16, 1))))


@style("p:0", inputs=("IteratorGetNext:0",))
def iterator_by_handle(net, tf):
    data = tf.data.Dataset.from_tensor_slices((np.zeros([8, 3], "f"), np.zeros([8], "i"))).batch(4)
    types, shapes = tf.data.get_output_types(data), tf.data.get_output_shapes(data)
    handle = tf.placeholder("string", [], "handle")
    x, y = tf.data.Iterator.from_string_handle(handle, types, shapes).get_next()
    logits = net.dense(x, 3, "o")
    tf.nn.softmax(logits, name="p")
    net.fit_classes(logits, y)


@style("mul:0", inputs=("a:0",), frozen={"b:0": 1.0})
def collections_that_the_trainer_filled(net, tf):
    x, keep, y = net.feed("a", 6), tf.placeholder("float32", [], "b"), net.feed("c", dtype="int64")
    logits = net.dense(tf.nn.dropout(x, rate=1 - keep), 3, "o")
    for tensor in (x, keep, y):
        tf.add_to_collection("inputs", tensor)
    tf.add_to_collection("outputs", logits * 2.0)
    net.fit_classes(logits, y)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_right_ends_are_chosen(net, control_flow, name):
    build, inputs, outputs, frozen = BUILDERS[name]
    suggestion = GraphSuggester(net.export(lambda: build(net, net.tf)), Path("m"))(
        [SignatureRequest()], frozen={}
    )
    (request,) = suggestion.requests
    assert set(request.inputs.values()) == inputs
    assert set(request.outputs.values()) == outputs
    assert suggestion.frozen == frozen
