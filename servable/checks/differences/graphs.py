"""Differences of two graphs: signatures, ops and what the nodes are set to.

What passes through: two MetaGraphDefs come in, changes go out. Functions are known by their names without the
numbers that TensorFlow counts up while it traces: two exports of one model never have the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from servable.checks.comparison import is_inexact
from servable.checks.differences.changes import Change, Kind, compare_keys
from servable.formats.dtypes import ITEM_BYTES, to_numpy_dtype
from servable.graphs.graph import iterate_all_nodes
from servable.signature import DTYPE_NAMES, Signature
from servable.targets.registry import CURRENT_VERSION, load_registry

_COUNTERS: Final = re.compile(r"_\d+(?=_|$)")
# Notes of the machine that wrote the graph, and names of functions, which are compared by what they hold.
_PASSED_OVER: Final = frozenset(
    {"_output_shapes", "_class", "config_proto", "debug_name", "shared_name", "_XlaMustCompile"}
)
_MAX_NAMES: Final = 3
# Where a saver of TensorFlow 1 collects its files: each one makes up a name of its own.
_SCRATCH: Final = re.compile(rb"(?<=_temp_)[0-9a-f]{32}(?=/part)")


def compare_signatures(before: Mapping[str, Signature], after: Mapping[str, Signature]) -> list[Change]:
    """Compares keys, dtypes, shapes and methods."""
    changes = compare_keys("signatures", _list_methods(before), _list_methods(after), label="signature")
    for name in sorted(before.keys() & after.keys()):
        for side in ("inputs", "outputs"):
            ends = [
                {key: str(spec) for key, spec in getattr(found[name], side).items()}
                for found in (before, after)
            ]
            changes += compare_keys("signatures", *ends, label=f"signature {name}, {side[:-1]}")
    return changes


def compare_graphs(before: Any, after: Any) -> tuple[list[Change], dict[str, Any]]:
    """Compares the ops of two graphs and of their functions, and what nodes of the same name are set to.

    Args:
        before: MetaGraphDef of the first model.
        after: Of the second one.

    Returns:
        The changes, and the number of nodes of both.
    """
    counts = [_count_ops(graph) for graph in (before, after)]
    changes = compare_keys("ops", *({key: str(n) for key, n in count.items()} for count in counts))
    nodes = [_index_nodes(graph) for graph in (before, after)]
    for place in sorted(nodes[0].keys() & nodes[1].keys()):
        changes += _compare_nodes(nodes[0][place], nodes[1][place], place)
    return changes, {"nodes": [sum(count.values()) for count in counts]}


def _list_methods(signatures: Mapping[str, Signature]) -> dict[str, str]:
    return {name: signature.method for name, signature in signatures.items()}


def _name_place(place: str) -> str:
    """Gives a function's name without counters; "" for the graph itself."""
    return _COUNTERS.sub("", place.removeprefix("__inference_").removeprefix("__forward_"))


def _count_ops(meta_graph: Any) -> Counter[str]:
    counts: Counter[str] = Counter()
    for place, node in iterate_all_nodes(meta_graph.graph_def):
        op = _COUNTERS.sub("", node.op) if node.op.startswith("__") else node.op
        counts[f"{op} in function {_name_place(place)}" if place else op] += 1
    return counts


def _index_nodes(meta_graph: Any) -> dict[str, Any]:
    """Maps a place in words to its node; one that several functions have alike is left out."""
    found: dict[str, Any] = {}
    doubled = set()
    for place, node in iterate_all_nodes(meta_graph.graph_def):
        name = f"node {node.name}" + (f" in function {_name_place(place)}" if place else "")
        if name in found:
            doubled.add(name)
        found[name] = node
    return {name: node for name, node in found.items() if name not in doubled}


def _compare_nodes(before: Any, after: Any, where: str) -> list[Change]:
    if before.op != after.op:
        return [Change("ops", Kind.CHANGED, where, before.op, after.op)]
    names = (
        (before.attr.keys() | after.attr.keys())
        - _PASSED_OVER
        - ({"value"} if before.op == "Const" else set())
    )
    changed = [
        name
        for name in sorted(names)
        if not _is_same_attr(_read_attr(before, name), _read_attr(after, name), name)
    ]
    changes = []
    if changed:
        shown = [_show_attrs(node, changed[:_MAX_NAMES]) for node in (before, after)]
        changes.append(Change("ops", Kind.CHANGED, f"{where} ({before.op})", *shown))
    if before.op == "Const":
        changes += _compare_constants(before.attr["value"].tensor, after.attr["value"].tensor, where)
    return changes


def _read_attr(node: Any, name: str) -> Any | None:
    """Gives an attribute's value, or its default: exports leave out what has it. None where there is none."""
    if name in node.attr:
        return node.attr[name]
    definition = load_registry(CURRENT_VERSION).find_attr(node.op, name)
    has_default = definition is not None and definition.HasField("default_value")
    return definition.default_value if definition is not None and has_default else None


def _is_same_attr(before: Any | None, after: Any | None, name: str) -> bool:
    if before is None or after is None:
        # Names with an underscore are notes, which may be there or not.
        return before is after or name.startswith("_")
    kinds = before.WhichOneof("value"), after.WhichOneof("value")
    if kinds == ("func", "func"):
        return _name_place(before.func.name) == _name_place(after.func.name)
    if kinds == ("list", "list") and (before.list.func or after.list.func):
        names = [[_name_place(func.name) for func in value.list.func] for value in (before, after)]
        return names[0] == names[1]
    return bool(before == after)


def _show_attrs(node: Any, names: list[str]) -> str:
    texts = (f"{name}: {' '.join(str(_read_attr(node, name) or 'none').split())}" for name in names)
    return "; ".join(text if len(text) <= 80 else text[:80] + "..." for text in texts)


def _compare_constants(before: Any, after: Any, where: str) -> list[Change]:
    if before == after:
        return []
    texts = [[_SCRATCH.sub(b"", text) for text in tensor.string_val] for tensor in (before, after)]
    if any(texts) and texts[0] == texts[1] and before.tensor_shape == after.tensor_shape:
        return []
    left, right = _read_values(before), _read_values(after)
    if left is None or right is None or left.shape != right.shape or left.dtype != right.dtype:
        shown = [_describe(tensor) for tensor in (before, after)]
        note = "" if shown[0] != shown[1] else ", other values"
        return [Change("ops", Kind.CHANGED, f"{where} (Const)", shown[0], shown[1] + note)]
    wide = [values.astype(np.float64) for values in (left, right)]
    if np.array_equal(wide[0], wide[1], equal_nan=True):
        return []  # written in another way
    with np.errstate(invalid="ignore"):
        worst = float(np.nanmax(np.abs(wide[0] - wide[1]), initial=0.0))
    return [
        Change(
            "ops",
            Kind.CHANGED,
            f"{where} (Const)",
            _describe(before),
            f"{_describe(after)}, max abs difference {worst:.3g}",
        )
    ]


def _describe(tensor: Any) -> str:
    sizes = ", ".join(str(dim.size) for dim in tensor.tensor_shape.dim)
    return f"{DTYPE_NAMES.get(tensor.dtype, tensor.dtype)} [{sizes}]"


def _read_values(tensor: Any) -> np.ndarray | None:
    """Reads numbers that lie as bytes or one by one; None for what has another form."""
    name = DTYPE_NAMES.get(tensor.dtype, "")
    if name not in ITEM_BYTES or name.startswith(("complex", "float8", "bfloat16", "int4", "uint4")):
        return None
    dtype = to_numpy_dtype(name)
    if not (is_inexact(dtype) or dtype.kind in "iub"):
        return None
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    size = int(np.prod(shape, dtype=np.int64))
    if len(tensor.tensor_content) == size * dtype.itemsize:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    singles = [*tensor.float_val, *tensor.double_val, *tensor.int_val, *tensor.int64_val, *tensor.bool_val]
    if name == "float16" or not 0 < len(singles) <= size:
        return None
    values = np.full(size, singles[-1], dtype)  # a tail of equal values may be left out
    values[: len(singles)] = singles
    return values.reshape(shape)
