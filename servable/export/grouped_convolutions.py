"""ROOM 2: convolutions in groups of channels become one convolution a group, where a CPU knows no groups.

What passes through: nodes of a graph and its target come in; nodes of the same names go out. Keras has such
layers compiled by XLA on a CPU, which no server need have. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from servable.formats.protos import NodeDef
from servable.graphs.graph import normalize_tensor, unique_name
from servable.signature import DTYPE_NUMBERS, TensorSpec
from servable.targets.catalog import Target
from servable.targets.layouts import has_channels_first

# Kernels for a CPU take groups in 2.11 and not yet in 2.7: of two dimensions they say so themselves, of three
# some load and answer wrongly.
_FIRST_WITH_GROUPS: Final = (2, 11)
# Op to the number of axes of its images.
_AXES: Final = {"Conv2D": 4, "Conv3D": 5}
_INT32: Final = DTYPE_NUMBERS["int32"]


def split_grouped_convolutions(
    nodes: Mapping[str, Any],
    target: Target,
    infer: Callable[[Sequence[str]], Mapping[str, TensorSpec]],
) -> dict[str, Any]:
    """Takes convolutions apart that have groups.

    Args:
        nodes: Of a graph without functions, by name; not changed.
        target: The runtime that is to run it.
        infer: Tells shapes of tensors of the graph.
    """
    result = dict(nodes)
    convolutions = [node for node in nodes.values() if node.op in _AXES]
    if not convolutions or target.series >= _FIRST_WITH_GROUPS:
        return result
    ends = {node.name: [normalize_tensor(text) for text in node.input[:2]] for node in convolutions}
    specs = infer(sorted({tensor for pair in ends.values() for tensor in pair}))
    for node in convolutions:
        groups = _count_groups(node, *(specs[tensor] for tensor in ends[node.name]))
        if groups > 1:
            _split_node(result, node, groups)
    return result


def _find_axis(node: Any) -> int:
    return 1 if has_channels_first(node) else _AXES[node.op] - 1


def _count_groups(node: Any, images: TensorSpec, kernel: TensorSpec) -> int:
    axes = _AXES[node.op]
    if images.shape is None or kernel.shape is None or not len(images.shape) == len(kernel.shape) == axes:
        return 1
    channels, taken = images.shape[_find_axis(node)], kernel.shape[-2]
    return channels // taken if channels and taken else 1


def _split_node(nodes: dict[str, Any], node: Any, groups: int) -> None:
    dtype = node.attr["T"].type
    images, kernel, *waits = node.input
    image_axis = _add_axis(nodes, node, _find_axis(node))
    kernel_axis = _add_axis(nodes, node, _AXES[node.op] - 1)
    image_parts = _add_node(nodes, f"{node.name}/images", "Split", [image_axis, images], dtype)
    kernel_parts = _add_node(nodes, f"{node.name}/kernels", "Split", [kernel_axis, kernel], dtype)
    for parts in (image_parts, kernel_parts):
        parts.attr["num_split"].i = groups
    results = []
    for group in range(groups):
        part = NodeDef()
        part.CopyFrom(node)
        part.name = unique_name(f"{node.name}/group_{group}", nodes)
        del part.input[:]
        part.input.extend([f"{image_parts.name}:{group}", f"{kernel_parts.name}:{group}", *waits])
        nodes[part.name] = part
        results.append(part.name)
    # Under the old name, for whoever asks for it.
    joined = NodeDef(name=node.name, op="ConcatV2", input=[*results, image_axis])
    joined.attr["T"].type, joined.attr["Tidx"].type, joined.attr["N"].i = dtype, _INT32, groups
    nodes[node.name] = joined


def _add_axis(nodes: dict[str, Any], node: Any, axis: int) -> str:
    # In a loop, a constant belongs to the frame of what it waits for.
    source = node.input[0].partition(":")[0]
    const = NodeDef(name=unique_name(f"{node.name}/axis", nodes), op="Const", input=[f"^{source}"])
    const.attr["dtype"].type = _INT32
    const.attr["value"].tensor.dtype = _INT32
    const.attr["value"].tensor.tensor_shape.SetInParent()
    const.attr["value"].tensor.int_val.append(axis)
    nodes[const.name] = const
    return str(const.name)


def _add_node(nodes: dict[str, Any], wanted: str, op: str, inputs: Sequence[str], dtype: int) -> Any:
    node = NodeDef(name=unique_name(wanted, nodes), op=op, input=inputs)
    node.attr["T"].type = dtype
    nodes[node.name] = node
    return node
