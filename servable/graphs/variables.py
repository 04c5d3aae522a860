"""The variables of a graph against the tensors of a checkpoint: type and shape, both ways.

What passes through: variable nodes and the entries of a checkpoint come in; where each variable lies goes
out, or one error that lists everything that does not fit. No TensorFlow here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle_entries import BundleEntry
from servable.graphs.graph import VARIABLE_OPS
from servable.graphs.training_tensors import split_training_tensors
from servable.model import VariableKey
from servable.signature import DTYPE_NAMES, Shape, TensorSpec

_MAX_LISTED: Final = 20
_MAX_SLICE_CHARS: Final = 4000  # of numbers that Python reads without complaint
_SLICE: Final = re.compile(r"([\d ]*) (-|\d+,\d+(?::(?:-|\d+,\d+))*)")


def find_variables(nodes: Mapping[str, Any], reached: Iterable[str]) -> list[str]:
    """Names the variable nodes among those that serving needs, sorted."""
    return sorted(name for name in reached if nodes[name].op in VARIABLE_OPS)


def match_variables(
    nodes: Mapping[str, Any],
    variables: Sequence[str],
    keys: Mapping[str, VariableKey],
    entries: Mapping[str, BundleEntry],
    *,
    where: str,
) -> dict[str, VariableKey]:
    """Finds each variable in the checkpoint and compares type and shape.

    Args:
        nodes: All of the graph, by name.
        variables: Variable nodes that are needed.
        keys: Where they lie; one that is not named here lies under its own name.
        entries: The checkpoint's, by key.
        where: The checkpoint, for the error.

    Raises:
        BrokenSourceError: Some are not there, or have another type or shape there; all are listed, and beside
            them what the checkpoint has and no variable of the graph takes.
    """
    matched = {name: keys.get(name, VariableKey(name)) for name in variables}
    missing = [name for name, key in matched.items() if key.key not in entries]
    different = {
        name: difference
        for name, key in matched.items()
        if key.key in entries and (difference := _find_difference(nodes[name], key, entries[key.key]))
    }
    if not missing and not different:
        return matched
    problems = [f"{len(missing)} of {len(variables)} variables of the graph are not in the checkpoint"]
    problems += [f"{len(different)} of {len(variables)} have another type or shape in the checkpoint"]
    received = list(different.values())
    if missing:
        received.append(describe_leftovers(nodes, keys, entries))
    raise BrokenSourceError(
        " and ".join(text for text, names in zip(problems, (missing, different), strict=True) if names) + ".",
        expected="; ".join(f"{name} {read_variable_spec(nodes[name])}" for name in (*missing, *different)),
        received="; ".join(received),
        where=where,
        advice="check that graph and checkpoint come from one training run, under the same variable names",
    )


def read_variable_spec(node: Any) -> TensorSpec:
    """Reads type and shape that a variable node declares; unknown ones are "" and None."""
    dtype = DTYPE_NAMES.get(node.attr["dtype"].type, "") if "dtype" in node.attr else ""
    return TensorSpec(dtype, _read_shape(node))


def find_leftovers(
    nodes: Mapping[str, Any], keys: Mapping[str, VariableKey], entries: Mapping[str, BundleEntry]
) -> set[str]:
    """Names the tensors of a checkpoint that no variable of the graph takes."""
    taken = {keys[name].key if name in keys else name for name in nodes if nodes[name].op in VARIABLE_OPS}
    return set(entries) - taken


def describe_leftovers(
    nodes: Mapping[str, Any], keys: Mapping[str, VariableKey], entries: Mapping[str, BundleEntry]
) -> str:
    """Says in words which tensors of a checkpoint no variable of the graph takes; slots are only counted."""
    slots, others = split_training_tensors(find_leftovers(nodes, keys, entries), entries)
    parts = ["in the checkpoint and in no variable of the graph: " + list_entries(others, entries)]
    if slots:
        parts.append(f"{len(slots)} optimizer slots, steps and averages")
    return " and ".join(parts)


def list_entries(keys: Collection[str], entries: Mapping[str, BundleEntry]) -> str:
    """Lists some tensors of a checkpoint with type and shape, at most as many as a person reads."""
    shown = [
        f"{key} {TensorSpec(entries[key].dtype, entries[key].shape)}" for key in sorted(keys)[:_MAX_LISTED]
    ]
    if len(keys) > _MAX_LISTED:
        shown.append(f"and {len(keys) - _MAX_LISTED} more")
    return ", ".join(shown) or "none"


def spell_slice(full_shape: Sequence[int], offsets: Sequence[int], sizes: Sequence[int]) -> str:
    """Writes which slice of a tensor a variable is, as RestoreV2 takes it: "20 5 0,10:0,5"."""
    extents = ":".join(f"{offset},{size}" for offset, size in zip(offsets, sizes, strict=True))
    return " ".join(str(size) for size in full_shape) + f" {extents}"


def _find_difference(node: Any, key: VariableKey, entry: BundleEntry) -> str:
    """Says what the checkpoint has in the variable's place, or "" where it fits."""
    wanted = read_variable_spec(node)
    stored = TensorSpec(entry.dtype, entry.shape)
    whole, part = wanted.shape, wanted.shape
    if key.slice_spec:
        slices = _read_slice(key.slice_spec)
        if slices is None:
            return f"{key.key}, of which the graph wants the slice {key.slice_spec!r}"
        whole, part = slices
    fits = wanted.dtype in ("", entry.dtype) and _fits(whole, entry.shape) and _fits(wanted.shape, part)
    return "" if fits else f"{key.key} {stored}" + (f", slice {key.slice_spec!r}" if key.slice_spec else "")


def _fits(declared: Shape, stored: Shape) -> bool:
    if declared is None or stored is None:
        return True
    return len(declared) == len(stored) and all(
        None in (wanted, got) or wanted == got for wanted, got in zip(declared, stored, strict=True)
    )


def _read_slice(spec: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Reads "20 5 0,10:-" into the shapes of the whole and of the part."""
    match = _SLICE.fullmatch(spec) if len(spec) <= _MAX_SLICE_CHARS else None
    if match is None:
        return None
    whole = tuple(int(size) for size in match[1].split())
    extents = match[2].split(":")
    if len(extents) != len(whole):
        return None
    part = tuple(
        size if extent == "-" else int(extent.partition(",")[2])
        for size, extent in zip(whole, extents, strict=True)
    )
    return whole, part


def _read_shape(node: Any) -> Shape:
    # Asking a map of messages for a missing key would add it.
    if "shape" not in node.attr or node.attr["shape"].shape.unknown_rank:
        return None
    shape = tuple(None if dim.size < 0 else int(dim.size) for dim in node.attr["shape"].shape.dim)
    # The first variable op cannot tell a scalar from an unknown shape (tensorflow/core/ops/state_ops.cc).
    return None if node.op == "Variable" and not shape else shape
