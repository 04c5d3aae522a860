"""ROOM 2: switches off what training built into a graph as constants: dropout, and batch statistics.

What passes through: nodes of a graph that no switch can change, and the signatures; the nodes in inference
mode and a note for each kind of change go out. What is not certain is left as it is, and the check
`inference_mode` then says so. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from servable.export.switches import rewire_edges
from servable.formats.protos import NodeDef
from servable.graphs.batch_norm import BatchNorm, find_batch_norms
from servable.graphs.dropout import Dropout, find_dropouts
from servable.graphs.graph import REF_VARIABLE_OPS, Edge, spell_edge, unique_name
from servable.graphs.served_path import ServedPath, find_open_nodes
from servable.report import Finding, Severity
from servable.signature import SignatureRequest

_MAX_SHOWN = 10


def switch_off_training(
    nodes: Mapping[str, Any],
    signatures: Sequence[SignatureRequest],
    *,
    original: Mapping[str, Any],
    chosen: Iterable[str],
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Puts every dropout and batch normalization on the served path into inference mode.

    Args:
        nodes: By name; not changed.
        signatures: With explicit inputs and outputs.
        original: The nodes as the trainer left them: what a switch of theirs decides is not built in.
        chosen: Names of tensors that were frozen to a value.

    Returns:
        The nodes, and what was changed.
    """
    path = ServedPath(nodes, signatures, chosen=chosen, open_nodes=find_open_nodes(original))
    dropouts, norms = find_dropouts(path), find_batch_norms(path)
    result = dict(nodes)
    for dropout in dropouts:
        result[dropout.output.node] = _make_identity(nodes[dropout.output.node], dropout)
    moved: dict[Edge, Edge] = {}
    for norm in norms:
        mean = _read_variable(result, norm.mean_variable)
        variance = _read_variable(result, norm.variance_variable)
        if norm.node is not None:
            result[norm.node] = _fix_statistics(nodes[norm.node], mean, variance)
        else:
            moved |= {norm.mean: Edge(mean, 0), norm.variance: Edge(variance, 0)}
    result = rewire_edges(result, moved) if moved else result
    result = _drop_waiting(result, {name for norm in norms for name in norm.updates})
    return result, tuple(_describe(dropouts, norms))


def _make_identity(node: Any, dropout: Dropout) -> Any:
    identity = NodeDef(name=node.name, op="Identity", input=[spell_edge(dropout.source)])
    identity.input.extend(text for text in node.input if text.startswith("^"))
    identity.attr["T"].CopyFrom(node.attr["T"])
    return identity


def _fix_statistics(node: Any, mean: str, variance: str) -> Any:
    fixed = NodeDef()
    fixed.CopyFrom(node)
    fixed.attr["is_training"].b = False
    if "exponential_avg_factor" in fixed.attr:
        del fixed.attr["exponential_avg_factor"]
    fixed.input[3], fixed.input[4] = mean, variance
    return fixed


def _read_variable(nodes: dict[str, Any], variable: str) -> str:
    """Names a node that reads a variable; adds one where there is none."""
    for name in (f"{variable}/read", f"{variable}/Read/ReadVariableOp"):
        if name in nodes and list(nodes[name].input) == [variable]:
            return name
    is_ref = nodes[variable].op in REF_VARIABLE_OPS
    name = unique_name(f"{variable}/read" if is_ref else f"{variable}/Read/ReadVariableOp", nodes)
    read = NodeDef(name=name, op="Identity" if is_ref else "ReadVariableOp", input=[variable])
    read.attr["T" if is_ref else "dtype"].type = nodes[variable].attr["dtype"].type
    nodes[name] = read
    return name


def _drop_waiting(nodes: dict[str, Any], updates: Collection[str]) -> dict[str, Any]:
    """Lets nothing wait for moving averages to be updated: a served model would change with each request."""
    waits = {f"^{name}" for name in updates}
    result = dict(nodes)
    for name, node in nodes.items():
        if waits.intersection(node.input):
            changed = NodeDef()
            changed.CopyFrom(node)
            del changed.input[:]
            changed.input.extend(text for text in node.input if text not in waits)
            result[name] = changed
    return result


def _describe(dropouts: Iterable[Dropout], norms: Iterable[BatchNorm]) -> Iterable[Finding]:
    # A dropout that keeps everything changes nothing, there or gone.
    dropped = [dropout.output.node for dropout in dropouts if dropout.keep_share < 1]
    for names, what in (
        (dropped, "dropout"),
        ([norm.name for norm in norms], "batch normalization with the batch's own statistics"),
    ):
        if names:
            more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
            yield Finding(
                "export",
                Severity.INFO,
                f"switched off what training built into the graph: {what} ({len(names)} times)",
                where=", ".join(names[:_MAX_SHOWN]) + more,
                advice="--keep-training-ops leaves it in",
            )
