"""Logistic regression with named variables: the graph of checkpoints that came without their `.meta`."""

import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def build_graph():
    x = tf.placeholder(tf.float32, [None, 784], name="x")
    weights = tf.get_variable("W", [784, 10])
    bias = tf.get_variable("b", [10])
    return {"x": x}, {"y": tf.nn.softmax(tf.matmul(x, weights) + bias, name="y")}
