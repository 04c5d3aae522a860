"""ROOM 2: examples of tf.train.Example, as serving signatures of estimators take them.

ParseExampleV2 takes names of features as vectors, and one example as well as several. ParseExample takes each
name as an input of its own, and several examples only.
"""

from __future__ import annotations

from servable.export.dialects.rules.ragged import Level
from servable.export.dialects.rules.shapes import (
    INT32,
    INT64,
    STRING,
    cast,
    cut,
    join,
    pick,
    read_shape,
    reshape,
)
from servable.export.dialects.site import Site, output


def replace_parse_example(site: Site) -> list[str] | None:
    """Says ParseExampleV2 as ParseExample; ragged features of perhaps one example alone stay unsaid.

    Ragged features are read as sparse ones, whose values are the same; their rows are counted.
    """
    serialized, names, sparse_keys, dense_keys, ragged_keys, *defaults = site.inputs
    types, dense_types, ragged_types, splits_types = (
        list(site.read(name).list.type)
        for name in ("sparse_types", "Tdense", "ragged_value_types", "ragged_split_types")
    )
    is_vector = _is_vector(site, serialized)
    if ragged_types and not is_vector:
        return None
    several = site.add_const([-1], "int32")
    texts = reshape(site, serialized, several, STRING)
    sparse_types = types + ragged_types
    parsed = site.add(
        "ParseExample",
        [
            texts,
            reshape(site, names, several, STRING),
            *_list_keys(site, sparse_keys, len(types)),
            *_list_keys(site, ragged_keys, len(ragged_types)),
            *_list_keys(site, dense_keys, len(dense_types)),
            *defaults,
        ],
        Nsparse=len(sparse_types),
        Ndense=len(dense_types),
        sparse_types=sparse_types,
        Tdense=dense_types,
        dense_shapes=site.read("dense_shapes"),
    )
    count = len(sparse_types)
    edges = [output(parsed, number) for number in range(3 * count + len(dense_types))]
    indices, values, shapes = (edges[start : start + count] for start in (0, count, 2 * count))
    dense = edges[3 * count :]
    if not is_vector:
        # One example lacks the first dimension of several.
        lead = read_shape(site, serialized, STRING)
        rank = read_shape(site, lead, INT32)
        less = site.add("Sub", [site.add_const([1], "int32"), rank], T=INT32)
        indices = [_drop_columns(site, edge, less) for edge in indices]
        shapes = [cut(site, edge, less, None, dtype=INT64) for edge in shapes]
        dense = [
            reshape(site, edge, join(site, [lead, cut(site, read_shape(site, edge, dtype), 1, None)]), dtype)
            for edge, dtype in zip(dense, dense_types, strict=True)
        ]
    splits = [
        _count_rows(site, edge, texts, dtype)
        for edge, dtype in zip(indices[len(types) :], splits_types, strict=True)
    ]
    sparse = [*indices[: len(types)], *values[: len(types)], *shapes[: len(types)]]
    return [*sparse, *dense, *values[len(types) :], *splits]


def _count_rows(site: Site, indices: str, texts: str, dtype: int) -> str:
    """Adds the splits of rows, from the row and column of each value."""
    rows = pick(
        site,
        site.add("Transpose", [indices, site.add_const([1, 0], "int32")], T=INT64, Tperm=INT32),
        0,
        dtype=INT64,
    )
    count = pick(site, read_shape(site, texts, STRING, out_type=INT64), 0, dtype=INT64)
    return cast(site, Level.of_rows(site, rows, count).splits, INT64, dtype)


def _list_keys(site: Site, keys: str, count: int) -> list[str]:
    values = site.read_const(keys)
    if values is not None:
        return [site.add_const(key, "string") for key in values.ravel().tolist()]
    return [pick(site, keys, place, dtype=STRING) for place in range(count)]


def _is_vector(site: Site, tensor: str) -> bool:
    node = site.find_node(tensor)
    if node is None or node.op not in ("Placeholder", "PlaceholderWithDefault"):
        return False
    shape = node.attr["shape"].shape
    return not shape.unknown_rank and len(shape.dim) == 1


def _drop_columns(site: Site, matrix: str, count: str) -> str:
    begin = join(site, [site.add_const([0], "int32"), count])
    edges = [begin, site.add_const([0, 0], "int32"), site.add_const([1, 1], "int32")]
    return site.add("StridedSlice", [matrix, *edges], T=INT64, Index=INT32, begin_mask=1, end_mask=3)
