"""ROOM 1: nothing of a source is run that does more than compute. No TensorFlow here.

What passes through: the nodes that a session would be asked for, or that a loader runs by itself, come in; an
error goes out where one of them, or of the functions that they call, touches files, runs code or goes online.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from servable.errors import UnsafeSourceError
from servable.formats.protos import GraphDef
from servable.graphs.graph import iterate_all_nodes
from servable.graphs.op_classes import find_unsafe_ops
from servable.model import GraphBody


def refuse_danger(body: GraphBody, nodes: Mapping[str, Any], needed: Iterable[str], *, where: str) -> None:
    """Refuses to run a source whose nodes do more than compute.

    Args:
        body: The source; its library is looked through too, and ops that the user lets in may pass.
        nodes: By name.
        needed: Names of those that would be run.
        where: The source, for the error.

    Raises:
        UnsafeSourceError: Lists the ops, with their nodes.
    """
    graph_def = GraphDef(node=[nodes[name] for name in needed], library=body.meta_graph.graph_def.library)
    unsafe = [op for op in find_unsafe_ops(iterate_all_nodes(graph_def)) if op.op not in body.allowed_ops]
    if unsafe:
        flags = " ".join(f"--allow-op {name}" for name in sorted({op.op for op in unsafe}))
        raise UnsafeSourceError(
            "The source is not run, because it does more than compute.",
            expected="a graph that only computes",
            received=", ".join(f"{op.op} (node {op.node}) {op.danger}" for op in unsafe),
            where=where,
            advice=f"leave it out with --no-baseline; or, where you trust the source, add {flags}",
        )
