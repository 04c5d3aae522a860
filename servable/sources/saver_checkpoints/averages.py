"""ROOM 1: which variable has a moving average in the checkpoint, for `--ema`.

What passes through: a graph, the places of its variables and the entries of the checkpoint come in; places in
which averages stand for the variables go out. Evidence is the graph's own update, or the name that
`tf.train.ExponentialMovingAverage` gives, for a graph that has no update any more.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from servable.errors import SignatureError
from servable.formats.checkpoints.bundle_entries import BundleEntry
from servable.graphs.graph import VARIABLE_OPS, index_nodes
from servable.graphs.training_tensors import AVERAGE_NAME
from servable.graphs.variables import list_entries, read_variable_spec
from servable.model import VariableKey
from servable.sources.saver_checkpoints.shadows import find_shadows

_AVERAGE_KEY = re.compile(rf"(.+)/{AVERAGE_NAME}")


def take_averages(
    meta_graph: Any, keys: Mapping[str, VariableKey], entries: Mapping[str, BundleEntry], *, where: str
) -> dict[str, VariableKey]:
    """Lets each variable take its moving average, where the checkpoint has one.

    Args:
        meta_graph: The graph.
        keys: Where its variables lie; one that is not named here lies under its own name.
        entries: The checkpoint's, by key.
        where: The checkpoint, for errors.

    Returns:
        The keys, with `average_of` set in those that are a moving average's.

    Raises:
        SignatureError: No variable of the graph has an average, or one has several.
    """
    nodes = index_nodes(meta_graph.graph_def)
    variables = {name: keys.get(name, VariableKey(name)) for name in nodes if nodes[name].op in VARIABLE_OPS}
    shadows = find_shadows(nodes)
    averages = [key for key in entries if _AVERAGE_KEY.fullmatch(key)]
    taken: dict[str, VariableKey] = {}
    for name, own in variables.items():
        updated = [variables[shadow].key for shadow in shadows.get(name, ())]
        for candidates in (updated, _find_by_name(name, own, averages, entries)):
            fitting = sorted({key for key in candidates if _is_stored(nodes[name], own, key, entries)})
            if fitting:
                break
        if len(fitting) > 1:
            raise SignatureError(
                f"Variable {name} has several moving averages.",
                expected="one average for each variable",
                received=", ".join(fitting),
                where=where,
                advice="leave --ema out, or give a --module FILE.py whose build_graph() names the variables "
                "after the averages that are wanted",
            )
        if fitting:
            taken[name] = replace(own, key=fitting[0], average_of=_name_exported(name, own))
    if not taken:
        raise SignatureError(
            "No variable of the graph has a moving average in the checkpoint.",
            expected=f"tensors like {next(iter(variables), 'VARIABLE')}/{AVERAGE_NAME}",
            received=list_entries(list(entries), entries),
            where=where,
            advice="leave --ema out",
        )
    return _keep_names_apart({**variables, **taken}, taken)


def _find_by_name(
    name: str, own: VariableKey, averages: Collection[str], entries: Mapping[str, BundleEntry]
) -> list[str]:
    if _AVERAGE_KEY.fullmatch(own.key) and not _AVERAGE_KEY.fullmatch(name):
        return [own.key]  # the saver of an evaluation has put the average in the variable's place
    # What lies under the variable's name, where the saver has another for it, may be another variable.
    for base in (own.key, *(() if name in entries else (name,))):
        if f"{base}/{AVERAGE_NAME}" in entries:
            return [f"{base}/{AVERAGE_NAME}"]
    # Made inside a scope: scope/variable/ExponentialMovingAverage, where no other variable has that name.
    scoped = [key for key in averages if key.endswith(f"/{own.key}/{AVERAGE_NAME}")]
    return [key for key in scoped if key.rpartition("/")[0] not in entries]


def _is_stored(node: Any, own: VariableKey, key: str, entries: Mapping[str, BundleEntry]) -> bool:
    if key not in entries:
        return False
    entry, stored = entries[key], entries.get(own.key)
    if stored is not None:
        return (entry.dtype, entry.shape) == (stored.dtype, stored.shape)
    return entry.dtype == read_variable_spec(node).dtype


def _name_exported(name: str, own: VariableKey) -> str:
    """The parts of a partitioned variable share one name, which is the saver's."""
    plain = _AVERAGE_KEY.fullmatch(own.key)
    if plain:
        return plain[1]
    return own.key if own.slice_spec else name


def _keep_names_apart(
    keys: Mapping[str, VariableKey], taken: Mapping[str, VariableKey]
) -> dict[str, VariableKey]:
    """Stores an average under its own key where another value would have the variable's name."""
    sources: dict[str, set[str]] = defaultdict(set)
    for key in keys.values():
        sources[key.exported_key].add(key.key)
    clashing = {name for name, found in sources.items() if len(found) > 1}
    return {
        name: replace(key, average_of=key.key) if name in taken and key.average_of in clashing else key
        for name, key in keys.items()
    }
