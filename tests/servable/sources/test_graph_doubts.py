"""Training graphs, built here, that don't say what to serve: stop, and list what a person would take."""

from pathlib import Path

import pytest

from servable.errors import SignatureError
from servable.signature import SignatureRequest
from servable.sources.choosing.completing import GraphSuggester

pytestmark = pytest.mark.tensorflow

BUILDERS = {}


def doubtful(doubt, *listed):
    """Registers a graph with a word of the doubt, and the tensors that must be in the list."""

    def register(build):
        BUILDERS[build.__name__] = (build, doubt, listed)
        return build

    return register


def _discriminate(net, x):
    return net.dense(net.dense(x, 8, "D/1", net.tf.nn.relu), 1, "D/2")


def _generate(net, z):
    return net.dense(net.dense(z, 8, "G/1", net.tf.nn.relu), 20, "G/2", net.tf.nn.sigmoid)


def _fit_adversaries(net, real, fake):
    compare, tf = net.tf.nn.sigmoid_cross_entropy_with_logits, net.tf
    for pairs in ([(real, 1.0), (fake, 0.0)], [(fake, 1.0)]):
        losses = [compare(logits=x, labels=tf.zeros_like(x) + wanted) for x, wanted in pairs]
        net.fit(sum(tf.reduce_mean(loss) for loss in losses))


@doubtful("more than one net", "X:0", "Z:0", "G/2/Sigmoid:0", "D/2/BiasAdd:0")
def gan(net, tf):
    fake = _generate(net, net.feed("Z", 4))
    _fit_adversaries(net, _discriminate(net, net.feed("X", 20)), _discriminate(net, fake))


@doubtful("", "X:0", "D/2/BiasAdd:0")
def gan_that_draws_its_own_noise(net, tf):
    fake = _generate(net, tf.random_normal([16, 4]))
    _fit_adversaries(net, _discriminate(net, net.feed("X", 20)), _discriminate(net, fake))


@doubtful("more than one net", "X:0", "Z:0", "real:0", "fake:0", "made:0")
def gan_with_names(net, tf):
    made = tf.identity(_generate(net, net.feed("Z", 4)), "made")
    real, fake = _discriminate(net, net.feed("X", 20)), _discriminate(net, made)
    tf.sigmoid(real, name="real"), tf.sigmoid(fake, name="fake")
    _fit_adversaries(net, real, fake)


@doubtful("random numbers", "x:0", "decoder/Sigmoid:0")
def variational_autoencoder(net, tf):
    x = net.feed("x", 20)
    mean, spread = net.dense(x, 3, "mean"), net.dense(x, 3, "spread")
    z = mean + tf.exp(spread) * tf.random_normal(tf.shape(mean))
    y = net.dense(z, 20, "decoder", tf.nn.sigmoid)
    net.fit(net.square_error(x, y) - tf.reduce_mean(1 + spread - tf.square(mean) - tf.exp(spread)))


@doubtful("random numbers", "x:0", "p:0")
def augmentation_without_a_switch(net, tf):
    x = net.feed("x", 8)
    tf.nn.softmax(net.dense(x + tf.random_normal(tf.shape(x)), 3, "o"), name="p")


@doubtful("", "ids:0", "embedding_lookup:0")
def word_vectors(net, tf):
    table = tf.Variable(tf.random_uniform([100, 8]))
    found = tf.nn.embedding_lookup(table, tf.placeholder("int32", [32], "ids"))
    w, b = tf.Variable(tf.truncated_normal([100, 8])), tf.Variable(tf.zeros([100]))
    labels = tf.placeholder("int32", [32, 1], "train_labels")
    net.fit(tf.reduce_mean(tf.nn.nce_loss(w, b, labels, found, 5, 100)))


@doubtful("left open", "x:0", "fc/BiasAdd:0", "add:0")
def regression_with_a_second_scale(net, tf):
    y = net.dense(net.feed("x", 7), 1, "fc")
    y * 3.0 + 1.0  # in the trainer's own units
    net.fit(net.square_error(y, net.feed("t", 1)))


@doubtful("single int32", "x:0", "p:0")
def state_of_a_batch_size(net, tf):
    x, size = net.feed("x", 6, 3), tf.placeholder("int32", [], "batch_size")
    h = tf.concat([x[:, 0], tf.zeros(tf.stack([size, 4]))], 1)
    tf.nn.softmax(net.dense(tf.ensure_shape(h, [None, 7]), 3, "o"), name="p")


@doubtful("flip:0 is a flag", "flip:0", "p:0")
def flag_of_unknown_meaning(net, tf):
    x = net.feed("x", 6)
    h = tf.cond(tf.placeholder("bool", [], "flip"), lambda: x * 2.0, lambda: x)
    tf.nn.softmax(net.dense(h, 3, "b"), name="p")


@doubtful("the opposite", "is_training:0", "p:0")
def flag_that_contradicts_its_name(net, tf):
    x = net.feed("x", 6)
    flag = tf.placeholder("bool", [], "is_training")
    h = tf.cond(flag, lambda: x, lambda: tf.nn.dropout(x, rate=0.5))
    tf.nn.softmax(net.dense(h, 3, "b"), name="p")


@doubtful("keeps and another drops", "share:0", "p:0")
def share_of_two_meanings(net, tf):
    share = tf.placeholder("float32", [], "share")
    h = tf.nn.dropout(tf.nn.dropout(net.feed("x", 6), keep_prob=share), rate=share)
    tf.nn.softmax(net.dense(h, 3, "b"), name="p")


@doubtful("temperature", "temperature:0", "probs:0")
def sampler(net, tf):
    logits = net.dense(net.feed("x", 6), 9, "o") / tf.placeholder("float32", [], "temperature")
    tf.nn.softmax(logits, name="probs")
    tf.multinomial(logits, 1, name="sample")


@doubtful("same weights", "x:0", "tower_0/o/BiasAdd:0", "tower_1/o/BiasAdd:0")
def towers(net, tf):
    losses = []
    labels = net.feed("y", 3)
    for number, half in enumerate(tf.split(net.feed("x", 8), 2, 1)):
        with tf.name_scope(f"tower_{number}"):
            logits = net.dense(half, 3, "o")
            losses.append(tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    net.fit(tf.reduce_mean(tf.add_n(losses)))


@doubtful("with each other", "x:0", "student/BiasAdd:0")
def teacher_and_student(net, tf):
    x = net.feed("x", 8)
    soft = tf.stop_gradient(tf.nn.softmax(net.dense(x, 3, "teacher")))
    student = net.dense(x, 3, "student")
    net.fit(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=soft, logits=student)))


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_it_stops_and_lists_what_there_is(net, name):
    build, doubt, listed = BUILDERS[name]
    suggest = GraphSuggester(net.export(lambda: build(net, net.tf)), Path("train/model.ckpt"))
    with pytest.raises(SignatureError) as caught:
        suggest([SignatureRequest()], frozen={})
    assert doubt in caught.value.received.partition("\n")[0]
    for tensor in listed:
        assert f" {tensor} " in caught.value.received.replace(":0:", ":0 :")
    assert caught.value.advice.startswith("servable convert train/model.ckpt OUT_DIR --input ")
    assert "--output " in caught.value.advice


def test_what_is_in_doubt_can_be_named(net):
    suggest = GraphSuggester(net.export(lambda: gan(net, net.tf)), Path("m"))
    asked = SignatureRequest(outputs={"picture": "G/2/Sigmoid:0"})
    (request,) = suggest([asked], frozen={}).requests
    assert request.inputs == {"Z": "Z:0"}


def test_a_value_that_is_in_doubt_can_be_set(net):
    suggest = GraphSuggester(net.export(lambda: state_of_a_batch_size(net, net.tf)), Path("m"))
    (request,) = suggest([SignatureRequest()], frozen={"batch_size": "1"}).requests
    assert (request.inputs, request.outputs) == ({"x": "x:0"}, {"p": "p:0"})
