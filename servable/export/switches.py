"""ROOM 2: freezes training switches (is_training, keep_prob, ...) to the value that serving wants.

What passes through: nodes of a graph and the user's values by tensor name. No TensorFlow here.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from servable.errors import SignatureError
from servable.formats.protos import NodeDef
from servable.graphs.graph import PLACEHOLDER_OPS, Edge, normalize_tensor, read_edge, spell_edge, unique_name
from servable.model import Scalar, read_truth
from servable.signature import DTYPE_NAMES


def freeze_switches(nodes: Mapping[str, Any], frozen: Mapping[str, Scalar]) -> dict[str, Any]:
    """Replaces tensors by constants.

    Args:
        nodes: By name; not changed.
        frozen: Tensor name to its value in serving.

    Returns:
        The nodes, with a Const in the place of each placeholder that was frozen. Any other tensor gets a
        Const beside its node, and whoever read the tensor reads the Const.

    Raises:
        SignatureError: A tensor is not in the graph or the value does not fit its dtype.
    """
    result = dict(nodes)
    moved: dict[Edge, Edge] = {}
    for name, value in frozen.items():
        tensor = normalize_tensor(name)
        edge = read_edge(tensor)
        node = result.get(edge.node)
        if node is None:
            raise unknown_tensor(name, nodes, what="The training switch")
        constant = make_constant(node, value, where=tensor)
        if node.op in PLACEHOLDER_OPS or node.op == "Const":
            constant.name = node.name
        else:
            constant.name = unique_name(f"{node.name}/frozen", result)
            moved[edge] = Edge(constant.name, 0)
        result[constant.name] = constant
    return rewire_edges(result, moved) if moved else result


def make_constant(node: Any, value: Scalar, *, where: str) -> Any:
    """Makes a scalar Const of a placeholder's dtype, filled out to its shape where that is known.

    Args:
        node: The placeholder (or other node with a `dtype` or `T` attribute) that the Const stands for.
        value: As Python has it, or as text from a command line.
        where: Tensor name, for the error.

    Raises:
        SignatureError: The value does not fit the dtype.
    """
    attr = node.attr["dtype"] if "dtype" in node.attr else node.attr["T"]
    dtype = DTYPE_NAMES.get(attr.type, "")
    constant = NodeDef(op="Const")
    constant.attr["dtype"].type = attr.type
    tensor = constant.attr["value"].tensor
    tensor.dtype = attr.type
    tensor.tensor_shape.SetInParent()
    if "shape" in node.attr:  # asking a map of messages for a missing key would add it
        shape = node.attr["shape"].shape
        if not shape.unknown_rank and all(dim.size > 0 for dim in shape.dim):
            tensor.tensor_shape.CopyFrom(shape)  # one value stands for all elements
    try:
        if dtype == "bool":
            tensor.bool_val.append(read_truth(value))
        elif dtype == "string":
            tensor.string_val.append(str(value).encode())
        elif dtype == "float32":
            tensor.float_val.append(float(value))
        elif dtype == "float64":
            tensor.double_val.append(float(value))
        elif dtype == "int64":
            tensor.int64_val.append(_read_int(value))
        elif dtype in ("int8", "int16", "int32", "uint8", "uint16"):
            tensor.int_val.append(int(np.array(_read_int(value), dtype=dtype)))
        elif dtype == "float16":
            tensor.half_val.append(int(np.array(float(value), np.float16).view(np.uint16)))
        else:
            raise ValueError("this dtype cannot be frozen")
    except (ValueError, OverflowError) as error:
        raise SignatureError(
            "A training switch cannot take this value.",
            expected=f"a value of dtype {dtype or attr.type}",
            received=f"{value!r} ({error})",
            where=where,
            advice="--set TENSOR=VALUE with a value of that type",
        ) from error
    return constant


def rewire_edges(nodes: Mapping[str, Any], moved: Mapping[Edge, Edge]) -> dict[str, Any]:
    """Points every reader of some tensors at others; control edges stay.

    Args:
        nodes: By name; not changed.
        moved: Old edge to new edge. The new edges' own nodes are not rewired.
    """
    sources = {edge.node for edge in moved.values()}
    result = dict(nodes)
    for name, node in nodes.items():
        edges = [read_edge(text) for text in node.input]
        if name in sources or not any(edge in moved for edge in edges):
            continue
        changed = NodeDef()
        changed.CopyFrom(node)
        del changed.input[:]
        changed.input.extend(spell_edge(moved.get(edge, edge)) for edge in edges)
        result[name] = changed
    return result


def unknown_tensor(name: str, nodes: Collection[str], *, what: str) -> SignatureError:
    """Builds the error for a tensor that is not in the graph, with the nearest names there are."""
    node = read_edge(name).node
    tails = [n for n in nodes if n.rpartition("/")[2] == node.rpartition("/")[2]]
    near = list(dict.fromkeys(tails + difflib.get_close_matches(node, nodes, n=5, cutoff=0.5)))[:5]
    return SignatureError(
        f"{what} names a tensor that is not in the graph.",
        expected="a tensor of the graph" + (", such as " + ", ".join(f"{n}:0" for n in near) if near else ""),
        received=name,
        advice="servable inspect SOURCE lists candidates",
    )


def _read_int(value: Scalar) -> int:
    number = float(value)
    if not number.is_integer():
        raise ValueError("expected a whole number")
    return int(value) if isinstance(value, str) and value.lstrip("+-").isdigit() else int(number)
