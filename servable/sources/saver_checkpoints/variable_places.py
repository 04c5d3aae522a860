"""ROOM 1: where the variables of a graph without a saver lie in a checkpoint.

What passes through: a graph that came alone (a GraphDef, or what the user's code has built) and the entries
of a checkpoint come in, variable keys go out. Variables lie under their own names, parts of a partitioned one
as slices of the whole. No TensorFlow here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from servable.formats.checkpoints.bundle_entries import BundleEntry
from servable.graphs.graph import VARIABLE_OPS, index_nodes
from servable.graphs.saved_state import read_parts
from servable.graphs.variables import read_variable_spec, spell_slice
from servable.model import VariableKey

# Parts of a partitioned variable, as `variable_scope` names them.
_PART = re.compile(r"(.+)/part_(\d{1,9})")


def place_variables(meta_graph: Any, entries: Mapping[str, BundleEntry]) -> dict[str, VariableKey]:
    """Finds the variables of a graph without a saver in a checkpoint.

    Args:
        meta_graph: Its VariableDefs, where it has some, say which variable is a slice of what.
        entries: The checkpoint's, by key.

    Returns:
        Variable node to its place; a variable that is not in the checkpoint is left out.
    """
    nodes = index_nodes(meta_graph.graph_def)
    variables = [name for name, node in nodes.items() if node.op in VARIABLE_OPS]
    keys = {name: VariableKey(name) for name in variables if name in entries}
    for name in variables:
        # Asking a map of messages for a missing key would add it.
        attr = nodes[name].attr["shared_name"].s if "shared_name" in nodes[name].attr else b""
        if name not in keys and (shared := attr.decode("utf-8", "replace")) in entries:
            keys[name] = VariableKey(shared)
    slices = {**_infer_slices(nodes, variables, entries), **read_parts(meta_graph)}
    keys.update(
        (name, key)
        for name, key in slices.items()
        if name in nodes and name not in keys and key.key in entries
    )
    return keys


def _infer_slices(
    nodes: Mapping[str, Any], variables: list[str], entries: Mapping[str, BundleEntry]
) -> dict[str, VariableKey]:
    """Takes `name/part_0`, `name/part_1`, ... for slices of `name` where their sizes make it up."""
    parts: dict[str, dict[int, str]] = defaultdict(dict)
    for name in variables:
        if match := _PART.fullmatch(name):
            parts[match[1]][int(match[2])] = name
    found: dict[str, VariableKey] = {}
    for full_name, numbered in parts.items():
        names = [numbered[number] for number in sorted(numbered)]
        shapes = [_read_known_shape(nodes[name]) for name in names]
        if full_name not in entries or sorted(numbered) != list(range(len(numbered))):
            continue
        whole = entries[full_name].shape
        axis = _find_cut_axis(shapes, whole)
        if axis is None:
            continue
        start = 0
        for name, shape in zip(names, shapes, strict=True):
            offsets = [start if number == axis else 0 for number in range(len(whole))]
            found[name] = VariableKey(full_name, spell_slice(whole, offsets, shape))
            start += shape[axis]
    return found


def _read_known_shape(node: Any) -> tuple[int, ...]:
    return tuple(-1 if size is None else size for size in read_variable_spec(node).shape or ())


def _find_cut_axis(shapes: list[tuple[int, ...]], whole: tuple[int, ...]) -> int | None:
    """Finds the axis along which parts of these shapes, one after the other, make up the whole."""
    if any(len(shape) != len(whole) for shape in shapes):
        return None
    for axis, size in enumerate(whole):
        rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if rest == {(*whole[:axis], *whole[axis + 1 :])} and sum(shape[axis] for shape in shapes) == size:
            return axis
    return None
