"""ROOM 2: calls of functions become the nodes that they call, and branches and loops those of TensorFlow 1.

What passes through: a graph that the op gate has let in comes in; one without functions goes out.
TensorFlow's own graph optimizer does it, as it does for whoever freezes a model. Nothing of the graph is
run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from servable.errors import ExportError
from servable.formats.protos import GraphDef
from servable.graphs.graph import iterate_all_nodes

# Functions with this attribute are implementations of one thing; the optimizer would choose among them by the
# devices of this machine.
_SIBLINGS_ATTR = "api_implements"
# Wishes that would keep a function whole: of its author, and of a compiler that no server need have.
_HINDERING_ATTRS = ("_noinline", "_XlaMustCompile")
# Ops that decide which function runs, and what makes the optimizer take them apart too.
_BRANCHING_OPS = frozenset({"If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile"})
_LOWER_ATTR = "_lower_using_switch_merge"
# The optimizer asks here for the nodes that it has to keep.
_FETCHES = "train_op"


def inline_calls(graph_def: Any, kept: Iterable[str]) -> Any:
    """Puts the bodies of functions in the place of their calls.

    Args:
        graph_def: Pruned, with its library. Names of nodes outside of functions stay.
        kept: Names of nodes or tensors that are asked for by name afterwards.

    Raises:
        ExportError: TensorFlow refuses the graph, or a call could not be taken apart.
    """
    import tensorflow as tf
    from tensorflow.python.grappler import tf_optimizer  # no public way to this pass

    meta_graph = tf.compat.v1.MetaGraphDef()
    meta_graph.graph_def.ParseFromString(graph_def.SerializeToString())
    for function in meta_graph.graph_def.library.function:
        for attr in (_SIBLINGS_ATTR, *_HINDERING_ATTRS):
            function.attr.pop(attr, None)
    for _, node in iterate_all_nodes(meta_graph.graph_def):
        for attr in _HINDERING_ATTRS:
            node.attr.pop(attr, None)
        if node.op in _BRANCHING_OPS:
            node.attr[_LOWER_ATTR].b = True
    for name in sorted(set(kept)):
        meta_graph.collection_def[_FETCHES].node_list.value.append(name)
    config = tf.compat.v1.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1  # small graphs too
    options.meta_optimizer_iterations = type(options).ONE
    options.optimizers.append("function")
    try:
        inlined = tf_optimizer.OptimizeGraph(config, meta_graph)
    except (ValueError, tf.errors.OpError) as error:
        raise ExportError(
            "TensorFlow could not put the model's functions into one graph.",
            received=str(error).partition("\n")[0],
            advice="choose a target of TensorFlow 2, which calls functions as they are",
        ) from error
    result = GraphDef.FromString(inlined.SerializeToString())
    result.versions.CopyFrom(graph_def.versions)
    return result
