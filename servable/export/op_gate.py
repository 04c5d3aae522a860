"""ROOM 2: nothing is exported, nor shown to TensorFlow, that does more than compute.

What passes through: the graph as it will be served, functions and initializers included. TensorFlow infers
shapes by computing constants, so that even importing a graph can read a file; this gate comes first. What the
user lets in by name is let in, and said. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from servable.errors import UnsafeSourceError
from servable.export.start_up import ASSIGN_OPS
from servable.graphs.frames import Frame, ValueOrigin, find_nodes, open_frame
from servable.graphs.graph import TEXT_FILE_INITIALIZER_OPS, iterate_all_nodes, trace_back
from servable.graphs.op_classes import (
    CHECKPOINT_READING_OPS,
    CHECKPOINT_WRITING_OPS,
    UnsafeOp,
    find_unsafe_ops,
)
from servable.report import Finding, Severity

_MAX_SHOWN = 10


def admit_ops(
    graph_def: Any, assets: Collection[str], allowed: Collection[str], *, digest: str = ""
) -> list[Finding]:
    """Lets a graph pass, or refuses it.

    Args:
        graph_def: What will be served: pruned, with the functions it calls, without a saver.
        assets: Nodes that a server feeds with the paths of the model's own files.
        allowed: Ops that the user lets in.
        digest: Of the source, for the note.

    Returns:
        One warning for each op that is let in because the user said so.

    Raises:
        UnsafeSourceError: It holds ops that run code, touch files or go online.
    """
    unsafe = [
        *find_unsafe_ops(iterate_all_nodes(graph_def)),
        *_find_saver_ops(graph_def),
        *_find_foreign_files(graph_def, assets),
    ]
    refused = [op for op in unsafe if op.op not in allowed]
    if refused:
        names = sorted({op.op for op in refused})
        flags = " ".join(f"--allow-op {name}" for name in names)
        raise UnsafeSourceError(
            "What would be served does more than compute.",
            expected="a graph that only computes",
            received=_describe(refused),
            advice="choose inputs behind these nodes or outputs before them; or, where you trust the source, "
            f"add {flags} - the report will say so",
        )
    return [
        Finding(
            "source",
            Severity.WARNING,
            f"{name} was let in, as --allow-op says: {_describe([op for op in unsafe if op.op == name])}"
            + (f" (source blake3 {digest})" if digest else ""),
            advice="serve it only where you trust the source",
        )
        for name in sorted({op.op for op in unsafe})
    ]


def _describe(ops: Sequence[UnsafeOp]) -> str:
    shown = [
        f"{op.op} {op.danger} (node {op.node}{f' in function {op.function}' if op.function else ''})"
        for op in ops[:_MAX_SHOWN]
    ]
    return "; ".join(shown) + (f"; and {len(ops) - _MAX_SHOWN} more" if len(ops) > _MAX_SHOWN else "")


def _find_saver_ops(graph_def: Any) -> Iterator[UnsafeOp]:
    for place, node in iterate_all_nodes(graph_def):
        if node.op in CHECKPOINT_READING_OPS:
            yield UnsafeOp(node.op, node.name, place, "reads a checkpoint")
        elif node.op in CHECKPOINT_WRITING_OPS:
            yield UnsafeOp(node.op, node.name, place, "writes a checkpoint")


def _find_foreign_files(graph_def: Any, assets: Collection[str]) -> Iterator[UnsafeOp]:
    """Finds tables that read a file which is no asset of the model."""
    frame = open_frame(graph_def)
    values: dict[str, list[str]] = {}
    for node in graph_def.node:
        if node.op in ASSIGN_OPS and len(node.input) > 1:
            values.setdefault(trace_back(frame.nodes, node.input[0]).node, []).append(node.input[1])
    for place, node in find_nodes(frame, frame.nodes, TEXT_FILE_INITIALIZER_OPS):
        origin = place.find_origin(node.input[1]) if len(node.input) > 1 else None
        if not _is_asset(origin, assets, values):
            yield UnsafeOp(node.op, node.name, place.name, "reads a file that is no asset of the model")


def _is_asset(origin: ValueOrigin | None, assets: Collection[str], values: Mapping[str, list[str]]) -> bool:
    if origin is not None and origin.node.op == "ReadVariableOp" and origin.node.input:
        # TF2 hands the path of an asset on in a variable, which is set at start-up.
        frame: Frame = origin.frame
        handle = frame.find_origin(origin.node.input[0])
        if handle is None or handle.frame.name:
            return False
        frame = handle.frame
        paths = [frame.find_origin(text) for text in values.get(handle.node.name, [])]
        return bool(paths) and all(path is not None and path.node.name in assets for path in paths)
    return origin is not None and not origin.frame.name and origin.node.name in assets
