"""Training switches of many kinds, built here: found by what they do, and frozen to the value for serving."""

from pathlib import Path

import pytest

from servable.signature import SignatureRequest
from servable.sources.choosing.completing import GraphSuggester

pytestmark = pytest.mark.tensorflow


def suggest(net, build, frozen=None):
    """Puts what a switch does between two layers."""

    def build_net():
        h = build(net.tf, net.dense(net.feed("x", 6), 5, "a", net.tf.nn.relu))
        net.tf.nn.softmax(net.dense(h, 3, "b"), name="p")

    suggester = GraphSuggester(net.export(build_net), Path("m"))
    suggestion = suggester([SignatureRequest()], frozen=frozen or {})
    assert suggestion.requests[0].inputs == {"x": "x:0"}
    assert suggestion.requests[0].outputs == {"p": "p:0"}
    return suggestion.frozen


def drop(tf, h):
    return tf.nn.dropout(h, rate=0.4)


@pytest.mark.parametrize(
    ("name", "value", "trains"),
    [
        ("is_training", False, True),
        ("phase", False, True),
        ("keras_learning_phase", False, True),
        ("isTraining", False, True),
        ("q", False, True),
        ("is_test", True, False),
        ("inference", True, False),
        ("z", True, False),
    ],
)
def test_a_flag_that_chooses_a_branch(net, control_flow, name, value, trains):
    def build(tf, h):
        flag = tf.placeholder("bool", [], name)
        branches = (lambda: drop(tf, h), lambda: h)
        return tf.cond(flag, *(branches if trains else reversed(branches)))

    assert suggest(net, build) == {f"{name}:0": value}


def test_a_flag_that_is_turned_round(net, control_flow):
    def build(tf, h):
        flag = tf.placeholder("bool", name="q")
        return tf.cond(tf.logical_not(flag), lambda: h, lambda: drop(tf, h))

    assert suggest(net, build) == {"q:0": False}


def test_a_flag_of_a_batch_norm(net, control_flow):
    assert suggest(net, lambda tf, h: net.normalize(h, tf.placeholder("bool"), "bn")) == {
        "Placeholder:0": False
    }


def test_a_flag_of_a_fused_batch_norm(net, control_flow):
    def build(tf, h):
        scale, offset, mean, variance = (tf.get_variable(name, [5]) for name in ("s", "o", "m", "v"))
        x = tf.reshape(h, [-1, 1, 1, 5])

        def normalize(**kwargs):
            return tf.nn.fused_batch_norm(x, scale, offset, **kwargs)[0]

        y = tf.cond(
            tf.placeholder_with_default(True, [], "q"),
            lambda: normalize(is_training=True),
            lambda: normalize(mean=mean, variance=variance, is_training=False),
        )
        return tf.reshape(y, [-1, 5])

    assert suggest(net, build) == {"q:0": False}


def test_a_flag_that_selects(net):
    def build(tf, h):
        import tensorflow

        return tensorflow.where(tf.placeholder("bool", [], "q"), drop(tf, h), h)

    assert suggest(net, build) == {"q:0": False}


def test_a_number_that_is_compared(net, control_flow):
    def build(tf, h):
        mode = tf.placeholder("int32", [], "mode")
        return tf.cond(tf.equal(mode, 1), lambda: drop(tf, h), lambda: h)

    assert suggest(net, build) == {"mode:0": 0}


def test_a_constant_flag(net, control_flow):
    def build(tf, h):
        flag = tf.logical_or(tf.constant(True, name="train_now"), tf.constant(False))
        return tf.cond(flag, lambda: drop(tf, h), lambda: h)

    # Either constant may be the one that counts, so both are frozen.
    assert suggest(net, build)["train_now:0"] is False


def test_a_flag_in_a_variable(net, control_flow):
    def build(tf, h):
        flag = tf.get_variable("is_training", [], "bool", tf.zeros_initializer(), trainable=False)
        tf.assign(flag, True)
        return tf.cond(flag, lambda: drop(tf, h), lambda: h)

    frozen = suggest(net, build)
    assert list(frozen.values()) == [False]
    assert "ead" in next(iter(frozen))  # what reads the variable, not the variable


@pytest.mark.parametrize("name", ["keep_prob", "dropout", "drop_rate", "k"])
def test_the_share_that_is_kept_is_told_by_arithmetic(net, name):
    def build(tf, h):
        return tf.nn.dropout(h, keep_prob=tf.placeholder("float32", name=name))

    assert suggest(net, build) == {f"{name}:0": 1.0}


@pytest.mark.parametrize("name", ["rate", "dropout", "keep_prob", "k"])
def test_the_share_that_is_dropped_is_told_by_arithmetic(net, name):
    def build(tf, h):
        return tf.nn.dropout(h, rate=tf.placeholder("float32", [], name))

    assert suggest(net, build) == {f"{name}:0": 0.0}


def test_a_dropout_as_of_tensorflow_1_4(net):
    def build(tf, h):
        keep = tf.placeholder_with_default(0.5, [], "q")
        return tf.div(h, keep) * tf.floor(keep + tf.random_uniform(tf.shape(h)))

    assert suggest(net, build) == {"q:0": 1.0}


def test_a_dropout_in_a_loop(net, control_flow):
    def build(tf, h):
        keep = tf.placeholder_with_default(0.5, [], "q")
        step = lambda i, h: (i + 1, tf.nn.dropout(tf.tanh(h), keep_prob=keep))  # noqa: E731 - as loops are written
        shapes = [tf.TensorShape([]), tf.TensorShape([None, 5])]
        y = tf.while_loop(lambda i, h: i < 3, step, [0, h], shape_invariants=shapes)[1]
        return tf.ensure_shape(y, [None, 5])

    assert suggest(net, build) == {"q:0": 1.0}


def test_two_shares_of_different_kinds(net):
    def build(tf, h):
        h = tf.nn.dropout(h, keep_prob=tf.placeholder("float32", [], "in_kp"))
        return tf.nn.dropout(h, rate=tf.placeholder("float32", [], "out_dp"))

    assert suggest(net, build) == {"in_kp:0": 1.0, "out_dp:0": 0.0}


def test_what_the_user_set_is_not_set_again(net):
    def build(tf, h):
        return tf.nn.dropout(h, rate=tf.placeholder("float32", [], "r"))

    assert suggest(net, build, frozen={"r:0": "0.2"}) == {"r:0": "0.2"}
