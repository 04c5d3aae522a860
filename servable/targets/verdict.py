"""Targets: will this runtime load this graph, and run it? A verdict without the runtime.

What passes through: a MetaGraphDef and a `Target` come in; every obstacle goes out, with the node, the
function and the layer or scope that it belongs to. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from servable.graphs.graph import find_ancestors, find_functions, index_nodes, read_edge
from servable.graphs.saved_model_parts import read_start_ops
from servable.signature import RESERVED_SIGNATURES, read_signature
from servable.targets.catalog import Target
from servable.targets.fitting import Misfit, MisfitKind, find_misfits

# What TensorFlow puts before the names of nodes of a function that it has traced or inlined.
_WRAPPERS: Final = ("StatefulPartitionedCall", "PartitionedCall", "Func")

_ADVICE: Final = {
    MisfitKind.UNKNOWN_OP: "choose a newer target, or replace what computes it in the model",
    MisfitKind.KERNEL: "choose a newer target, or another dtype in the model",
}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why a target does not load or run a graph, or not as it was meant.

    Attributes:
        kind: Of misfit, or "wire dtype" for what clients cannot send or receive.
        at_load: Whether the loader refuses the model; else a request fails, or is answered otherwise.
        op: The node's op.
        node: The node's name, or the signature's key.
        function: The function that holds it; "" for the graph itself.
        origin: Layer of Keras or scope of TensorFlow 1 that it comes from; "" where its name has none.
        detail: What was expected and received.
        advice: What to do.
        attr: The attribute that it is about; "" where it is about none.
    """

    kind: str
    at_load: bool
    op: str
    node: str
    function: str
    origin: str
    detail: str
    advice: str
    attr: str = ""

    def __str__(self) -> str:
        place = f"node {self.node}" + (f" in function {self.function}" if self.function else "")
        return f"{self.detail} ({place}{f', from {self.origin}' if self.origin else ''})"


def judge_meta_graph(meta_graph: Any, target: Target) -> tuple[Obstacle, ...]:
    """Finds everything that keeps a target from loading and running a graph.

    Args:
        meta_graph: As it is written in the SavedModel, saver and functions included.
        target: The runtime.

    Returns:
        Obstacles in the order of the graph; none for a model that it loads and runs.
    """
    return (*_judge_graph(meta_graph, target), *_judge_wire(meta_graph, target))


def _judge_graph(meta_graph: Any, target: Target) -> Iterator[Obstacle]:
    graph_def = meta_graph.graph_def
    functions = {function.signature.name: function for function in graph_def.library.function}
    served_functions = _find_served_functions(meta_graph)
    registry = target.registry
    for node in graph_def.node:
        for misfit in find_misfits(node, registry, functions):
            yield from _judge_misfit(misfit, node, "", target, is_run=True)
    for name, function in functions.items():
        is_run = name in served_functions
        for node in function.node_def:
            for misfit in find_misfits(node, registry, functions):
                yield from _judge_misfit(misfit, node, name, target, is_run=is_run)


def _find_served_functions(meta_graph: Any) -> set[str]:
    """Names the functions that a server runs: for requests, and once at the start."""
    nodes = index_nodes(meta_graph.graph_def)
    roots = [info.name for s in meta_graph.signature_def.values() for info in s.outputs.values()]
    roots += [*read_start_ops(meta_graph), meta_graph.saver_def.restore_op_name]
    served = find_ancestors(nodes, [root for root in roots if root])
    return find_functions(meta_graph.graph_def, [nodes[name] for name in served])


def _judge_misfit(
    misfit: Misfit, node: Any, function: str, target: Target, *, is_run: bool
) -> Iterator[Obstacle]:
    # A loader looks for a kernel for every node of the graph, asked for or not; of a function when that is
    # called.
    at_load = not function if misfit.kind is MisfitKind.KERNEL else misfit.kind is not MisfitKind.LAYOUT
    if misfit.kind is MisfitKind.UNKNOWN_ATTR and not target.is_strict:
        if misfit.is_default:
            return  # logged and passed over, and nothing else than what the runtime does anyway
        at_load = False
    if at_load or is_run:
        yield Obstacle(
            misfit.kind.value,
            at_load,
            node.op,
            node.name,
            function,
            find_origin(node.name),
            misfit.detail,
            _ADVICE.get(misfit.kind, f"convert the model again with --target {target.name}"),
            misfit.attr,
        )


def find_origin(node: str) -> str:
    """Names the layer or scope that a node was made in, without what TensorFlow put before it."""
    parts = read_edge(node).node.split("/")[:-1]
    while parts and (parts[0] in _WRAPPERS or parts[0].rstrip("_0123456789") in _WRAPPERS):
        parts = parts[1:]
    return "/".join(parts)


def _judge_wire(meta_graph: Any, target: Target) -> Iterator[Obstacle]:
    for name in sorted(meta_graph.signature_def):
        if name in RESERVED_SIGNATURES:
            continue
        signature = read_signature(name, meta_graph.signature_def[name])
        for side, ends in (("input", signature.inputs), ("output", signature.outputs)):
            for key, spec in ends.items():
                if spec.dtype not in target.wire_dtypes:
                    verb = "send" if side == "input" else "receive"
                    yield Obstacle(
                        "wire dtype",
                        False,
                        "",
                        f"{side} {key} of signature {name}",
                        "",
                        "",
                        f"clients of {target.name} cannot {verb} {spec.dtype}",
                        "cast it to one of " + ", ".join(sorted(target.wire_dtypes)) + " in the model",
                    )
