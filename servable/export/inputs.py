"""ROOM 2: puts a placeholder where a signature's input is the output of some other op.

What passes through: nodes of a training graph and explicit signatures. A trainer that feeds its graph from a
queue, an iterator or a parser has no placeholder to serve with; the cut makes one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from servable.export.batch_sizes import free_reshapes
from servable.export.switches import rewire_edges
from servable.formats.protos import NodeDef
from servable.graphs.graph import (
    PLACEHOLDER_OPS,
    Edge,
    find_ancestors,
    normalize_tensor,
    read_edge,
    trace_back,
    unique_name,
)
from servable.signature import DTYPE_NUMBERS, Shape, SignatureRequest, TensorSpec

# Ops whose first output dimension is the trainer's batch size, not a part of the model.
_BATCHING_OP = re.compile(r"Dequeue|IteratorGetNext|^Batch|ReaderRead")
# One element of a queue where it is the whole name; several of them, stacked, where more follows.
_DEQUEUE_OP = re.compile(r"QueueDequeue(V2)?")
_NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\-/]*")


def cut_inputs(
    nodes: Mapping[str, Any],
    signatures: Sequence[SignatureRequest],
    infer: Callable[[Sequence[str]], Mapping[str, TensorSpec]],
) -> tuple[dict[str, Any], tuple[SignatureRequest, ...]]:
    """Replaces inputs that are computed by placeholders, where every signature agrees.

    Args:
        nodes: By name; not changed.
        signatures: With explicit inputs and outputs.
        infer: Tells dtype and shape of tensors of the graph.

    Returns:
        The nodes, and the signatures with the placeholders' tensors. A tensor that one signature feeds and
        another computes stays as it is: a server can feed any tensor.
    """
    cuts = _find_cuts(nodes, signatures)
    if not cuts:
        return dict(nodes), tuple(signatures)
    specs = infer(list(cuts))
    fetched = [tensor for request in signatures for tensor in request.outputs.values()]
    batched = [tensor for tensor in cuts if _BATCHING_OP.search(nodes[read_edge(tensor).node].op)]
    result = free_reshapes(nodes, batched, fetched)
    moved: dict[str, str] = {}
    for tensor, key in cuts.items():
        wanted = key if _NODE_NAME.fullmatch(key) else "serving_input"
        spec = specs[tensor]
        if spec.shape is None:
            spec = replace(spec, shape=_read_queued_shape(nodes, read_edge(tensor)))
        placeholder = _make_placeholder(unique_name(wanted, result), spec)
        if _BATCHING_OP.search(nodes[read_edge(tensor).node].op):
            _free_batch(placeholder)
        result[placeholder.name] = placeholder
        moved[tensor] = f"{placeholder.name}:0"
    edges = {read_edge(old): Edge(read_edge(new).node, 0) for old, new in moved.items()}
    changed = tuple(
        SignatureRequest(
            name=request.name,
            inputs={k: moved.get(normalize_tensor(t), t) for k, t in request.inputs.items()},
            outputs={k: moved.get(normalize_tensor(t), t) for k, t in request.outputs.items()},
            method=request.method,
        )
        for request in signatures
    )
    return rewire_edges(result, edges), changed


def _find_cuts(nodes: Mapping[str, Any], signatures: Sequence[SignatureRequest]) -> dict[str, str]:
    """Tensors to cut at, each with the key it is first asked by."""
    cuts: dict[str, str] = {}
    for request in signatures:
        for key, tensor in request.inputs.items():
            if nodes[read_edge(tensor).node].op not in PLACEHOLDER_OPS:
                cuts.setdefault(normalize_tensor(tensor), key)
    for request in signatures:
        fed = {normalize_tensor(tensor) for tensor in request.inputs.values()}
        computed = find_ancestors(nodes, request.outputs.values(), stop_at=fed)
        for tensor in set(cuts) - fed:
            if read_edge(tensor).node in computed:
                del cuts[tensor]
    return cuts


def _read_queued_shape(nodes: Mapping[str, Any], edge: Edge) -> Shape:
    """What a queue was made for: its elements' shapes are known to the queue, not to who takes them out."""
    node = nodes[edge.node]
    if not _DEQUEUE_OP.match(node.op) or not node.input:
        return None
    queue = nodes.get(trace_back(nodes, node.input[0]).node)
    shapes = queue.attr["shapes"].list.shape if queue is not None and "shapes" in queue.attr else ()
    position = edge.output or 0
    if position >= len(shapes) or shapes[position].unknown_rank:
        return None
    sizes = tuple(None if dim.size < 0 else int(dim.size) for dim in shapes[position].dim)
    return sizes if _DEQUEUE_OP.fullmatch(node.op) else (None, *sizes)


def _make_placeholder(name: str, spec: TensorSpec) -> Any:
    placeholder = NodeDef(name=name, op="Placeholder")
    placeholder.attr["dtype"].type = DTYPE_NUMBERS[spec.dtype]
    shape = placeholder.attr["shape"].shape
    if spec.shape is None:
        shape.unknown_rank = True
    else:
        shape.SetInParent()
        for size in spec.shape:
            shape.dim.add(size=-1 if size is None else size)
    return placeholder


def _free_batch(placeholder: Any) -> None:
    shape = placeholder.attr["shape"].shape
    if shape.dim:
        shape.dim[0].size = -1
