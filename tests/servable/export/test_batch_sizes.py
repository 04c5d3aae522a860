"""A queue of fixed batches leaves its number of rows in the graph; a placeholder has to be free of it."""

import pytest

from servable.export.batch_sizes import free_reshapes
from servable.formats.protos import GraphDef
from servable.graphs.graph import find_ancestors, index_nodes

pytestmark = pytest.mark.tensorflow


def build_graph(rows, width):
    """As `tf.feature_column.input_layer` reshapes what a queue of fixed batches hands over."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        queue = tf.FIFOQueue(20, ["float32"], [[width]])
        x = queue.dequeue_many(rows)
        x.set_shape([rows, width])
        size = tf.constant([rows, width])[0]
        tf.reshape(x, tf.stack([size, width]), name="y")
    graph_def = graph.as_graph_def(add_shapes=True)
    return index_nodes(GraphDef.FromString(graph_def.SerializeToString())), x.name


def run_freed(nodes, rows, width):
    import tensorflow.compat.v1 as tf

    graph_def = tf.GraphDef()
    for name in find_ancestors(nodes, ["y:0"]):
        graph_def.node.add().CopyFrom(tf.NodeDef.FromString(nodes[name].SerializeToString()))
    with tf.Graph().as_default() as graph:
        x = tf.placeholder("float32", [None, width])
        dequeue = next(n.name for n in graph_def.node if "Dequeue" in n.op)
        (y,) = tf.import_graph_def(graph_def, input_map={f"{dequeue}:0": x}, return_elements=["y:0"], name="")
        with tf.Session(graph=graph) as session:
            return session.run(y, {x: [[1.0] * width] * rows}).shape


def test_a_reshape_to_the_queues_rows_takes_any_number():
    nodes, fed = build_graph(rows=8, width=2)
    before = nodes["y"].input[1]
    freed = free_reshapes(nodes, [fed], ["y:0"])
    assert [run_freed(freed, rows, 2) for rows in (1, 3, 8)] == [(1, 2), (3, 2), (8, 2)]
    assert nodes["y"].input[1] == before


def test_where_a_row_is_as_wide_as_there_are_rows_nothing_is_guessed():
    nodes, fed = build_graph(rows=2, width=2)
    assert free_reshapes(nodes, [fed], ["y:0"]) == nodes
