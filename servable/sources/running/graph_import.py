"""ROOM 1: brings a source's graph into TensorFlow, whole where that is safe and possible.

What passes through: nodes of a graph, and which of them are needed and fed, come in; a graph that a session
can run goes out. Nothing is run here, but TensorFlow computes constants while it imports: a graph with a node
that does more than compute is never imported as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable.errors import SignatureError, SourceError
from servable.formats.protos import GraphDef
from servable.graphs.graph import normalize_tensor, read_edge, strip_foreign_attrs, unique_name
from servable.graphs.op_classes import find_unsafe_ops


@dataclass(frozen=True, slots=True)
class ImportedGraph:
    """A source's graph in TensorFlow.

    Attributes:
        graph: The tf.Graph.
        names: Nodes of the source that are in it.
        fed: Fed tensor to the placeholder that stands for it, where its own node was left out.
    """

    graph: Any
    names: frozenset[str]
    fed: Mapping[str, Any]

    def covers(self, needed: Collection[str], fed: Collection[str]) -> bool:
        """Says whether all of it is there."""
        return self.names.issuperset(needed) and all(
            name in self.fed or read_edge(name).node in self.names for name in fed
        )

    def find_tensor(self, name: str) -> Any:
        """Finds a tensor, or what is fed in its place.

        Raises:
            SignatureError: There is none of this name.
        """
        full_name = normalize_tensor(name)
        if full_name in self.fed:
            return self.fed[full_name]
        try:
            return self.graph.get_tensor_by_name(full_name)
        except KeyError as error:
            raise SignatureError(
                "A tensor is not in the graph.",
                expected="a tensor of the graph",
                received=name,
                advice="servable inspect SOURCE lists candidates",
            ) from error


def import_source_graph(
    original: Any, nodes: Mapping[str, Any], needed: Collection[str], fed: Mapping[str, Any], *, where: str
) -> ImportedGraph:
    """Imports the whole graph; where today's TensorFlow refuses its training part, what is needed.

    Args:
        original: GraphDef of the source, for functions and versions.
        nodes: By name.
        needed: Those that the session is asked for, and all that these need.
        fed: Tensor name in full to the array that is fed, or None where its node says the type.
        where: The source, for the error.

    Raises:
        SourceError: TensorFlow takes neither.
    """
    import tensorflow as tf

    is_safe = not find_unsafe_ops(("", node) for node in nodes.values())
    for names in (*([frozenset(nodes)] if is_safe else []), frozenset(needed)):
        graph_def = GraphDef(node=[nodes[name] for name in nodes if name in names])
        graph_def.library.CopyFrom(original.library)
        graph_def.versions.CopyFrom(original.versions)
        for node in graph_def.node:
            strip_foreign_attrs(node)
        read = {normalize_tensor(text) for node in graph_def.node for text in node.input if text[0] != "^"}
        graph = tf.Graph()
        try:
            with graph.as_default():
                placeholders = _add_placeholders(nodes, names, fed)
                tf.graph_util.import_graph_def(
                    tf.compat.v1.GraphDef.FromString(graph_def.SerializeToString()),
                    name="",
                    input_map={name: tensor for name, tensor in placeholders.items() if name in read},
                )
        except (ValueError, TypeError, tf.errors.OpError) as error:
            reason = error
            continue
        return ImportedGraph(graph, names, placeholders)
    raise SourceError(
        "TensorFlow cannot import the source graph.",
        received=str(reason).partition("\n")[0],
        where=where,
        advice="leave the comparison out with --no-baseline",
    )


def _add_placeholders(
    nodes: Mapping[str, Any], names: Collection[str], fed: Mapping[str, Any]
) -> dict[str, Any]:
    """Adds a placeholder for each fed tensor whose node is not imported, since only its value is needed."""
    import tensorflow as tf

    scope = unique_name("fed", {name.partition("/")[0] for name in nodes})
    return {
        name: tf.compat.v1.placeholder(dtype, name=f"{scope}/{position}")
        for position, (name, value) in enumerate(fed.items())
        if (node := nodes.get(read_edge(name).node)) is not None
        and node.name not in names
        and (dtype := _read_dtype(node, value)) is not None
    }


def _read_dtype(node: Any, value: Any) -> Any:
    import tensorflow as tf

    for attr in ("dtype", "T"):
        if attr in node.attr and node.attr[attr].type:
            return tf.dtypes.as_dtype(node.attr[attr].type).base_dtype
    if value is None:
        return None
    array = np.asarray(value)
    return tf.string if array.dtype.kind in "OSU" else tf.dtypes.as_dtype(array.dtype)
