"""A placeholder whose default the net computes is no input of the net."""

from pathlib import Path

import pytest

from servable.formats.protos import MetaGraphDef
from servable.signature import SignatureRequest
from servable.sources.choosing.completing import GraphSuggester

pytestmark = pytest.mark.tensorflow


def choose_inputs(with_cache):
    """A head on a net, trained from cached answers of that net; or fed from a queue, with a way around it."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        if with_cache:
            images = tf.placeholder("float32", [None, 6], "images")
            default = tf.nn.relu(tf.matmul(images, tf.get_variable("v", [6, 4])))
        else:
            default = tf.FIFOQueue(20, ["float32"], [[4]]).dequeue_many(8)
        x = tf.placeholder_with_default(default, [None, 4], "bottleneck")
        labels = tf.placeholder("int32", [None], "labels")
        logits = tf.matmul(x, tf.get_variable("w", [4, 3]))
        tf.nn.softmax(logits, name="result")
        tf.train.AdamOptimizer().minimize(tf.losses.sparse_softmax_cross_entropy(labels, logits))
        meta_graph = tf.train.export_meta_graph(graph=graph)
    suggester = GraphSuggester(MetaGraphDef.FromString(meta_graph.SerializeToString()), Path("m.ckpt"))
    return list(suggester([SignatureRequest()], frozen={}).requests[0].inputs.values())


@pytest.mark.parametrize(("with_cache", "wanted"), [(True, "images:0"), (False, "bottleneck:0")])
def test_the_net_is_followed_to_where_data_comes_in(with_cache, wanted):
    assert choose_inputs(with_cache) == [wanted]
