"""ROOM 2: frees reshapes from the batch size that a trainer's queue had.

What passes through: nodes of a graph whose queue is about to become a placeholder of any number of rows.
Where a queue's batch size is fixed, TensorFlow folds `tf.shape` of what it hands over into constants, and a
layer reshapes to "8 rows" for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from servable.formats.protos import NodeDef
from servable.graphs.graph import find_ancestors, read_edge, unique_name
from servable.signature import DTYPE_NUMBERS, Shape

# What a shape is put together with once its parts are constants.
_CONSTANT_OPS = frozenset(
    {"Const", "StridedSlice", "Slice", "Pack", "ConcatV2", "Identity", "Cast", "GatherV2", "ExpandDims"}
)


def free_reshapes(nodes: Mapping[str, Any], fed: Collection[str], outputs: Iterable[str]) -> dict[str, Any]:
    """Lets reshapes that keep rows apart take any number of rows.

    Args:
        nodes: By name, with the shapes that the trainer noted; not changed.
        fed: Tensors of a pipeline that will be fed.
        outputs: Tensors that are fetched.

    Returns:
        The nodes, with -1 for the number of rows where a reshape to constants takes a row to a row. Where
        another size of the shape is the same number, nothing says which of them the batch is.
    """
    result = dict(nodes)
    sizes = {shape[0] for shape in (_read_noted_shape(nodes, tensor) for tensor in fed) if shape}
    if len(sizes) != 1 or None in sizes:
        return result
    for name in sorted(find_ancestors(nodes, outputs, stop_at=set(fed))):
        if not _reshapes_to_constants(nodes, name, fed):
            continue
        before = _read_noted_shape(nodes, _spell(nodes[name].input[0]))
        after = _read_noted_shape(nodes, f"{name}:0")
        if after and _has_rows(before, sizes) and _has_rows(after, sizes):
            sized = _make_shape(unique_name(f"{name}/any_rows", result), after)
            changed = NodeDef()
            changed.CopyFrom(nodes[name])
            changed.input[1] = sized.name
            changed.attr["Tshape"].type = DTYPE_NUMBERS["int32"]
            result |= {sized.name: sized, name: changed}
    return result


def _reshapes_to_constants(nodes: Mapping[str, Any], name: str, fed: Collection[str]) -> bool:
    node = nodes[name]
    if node.op != "Reshape":
        return False
    rows = find_ancestors(nodes, [_spell(node.input[0])])
    return any(read_edge(tensor).node in rows for tensor in fed) and _is_constant(nodes, node.input[1])


def _is_constant(nodes: Mapping[str, Any], text: str) -> bool:
    """Whether a shape is made of constants; what they wait for does not matter."""
    seen: set[str] = set()
    stack = [read_edge(text).node]
    while stack:
        name = stack.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in nodes or nodes[name].op not in _CONSTANT_OPS:
            return False
        stack += [edge.node for edge in map(read_edge, nodes[name].input) if edge.output is not None]
    return True


def _has_rows(shape: Shape, sizes: Collection[int | None]) -> bool:
    """Whether the first size, and no other, is the batch's."""
    if not shape or None in shape:
        return False
    return shape[0] in sizes and not any(size in sizes for size in shape[1:])


def _read_noted_shape(nodes: Mapping[str, Any], tensor: str) -> Shape:
    edge = read_edge(tensor)
    node = nodes.get(edge.node)
    shapes = node.attr["_output_shapes"].list.shape if node and "_output_shapes" in node.attr else ()
    position = edge.output or 0
    if position >= len(shapes) or shapes[position].unknown_rank:
        return None
    return tuple(None if dim.size < 0 else int(dim.size) for dim in shapes[position].dim)


def _make_shape(name: str, shape: Sequence[int | None]) -> Any:
    node = NodeDef(name=name, op="Const")
    node.attr["dtype"].type = DTYPE_NUMBERS["int32"]
    tensor = node.attr["value"].tensor
    tensor.dtype = DTYPE_NUMBERS["int32"]
    tensor.tensor_shape.dim.add(size=len(shape))
    tensor.tensor_content = b"".join(
        size.to_bytes(4, "little", signed=True) for size in (-1, *(size or 0 for size in shape[1:]))
    )
    return node


def _spell(text: str) -> str:
    edge = read_edge(text)
    return f"{edge.node}:{edge.output or 0}"
