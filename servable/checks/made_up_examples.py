"""Made-up tf.Examples for a signature that parses them, as models of TFX's Trainer and of Estimators do.

What passes through: a signature and its graph come in, serialized tf.Examples with just the features that the
graph's parsers ask for go out, or None where no parser tells. No TensorFlow here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from servable.baseline import FREE_SIZE
from servable.checks.reach import GraphReach, PlacedNode
from servable.formats.protos import Example
from servable.graphs.graph import read_const_strings, read_edge
from servable.signature import DTYPE_NAMES, Signature, TensorSpec

_WORDS = (b"a", b"word", b"of", b"text")
# The only types of an Example's features (tensorflow/core/example/feature.proto).
_TYPES = frozenset({"float32", "int64", "string"})
# In ParseExample, after the serialized examples and their names, comes one input for each key.
_FIRST_KEY = 2


@dataclass(frozen=True, slots=True)
class Feature:
    """What a parser asks of one feature.

    Attributes:
        dtype: "float32", "int64" or "string".
        count: Values of one example.
    """

    dtype: str
    count: int


def invent_examples(
    signature: Signature, reach: GraphReach, *, batch_size: int = 4, seed: int = 0
) -> dict[str, np.ndarray] | None:
    """Makes up serialized tf.Examples: floats from 0 to 1, integers 0 and 1, short words.

    Args:
        signature: Of the model.
        reach: Its graph.
        batch_size: Rows.
        seed: Same seed, same values.

    Returns:
        The signature's only input, object array of bytes; None where it has several inputs or one that is no
        string, where nothing parses it, or where its parsers do not say in so many words what they want.
    """
    if len(signature.inputs) != 1:
        return None
    ((key, spec),) = signature.inputs.items()
    features = find_features(signature.name, spec, reach) if spec.dtype == "string" else None
    if features is None:
        return None
    random = np.random.default_rng(seed)
    free = (None,) if spec.shape is None else spec.shape
    shape = tuple((1 if axis else batch_size) if size is None else size for axis, size in enumerate(free))
    rows = np.empty(math.prod(shape), dtype=object)
    rows[:] = [_write_example(features, random) for _ in rows]
    return {key: rows.reshape(shape)}


def find_features(signature_name: str, spec: TensorSpec, reach: GraphReach) -> dict[str, Feature] | None:
    """Reads from the parsers on a signature's path which features they ask for.

    Args:
        signature_name: Of the graph.
        spec: The input that is parsed.
        reach: The graph.

    Returns:
        By name; None where there is no parser, or where one cannot be read or contradicts another.
    """
    found: dict[str, Feature] = {}
    fed = read_edge(spec.tensor).node
    parsers = 0
    for placed in reach.iterate_nodes(signature_name):
        if placed.node.op not in _READERS:
            continue
        origin = reach.trace_origin(placed, 0)
        if origin is None or origin.place or origin.node.name != fed:
            return None
        parsers += 1
        features = _READERS[placed.node.op](placed, reach)
        if features is None or any(found.get(name, one) != one for name, one in features.items()):
            return None
        found |= features
    return found if parsers and {one.dtype for one in found.values()} <= _TYPES else None


def _read_parse_example_v2(placed: PlacedNode, reach: GraphReach) -> dict[str, Feature] | None:
    """Inputs: serialized, names, sparse_keys, dense_keys, ragged_keys, defaults; keys are vectors."""
    sparse, dense, ragged = (_read_keys(placed, reach, position) for position in (2, 3, 4))
    if sparse is None or dense is None or ragged is None:
        return None
    ragged_types = _read_types(placed.node, "ragged_value_types")
    return {
        **_name_loose(sparse, _read_types(placed.node, "sparse_types")),
        **_name_loose(ragged, ragged_types),
        **_name_dense(dense, placed.node),
    }


def _read_parse_example(placed: PlacedNode, reach: GraphReach) -> dict[str, Feature] | None:
    """Inputs: serialized, names, each sparse key, each dense key, defaults."""
    sparse_count, dense_count = (placed.node.attr[name].i for name in ("Nsparse", "Ndense"))
    keys: list[bytes] = []
    for position in range(_FIRST_KEY, _FIRST_KEY + sparse_count + dense_count):
        one = _read_keys(placed, reach, position)
        if one is None or len(one) != 1:
            return None
        keys += one
    return {
        **_name_loose(keys[:sparse_count], _read_types(placed.node, "sparse_types")),
        **_name_dense(keys[sparse_count:], placed.node),
    }


def _read_parse_single_example(placed: PlacedNode, reach: GraphReach) -> dict[str, Feature] | None:
    """Keys are attributes."""
    sparse, dense = (list(placed.node.attr[name].list.s) for name in ("sparse_keys", "dense_keys"))
    types = _read_types(placed.node, "sparse_types")
    return {**_name_loose(sparse, types), **_name_dense(dense, placed.node)}


_READERS = MappingProxyType(
    {
        "ParseExampleV2": _read_parse_example_v2,
        "ParseExample": _read_parse_example,
        "ParseSingleExample": _read_parse_single_example,
    }
)


def _read_keys(placed: PlacedNode, reach: GraphReach, position: int) -> list[bytes] | None:
    origin = reach.trace_origin(placed, position)
    return None if origin is None else read_const_strings(origin.node)


def _read_types(node: Any, name: str) -> list[str]:
    return [DTYPE_NAMES.get(number, "") for number in node.attr[name].list.type]


def _name_loose(keys: list[bytes], types: list[str]) -> dict[str, Feature]:
    """Features of any number of values: sparse and ragged ones."""
    return {
        key.decode("utf-8", "replace"): Feature(dtype, FREE_SIZE)
        for key, dtype in zip(keys, types, strict=False)
    }


def _name_dense(keys: list[bytes], node: Any) -> dict[str, Feature]:
    shapes = node.attr["dense_shapes"].list.shape
    return {
        key.decode("utf-8", "replace"): Feature(dtype, _count_values(shape))
        for key, dtype, shape in zip(keys, _read_types(node, "Tdense"), shapes, strict=False)
    }


def _count_values(shape: Any) -> int:
    return math.prod(FREE_SIZE if dim.size < 0 else dim.size for dim in shape.dim)


def _write_example(features: Mapping[str, Feature], random: np.random.Generator) -> bytes:
    example = Example()
    for name, value in _invent_values(features, random):
        feature = example.features.feature[name]
        if features[name].dtype == "string":
            feature.bytes_list.value.extend(value)
        elif features[name].dtype == "int64":
            feature.int64_list.value.extend(value)
        else:
            feature.float_list.value.extend(value)
    return bytes(example.SerializeToString(deterministic=True))


def _invent_values(
    features: Mapping[str, Feature], random: np.random.Generator
) -> Iterator[tuple[str, list[Any]]]:
    for name in sorted(features):
        count = features[name].count
        if features[name].dtype == "float32":
            yield name, random.random(count).tolist()
        elif features[name].dtype == "int64":
            yield name, random.integers(0, 2, size=count).tolist()
        else:
            yield name, [_WORDS[pick] for pick in random.integers(0, len(_WORDS), size=count)]
