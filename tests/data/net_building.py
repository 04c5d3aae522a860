"""Small nets as TensorFlow 1 code builds them, for graphs that the zoo does not have.

Loaded by path: tests are no package. `tf` is `tensorflow.compat.v1` throughout.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from servable.formats.protos import MetaGraphDef


def export(build):
    """Builds a graph and gives it as a trainer's saver writes it into a `.meta`."""
    with tf.Graph().as_default() as graph:
        build()
        if tf.global_variables():
            tf.train.Saver()
        tf.global_variables_initializer()
        meta_graph = tf.train.export_meta_graph(graph=graph)
    return MetaGraphDef.FromString(meta_graph.SerializeToString())


def feed(name, *sizes, dtype="float32"):
    """A placeholder with a free batch."""
    return tf.placeholder(dtype, [None, *sizes], name)


def dense(x, units, name, activation=None):
    """A layer whose variables are shared by name."""
    with tf.variable_scope(name, reuse=tf.AUTO_REUSE):
        kernel = tf.get_variable("kernel", [int(x.shape[-1]), units])
        bias = tf.get_variable("bias", [units], initializer=tf.zeros_initializer())
        y = tf.nn.bias_add(tf.matmul(x, kernel), bias)
        return y if activation is None else activation(y)


def conv(x, filters, name):
    """A convolution of 3 by 3 with a ReLU."""
    with tf.variable_scope(name, reuse=tf.AUTO_REUSE):
        weights = tf.get_variable("weights", [3, 3, int(x.shape[-1]), filters])
        biases = tf.get_variable("biases", [filters], initializer=tf.zeros_initializer())
        return tf.nn.relu(tf.nn.conv2d(x, weights, [1, 1, 1, 1], "SAME") + biases)


def normalize(x, training, name):
    """Batch norm by hand, as papers' code of 2016 has it: moments, averages and a cond."""
    with tf.variable_scope(name):
        size = [int(x.shape[-1])]
        beta = tf.get_variable("beta", size, initializer=tf.zeros_initializer())
        gamma = tf.get_variable("gamma", size, initializer=tf.ones_initializer())
        mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        averages = tf.train.ExponentialMovingAverage(0.9)

        def update():
            with tf.control_dependencies([averages.apply([mean, variance])]):
                return tf.identity(mean), tf.identity(variance)

        kept = tf.cond(training, update, lambda: (averages.average(mean), averages.average(variance)))
        return tf.nn.batch_normalization(x, *kept, beta, gamma, 1e-3)


def fit(loss):
    """Adds an optimizer, with its gradients, slots and summaries."""
    tf.summary.scalar("loss", loss)
    tf.train.AdamOptimizer(1e-3).minimize(loss)


def fit_classes(logits, labels):
    """Cross-entropy with whole numbers as labels."""
    fit(tf.losses.sparse_softmax_cross_entropy(labels, logits))


def square_error(a, b):
    """Mean over the batch."""
    return tf.reduce_mean(tf.square(a - b))
