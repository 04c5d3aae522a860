"""The code behind checkpoints of a plain `tf.Module`: two dense layers, ReLU between them."""

import tensorflow as tf


class Dense(tf.Module):
    """y = x w + b."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.w = tf.Variable(tf.zeros([inputs, outputs]))
        self.b = tf.Variable(tf.zeros([outputs]))

    def __call__(self, x):
        return x @ self.w + self.b


class Net(tf.Module):
    """x: float32 [batch, 5], y: float32 [batch, 2]."""

    def __init__(self):
        super().__init__()
        self.layers = [Dense(5, 4), Dense(4, 2)]

    @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.float32)])
    def __call__(self, x):
        return self.layers[1](tf.nn.relu(self.layers[0](x)))


def build_model():
    """Builds the net, its weights still to come."""
    return Net()
