"""ROOM 1: a live model and the objects of a checkpoint, paired as TensorFlow pairs them when it restores.

What passes through: a built model and an object graph come in; under which name of the checkpoint it lies,
and everything that is in one and not in the other, go out. Nothing is restored here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servable.sources.live_models.object_graph import ROOT, VALUE_ATTRIBUTE, ObjectGraph

# Seeds of dropout and augmentation, which do nothing in serving and move from version to version.
_SEED = re.compile(r"(^|/)_?((seed|random)_generators?|rng|generator)(/|$)|seed_generator_state")


@dataclass(frozen=True, slots=True)
class Match:
    """How a model fits what lies at one place of a checkpoint.

    Attributes:
        place: Names from the root to it; "" for the root itself.
        pairs: Live variables with their key in the checkpoint.
        missing: Variables of the model that the checkpoint lacks there.
        differing: Variables whose type or sizes differ.
        left: Tensors of the checkpoint there that no object of the model takes.
    """

    place: str
    pairs: tuple[tuple[Any, str], ...]
    missing: tuple[str, ...]
    differing: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether model and checkpoint fit both ways."""
        return not (self.missing or self.differing or self.left)


def match_places(graph: ObjectGraph, model: Any, slot: str | None) -> list[Match]:
    """Matches a live model with the places of a checkpoint where it may lie.

    Args:
        graph: Of the checkpoint.
        model: Built, a Keras model or a `tf.Module`.
        slot: The only place to look at, such as "ema_model" or "trainer/net"; None for all.

    Returns:
        Those that fit both ways, else the best one alone; empty where nothing fits at all. Deeper than the
        root's own children, a place counts only when it leaves nothing of the whole checkpoint out: a model
        of one layer fits many a corner of another.
    """
    whole = {key: way for key, way in graph.list_tensors(ROOT).items() if graph.bundle.entries[key].shape}
    variables = _list_variables(model)
    matches = [
        match
        for number, place in graph.list_places().items()
        if slot is None or place == slot
        for outside in [whole if "/" in place and slot is None else {}]
        for match in [_match(graph, number, place, model, variables, outside)]
        if match is not None
    ]
    unique: dict[frozenset[str], Match] = {}
    for match in (match for match in matches if match.is_clean):
        # One set of tensors under two names is one model.
        unique.setdefault(frozenset(key for _, key in match.pairs), match)
    if unique:
        return list(unique.values())
    matches.sort(key=lambda m: (-len(m.pairs), len(m.missing) + len(m.left), m.place.count("/")))
    return matches[:1]


def _match(
    graph: ObjectGraph,
    number: int,
    place: str,
    model: Any,
    variables: Sequence[tuple[Any, str]],
    outside: Mapping[str, str],
) -> Match | None:
    paired = _pair_objects(graph, number, model)
    numbers = {id(live): node for node, (live, _) in paired.items()}
    pairs: list[tuple[Any, str]] = []
    missing, differing = [], []
    for variable, way in variables:
        node = numbers.get(id(variable))
        name = way if node is None else paired[node][1]
        key = None if node is None else graph.nodes[node].tensors.get(VALUE_ATTRIBUTE)
        if key is None:
            if not _is_seed(name, *_describe(variable)):
                missing.append(f"{name} {_write_variable(variable)}")
            continue
        entry = graph.bundle.entries[key]
        if not _fits(variable, entry.dtype, entry.shape):
            differing.append(
                f"{name}: {_write_variable(variable)} in the model, {graph.write_shape(key)} stored"
            )
        pairs.append((variable, key))
    if not pairs:
        return None
    taken = {key for node in paired for key in graph.nodes[node].tensors.values()}
    here = {**outside, **graph.list_tensors(number)}
    left = [
        f"{way or key} {graph.write_shape(key)}"
        for key, way in here.items()
        for entry in [graph.bundle.entries[key]]
        if key not in taken
        and not _is_seed(way, entry.dtype, entry.shape)
        and not _is_counter(way, entry.dtype, entry.shape)
    ]
    return Match(place, tuple(pairs), tuple(missing), tuple(differing), tuple(left))


def _pair_objects(graph: ObjectGraph, number: int, model: Any) -> dict[int, tuple[Any, str]]:
    """Walks both sides at once, in the checkpoint's order of children; the first pair of an object holds.

    Returns:
        Number in the checkpoint to the live object and the way to it.
    """
    import tensorflow as tf

    paired: dict[int, tuple[Any, str]] = {number: (model, "")}
    bound = {id(model)}
    pending = [number]
    for node in pending:
        live, way = paired[node]
        children = tf.train.TrackableView.children(live)
        for name, child in graph.nodes[node].children.items():
            if name in children and child not in paired and id(children[name]) not in bound:
                paired[child] = (children[name], f"{way}/{name}".lstrip("/"))
                bound.add(id(children[name]))
                pending.append(child)
    return paired


def _list_variables(model: Any) -> list[tuple[Any, str]]:
    found = {
        id(item): (item, way)
        for item, way in _walk_objects(model)
        if hasattr(item, "assign") and hasattr(item, "shape") and hasattr(item, "dtype")
    }
    # Keras 3 has variables that no checkpoint reaches: those of layers in plain lists and dicts.
    own = model.weights if hasattr(model, "weights") else model.variables
    for variable in (variable for variable in own if hasattr(variable, "assign")):
        found.setdefault(id(variable), (variable, getattr(variable, "path", variable.name)))
    return list(found.values())


def _walk_objects(model: Any) -> Iterator[tuple[Any, str]]:
    import tensorflow as tf

    seen = {id(model)}
    pending = [(model, "")]
    for item, way in pending:
        yield item, way
        for name, child in tf.train.TrackableView.children(item).items():
            if id(child) not in seen:
                seen.add(id(child))
                pending.append((child, f"{way}/{name}".lstrip("/")))


def _fits(variable: Any, dtype: str, shape: Sequence[int]) -> bool:
    live_dtype, live_shape = _describe(variable)
    # A variable may leave sizes open, such as the summary of Discretization.
    return (
        live_dtype == dtype
        and len(live_shape) == len(shape)
        and all(ours in (None, theirs) for ours, theirs in zip(live_shape, shape, strict=True))
    )


def _describe(variable: Any) -> tuple[str, tuple[int | None, ...]]:
    dtype = variable.dtype if isinstance(variable.dtype, str) else variable.dtype.name
    return dtype, tuple(None if size is None else int(size) for size in variable.shape)


def _write_variable(variable: Any) -> str:
    dtype, shape = _describe(variable)
    return f"{dtype} {list(shape)}"


def _is_seed(way: str, dtype: str, shape: Sequence[int | None]) -> bool:
    # A net may well be called "generator"; the state of a random one is a few whole numbers.
    return _SEED.search(way) is not None and "int" in dtype and len(shape) == 1


def _is_counter(way: str, dtype: str, shape: Sequence[int | None]) -> bool:
    # A step or an epoch that hangs beside the model's own parts.
    return "/" not in way and not shape and dtype in ("int32", "int64")
