"""What the Lambda layers of old model files compute, as functions that have a name."""

import tensorflow as tf


def double_plus_one(x):
    return 2 * x + 1


def triple_plus_one(x):
    return 3 * x + 1


def swishish(x):
    return x * tf.sigmoid(x)
