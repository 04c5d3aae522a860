"""ROOM 2: what a target asks of the whole graph, before single nodes are looked at.

What passes through: a pruned graph comes in, nodes go out: without functions for TensorFlow 1, without lists
where loops cannot fill them, without groups of channels where a CPU knows none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from servable.export.grouped_convolutions import split_grouped_convolutions
from servable.export.importing import infer_specs, prune_library
from servable.export.inlining import inline_calls
from servable.export.tensor_arrays import replace_tensor_lists
from servable.graphs.graph import index_nodes
from servable.targets.catalog import Target


def flatten_graph(
    graph_def: Any, nodes: Mapping[str, Any], named: Iterable[str], target: Target
) -> dict[str, Any]:
    """Brings a graph into a form that its target can run.

    Args:
        graph_def: What will be served, with its functions; the op gate has let it in.
        nodes: Its nodes, by name; not changed.
        named: Nodes and tensors that are asked for by name afterwards.
        target: The runtime that is to load it.

    Returns:
        Nodes by name, with the same names for what was named.

    Raises:
        ExportError: TensorFlow refuses the graph.
    """
    flat = dict(nodes)
    if target.is_v1 and graph_def.library.function:
        flat = replace_tensor_lists(index_nodes(inline_calls(graph_def, named)), target.registry)

    def infer(tensors: Iterable[str]) -> Any:
        return infer_specs(prune_library(graph_def, flat.values()), tensors)

    return split_grouped_convolutions(flat, target, infer)
