"""ROOM 2: asks TensorFlow what it makes of a graph: dtypes, inferred shapes, and whether it takes it at all.

What passes through: a GraphDef of `servable.formats.protos` comes in, plain specs or a stripped GraphDef go
out. Nothing of the graph is run. TensorFlow is imported inside the functions, for it costs seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from servable.errors import ExportError, SignatureError
from servable.formats.protos import GraphDef, MetaGraphDef, NodeDef
from servable.graphs.graph import (
    Edge,
    find_functions,
    iterate_all_nodes,
    read_edge,
    spell_edge,
    strip_foreign_attrs,
)
from servable.signature import Shape, TensorSpec


def infer_specs(graph_def: Any, tensors: Iterable[str]) -> dict[str, TensorSpec]:
    """Imports a graph and reads dtype and shape of some of its tensors.

    Args:
        graph_def: A GraphDef message.
        tensors: Names in full, such as "x:0".

    Raises:
        ExportError: The graph holds unknown ops or does not fit together.
        SignatureError: A tensor's node has no such output.
    """
    import tensorflow as tf

    _refuse_unknown_ops(graph_def)
    graph = tf.Graph()
    with graph.as_default():
        try:
            tf.graph_util.import_graph_def(
                tf.compat.v1.GraphDef.FromString(graph_def.SerializeToString()), name=""
            )
        except (ValueError, tf.errors.OpError) as error:
            raise ExportError(
                "TensorFlow refuses the graph.",
                expected=f"a graph that TensorFlow {tf.__version__} imports",
                received=str(error).partition("\n")[0],
                advice="choose inputs behind the node that is named, or outputs before it",
            ) from error
    specs = {}
    for name in tensors:
        operation = graph.get_operation_by_name(read_edge(name).node)
        output = read_edge(name).output or 0
        if output >= len(operation.outputs):
            raise SignatureError(
                "A signature names an output that its node does not have.",
                expected=f"one of {[tensor.name for tensor in operation.outputs]}",
                received=name,
                where=f"op {operation.type}",
                advice="name one of these",
            )
        tensor = operation.outputs[output]
        specs[name] = TensorSpec(tensor.dtype.base_dtype.name, _read_shape(tensor.shape), name)
    return specs


def shield_from(nodes: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Hides the values of some nodes from those that read them.

    TensorFlow computes constants while it infers shapes: importing a graph would read the file that a
    ReadFile of a constant names. A placeholder in between keeps dtypes and stops that.

    Args:
        nodes: By name; not changed.
        names: Nodes that must not be computed.
    """
    shielded = dict(nodes)
    for node in nodes.values():
        inputs = [read_edge(text) for text in node.input]
        hidden = [edge for edge in inputs if edge.node in names and edge.output is not None]
        if not hidden:
            continue
        changed = NodeDef()
        changed.CopyFrom(node)
        del changed.input[:]
        shields = {
            edge: Edge(_add_shield(shielded, nodes[edge.node], edge.output or 0), 0) for edge in hidden
        }
        changed.input.extend(spell_edge(shields.get(edge, edge)) for edge in inputs)
        shielded[node.name] = changed
    return shielded


def _add_shield(nodes: dict[str, Any], node: Any, output: int) -> str:
    name = f"{node.name}/shield_{output}"
    nodes[name] = NodeDef(name=name, op="Placeholder")
    nodes[name].attr["dtype"].type = _read_output_type(node, output)
    return name


def _read_output_type(node: Any, output: int) -> int:
    from tensorflow.python.framework import op_def_registry  # no public way to ask for one op

    definition = op_def_registry.get(node.op)
    defaults = {attr.name: attr.default_value for attr in definition.attr} if definition else {}

    def read(name: str) -> Any:
        return node.attr[name] if name in node.attr else defaults[name]

    for arg in definition.output_arg if definition else ():
        if arg.type_list_attr:
            types = list(read(arg.type_list_attr).list.type)
        else:
            dtype = read(arg.type_attr).type if arg.type_attr else arg.type
            types = [dtype] * min(read(arg.number_attr).i if arg.number_attr else 1, output + 1)
        if output < len(types):
            return int(types[output])
        output -= len(types)
    raise ExportError(
        "A node is read that does not have this output.",
        expected="outputs that its op declares",
        where=node.name,
        advice="the graph is damaged: take it again from where it was written",
    )


def strip_default_attrs(graph_def: Any) -> Any:
    """Leaves out attributes that have their default value, in functions too.

    Runtimes that are older than an attribute refuse a node that mentions it, even with its default.

    Args:
        graph_def: A GraphDef message.

    Returns:
        A MetaGraphDef message with the stripped graph, the list of its ops and TensorFlow's version.
    """
    import tensorflow as tf

    message = tf.compat.v1.train.export_meta_graph(
        graph_def=tf.compat.v1.GraphDef.FromString(graph_def.SerializeToString()),
        graph=tf.Graph(),
        collection_list=[],
        strip_default_attrs=True,
    )
    return MetaGraphDef.FromString(message.SerializeToString())


def prune_library(original: Any, nodes: Iterable[Any]) -> Any:
    """Puts nodes and the functions that they call together into a GraphDef.

    Args:
        original: The GraphDef whose functions and versions are taken over; devices are cleared in them too.
        nodes: Stand in for the original's own.
    """
    graph_def = GraphDef(node=nodes)
    graph_def.versions.CopyFrom(original.versions)
    reached = find_functions(original, graph_def.node)
    library = original.library
    graph_def.library.function.extend(f for f in library.function if f.signature.name in reached)
    graph_def.library.gradient.extend(g for g in library.gradient if g.function_name in reached)
    for function in graph_def.library.function:
        for node in function.node_def:
            strip_foreign_attrs(node)
    return graph_def


def _refuse_unknown_ops(graph_def: Any) -> None:
    from tensorflow.python.framework import op_def_registry  # no public way to ask for one op

    library = {function.signature.name for function in graph_def.library.function}
    unknown = sorted(
        {
            f"{node.op} (node {node.name}{f' in function {place}' if place else ''})"
            for place, node in iterate_all_nodes(graph_def)
            if node.op not in library and op_def_registry.get(node.op) is None
        }
    )
    if unknown:
        raise ExportError(
            "The signatures need ops that this TensorFlow does not know.",
            expected="ops of core TensorFlow",
            received=", ".join(unknown),
            advice="choose inputs behind these nodes or outputs before them",
        )


def _read_shape(shape: Any) -> Shape:
    return None if shape.rank is None else tuple(None if size is None else int(size) for size in shape)
