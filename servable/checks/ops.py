"""Check `ops`: does the graph do what a served model must not do?

What passes through: every node of the graph and of every function in its library, and what a server runs
it for. Code, files and network on a path that is run are errors; elsewhere they are leftovers to know of.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from servable.checks import leftovers, op_groups
from servable.checks.context import Check, Context, make_error, make_warning
from servable.checks.reach import INIT_PURPOSE, RESTORE_PURPOSE, GraphReach, PlacedNode
from servable.graphs.graph import read_const_strings
from servable.graphs.op_classes import CHECKPOINT_READING_OPS, CHECKPOINT_WRITING_OPS, name_danger
from servable.report import Finding, Report

_NAME = "ops"
_LOCAL_CPU = re.compile(r"(/job:localhost)?(/replica:0)?(/task:0)?/?(device:)?(cpu:[0*])?", re.IGNORECASE)
_MAX_SHOWN = 5


def _check_ops(context: Context) -> Report:
    findings: list[Finding] = []
    counts: Counter[str] = Counter()
    functions = 0
    for graph in context.saved_model.meta_graphs:
        reach = GraphReach(graph)
        functions += len(graph.graph_def.library.function)
        devices: Counter[str] = Counter()
        for placed in reach.iterate_all():
            counts[placed.node.op] += 1
            purposes = reach.purposes.get((placed.place, placed.node.name), ())
            findings += _check_node(placed, purposes, reach, context.policy.allowed_ops)
            if placed.node.device and not _LOCAL_CPU.fullmatch(placed.node.device):
                devices[placed.node.device] += 1
        findings += _check_devices(devices)
        findings += leftovers.find_served_gradients(_NAME, reach)
        findings += leftovers.find_paths(_NAME, reach, context.saved_model_dir)
        findings += leftovers.find_leftovers(_NAME, reach, graph.saver_def.save_tensor_name)
    facts = {"nodes": counts.total(), "op_types": len(counts), "functions": functions}
    return context.make_report(_NAME, findings, facts)


def _check_node(
    placed: PlacedNode, purposes: tuple[str, ...], reach: GraphReach, allowed: Collection[str]
) -> Iterator[Finding]:
    op = placed.node.op
    deed = _name_deed(placed, reach)
    requests = [purpose for purpose in purposes if purpose not in (INIT_PURPOSE, RESTORE_PURPOSE)]
    if op in CHECKPOINT_READING_OPS and set(purposes) - {RESTORE_PURPOSE}:
        deed = "reads a checkpoint"
    elif op in CHECKPOINT_WRITING_OPS and purposes:
        deed = "writes a checkpoint"
    if deed and op in allowed:
        yield make_warning(_NAME, f"{op} {deed}; it is let in by name", where=placed.where)
    elif deed:
        yield _judge(placed, deed, purposes)
    elif requests and op in op_groups.INPUT_PIPELINE_OPS:
        yield make_error(
            _NAME,
            f"{op} hands the trainer's data to signature {_join(requests)}, not the request's",
            where=placed.where,
            advice="Name the tensor behind the input pipeline as the input.",
        )
    elif requests and op.startswith(op_groups.OPTIMIZER_PREFIXES):
        yield make_error(
            _NAME, f"{op} trains the model at each request of signature {_join(requests)}", where=placed.where
        )
    elif requests and op in op_groups.ASSIGNING_OPS:
        yield make_warning(
            _NAME,
            f"{op} changes a variable at each request of signature {_join(requests)}",
            where=placed.where,
        )


def _name_deed(placed: PlacedNode, reach: GraphReach) -> str:
    op = placed.node.op
    if op in op_groups.CACHE_NAME_INPUTS and _is_memory_cache(placed, reach):
        return ""
    if op in op_groups.FILE_NAME_INPUTS:
        return _name_reading(placed, op_groups.FILE_NAME_INPUTS[op], reach)
    return name_danger(placed.node)


def _name_reading(placed: PlacedNode, position: int, reach: GraphReach) -> str:
    origin = reach.trace_origin(placed, position)
    if origin is None:
        return "reads files, and which ones can't be told"
    if not origin.place and f"{origin.node.name}:0" in reach.asset_tensors:
        return ""
    values = read_const_strings(origin.node)
    if values is None:
        return f"reads a file that {origin.node.op} {origin.node.name!r} names at run time"
    names = ", ".join(repr(value.decode("utf-8", "replace")) for value in values[:_MAX_SHOWN])
    return f"reads {names}, which is no asset of the model"


def _is_memory_cache(placed: PlacedNode, reach: GraphReach) -> bool:
    origin = reach.trace_origin(placed, op_groups.CACHE_NAME_INPUTS[placed.node.op])
    return origin is not None and read_const_strings(origin.node) in ([], [b""])


def _judge(placed: PlacedNode, deed: str, purposes: tuple[str, ...]) -> Finding:
    advice = "Export a graph without this op: do its work in the client, or with TensorFlow's own ops."
    if purposes:
        message = f"{placed.node.op} {deed}; it runs for {_join(purposes)}"
        return make_error(_NAME, message, where=placed.where, advice=advice)
    message = f"{placed.node.op} {deed}; nothing that a server runs needs it"
    return make_warning(_NAME, message, where=placed.where, advice="Leave it out of the export.")


def _check_devices(devices: Counter[str]) -> Iterator[Finding]:
    if devices:
        shown = ", ".join(f"{device} ({count} nodes)" for device, count in devices.most_common(_MAX_SHOWN))
        yield make_warning(
            _NAME,
            f"nodes are bound to devices that a server may not have: {shown}",
            advice="Export again with devices cleared.",
        )


def _join(names: Any) -> str:
    return ", ".join(names)


CHECK = Check(_NAME, _check_ops, needs=("layout",))
