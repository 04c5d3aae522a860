"""Windows with paddings, and batch norm."""

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

PADDINGS = [0, 0, 1, 2, 0, 3, 0, 0]


def _draw(*shape, dtype="float32"):
    return np.random.default_rng(0).integers(-4, 5, shape).astype(dtype)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("version", ["1.12.3", "1.14.0"])
def test_windows_with_paddings(agree, strides, version):
    import tensorflow as tf

    attrs = {"strides": [1, strides, strides, 1], "padding": "EXPLICIT", "explicit_paddings": PADDINGS}

    def call(x, filters, depth_filters):
        results = [
            tf.raw_ops.DepthwiseConv2dNative(input=x, filter=depth_filters, **attrs),
            tf.raw_ops.MaxPool(input=x - 9, ksize=[1, 4, 4, 1], **attrs),
        ]
        if version == "1.12.3":
            results.append(tf.raw_ops.Conv2D(input=x, filter=filters, dilations=[1, 2, 1, 1], **attrs))
        return results

    agree(call, _draw(2, 6, 7, 3), _draw(3, 2, 3, 4), _draw(3, 2, 3, 2), version=version)


@pytest.mark.parametrize("place", ["function", "loop"])
def test_windows_in_functions_and_loops(agree, place):
    import tensorflow as tf

    def call(x, filters):
        return tf.raw_ops.Conv2D(
            input=x, filter=filters, strides=[1, 1, 1, 1], padding="EXPLICIT", explicit_paddings=PADDINGS
        )

    agree(call, _draw(2, 6, 7, 3), _draw(3, 2, 3, 4), place=place)


def test_pools_of_whole_numbers(agree):
    import tensorflow as tf

    def call(x):
        return tf.raw_ops.MaxPool(
            input=x - 9,
            ksize=[1, 2, 2, 1],
            strides=[1, 1, 1, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 1, 1, 1, 1, 0, 0],
        )

    agree(call, _draw(2, 6, 7, 3, dtype="int32"), version="2.3.4")


def test_transposed_convolutions_with_paddings(agree):
    import tensorflow as tf

    def call(x, filters, sizes):
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=sizes,
            filter=filters,
            out_backprop=x,
            strides=[1, 2, 2, 1],
            padding="EXPLICIT",
            explicit_paddings=PADDINGS,
        )

    sizes = np.array([2, 8, 7, 3], "int32")  # 8 + 1 + 2 and 7 + 3, in steps of 2 with a window of 3 by 2
    agree(call, _draw(2, 5, 5, 4), _draw(3, 2, 3, 4), sizes)


@pytest.mark.parametrize("layout", ["NHWC", "NDHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_stored_averages(agree, layout, dtype):
    import tensorflow as tf

    def call(x, *stored):
        node = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(x, dtype),
            scale=stored[0],
            offset=stored[1],
            mean=stored[2],
            variance=stored[3],
            is_training=False,
            epsilon=0.01,
            data_format=layout,
        )
        return tf.cast(node.y, tf.float32)

    x = _draw(2, *[3] * (len(layout) - 2), 4)
    stored = [_draw(4), _draw(4), _draw(4), np.abs(_draw(4)) + 1]
    agree(call, x, *stored, version="1.12.3", rtol=2e-2 if dtype == "bfloat16" else 1e-3, atol=1e-3)


@pytest.mark.parametrize("place", ["function", "loop"])
def test_averages_of_the_batch(agree, place):
    import tensorflow as tf

    def call(x, scale, offset):
        node = tf.raw_ops.FusedBatchNormV3(x=x, scale=scale, offset=offset, mean=[], variance=[])
        return node.y, node.batch_mean, node.batch_variance

    agree(call, _draw(2, 3, 3, 4), _draw(4), _draw(4), place=place, rtol=1e-4, atol=1e-5)
