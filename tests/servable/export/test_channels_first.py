"""Models with channels first, written for runtimes that compute with channels last only on a CPU."""

import numpy as np
import pytest

from servable.export.dialects.adapting import adapt_meta_graph
from servable.formats.protos import MetaGraphDef
from servable.targets.catalog import find_target
from servable.targets.layouts import needs_channels_last

pytestmark = pytest.mark.tensorflow

IMAGES = np.random.default_rng(0).standard_normal((2, 4, 7, 6)).astype("float32")
VOLUMES = np.random.default_rng(1).standard_normal((2, 4, 5, 4, 3)).astype("float32")
KERNEL = np.random.default_rng(2).standard_normal((3, 2, 4, 5)).astype("float32")
KERNEL_3D = np.random.default_rng(3).standard_normal((2, 2, 2, 4, 5)).astype("float32")
ONES, NONE = np.ones(4, "float32"), np.zeros(0, "float32")


def conv_2d(raw, x):
    return raw.Conv2D(
        input=x,
        filter=KERNEL,
        strides=[1, 1, 2, 1],
        dilations=[1, 1, 1, 2],
        padding="SAME",
        data_format="NCHW",
    )


def conv_2d_with_paddings(raw, x):
    return raw.Conv2D(
        input=x,
        filter=KERNEL,
        strides=[1, 1, 1, 1],
        padding="EXPLICIT",
        explicit_paddings=[0, 0, 0, 0, 2, 0, 1, 3],
        data_format="NCHW",
    )


def depthwise(raw, x):
    kernel = KERNEL[..., :2]
    return raw.DepthwiseConv2dNative(
        input=x, filter=kernel, strides=[1, 1, 2, 2], padding="VALID", data_format="NCHW"
    )


def conv_2d_transposed(raw, x):
    kernel = np.transpose(KERNEL, (0, 1, 3, 2))
    return raw.Conv2DBackpropInput(
        input_sizes=[2, 5, 14, 6],
        filter=kernel,
        out_backprop=x,
        strides=[1, 1, 2, 1],
        padding="SAME",
        data_format="NCHW",
    )


def max_pool(raw, x):
    return raw.MaxPool(input=x, ksize=[1, 1, 3, 2], strides=[1, 1, 2, 1], padding="SAME", data_format="NCHW")


def average_pool(raw, x):
    return raw.AvgPool(value=x, ksize=[1, 1, 3, 2], strides=[1, 1, 2, 1], padding="VALID", data_format="NCHW")


def conv_3d(raw, x):
    return raw.Conv3D(input=x, filter=KERNEL_3D, strides=[1, 1, 2, 1, 1], padding="SAME", data_format="NCDHW")


def conv_3d_transposed(raw, x):
    kernel = np.transpose(KERNEL_3D, (0, 1, 2, 4, 3))
    return raw.Conv3DBackpropInputV2(
        input_sizes=[2, 5, 10, 4, 3],
        filter=kernel,
        out_backprop=x,
        strides=[1, 1, 2, 1, 1],
        padding="SAME",
        data_format="NCDHW",
    )


def max_pool_3d(raw, x):
    return raw.MaxPool3D(
        input=x, ksize=[1, 1, 2, 3, 1], strides=[1, 1, 1, 2, 1], padding="SAME", data_format="NCDHW"
    )


def normalize_each(raw, x):
    (y, mean, *_) = raw.FusedBatchNormV3(
        x=x, scale=ONES, offset=ONES, mean=NONE, variance=NONE, is_training=True, data_format="NCHW"
    )
    return y + mean[0]


@pytest.mark.parametrize(
    "build",
    [
        conv_2d,
        conv_2d_with_paddings,
        depthwise,
        conv_2d_transposed,
        max_pool,
        average_pool,
        conv_3d,
        conv_3d_transposed,
        max_pool_3d,
        normalize_each,
    ],
)
@pytest.mark.parametrize("target", ["1.12", "1.15"])
def test_channels_are_put_last_and_back(build, target):
    import tensorflow as tf

    value = VOLUMES if "3d" in build.__name__ else IMAGES
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder("float32", value.shape, name="x")
        tf.identity(build(tf.raw_ops, x), name="y")
    expected = run(graph, value)
    meta_graph = MetaGraphDef()
    meta_graph.graph_def.ParseFromString(graph.as_graph_def().SerializeToString())
    adapt_meta_graph(meta_graph, find_target(target))
    version = find_target(target).version
    assert not [node.name for node in meta_graph.graph_def.node if needs_channels_last(node, version)]
    adapted = tf.Graph()
    with adapted.as_default():
        message = tf.compat.v1.GraphDef.FromString(meta_graph.graph_def.SerializeToString())
        tf.graph_util.import_graph_def(message, name="")
    np.testing.assert_allclose(run(adapted, value), expected, rtol=1e-4, atol=1e-4)


def run(graph, value):
    import tensorflow as tf

    with tf.compat.v1.Session(graph=graph) as session:
        return session.run("y:0", {"x:0": value})


@pytest.mark.parametrize(("version", "is_needed"), [("1.12.3", True), ("2.7.4", True), ("2.11.1", False)])
def test_newer_runtimes_take_channels_first(version, is_needed):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        conv_2d(tf.raw_ops, tf.compat.v1.placeholder("float32", IMAGES.shape))
    (node,) = [node for node in graph.as_graph_def().node if node.op == "Conv2D"]
    assert needs_channels_last(node, version) == is_needed
    node.attr["data_format"].s = b"NHWC"
    assert not needs_channels_last(node, version)
