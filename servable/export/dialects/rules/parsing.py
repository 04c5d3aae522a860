"""ROOM 2: examples of tf.train.Example, as serving signatures of estimators take them.

ParseExampleV2 takes names of features as vectors, and one example as well as several. ParseExample takes each
name as an input of its own, and several examples only.
"""

from __future__ import annotations

from servable.export.dialects.rules.shapes import (
    INT32,
    INT64,
    STRING,
    cut,
    join,
    pick,
    read_shape,
    reshape,
)
from servable.export.dialects.site import Site, output


def replace_parse_example(site: Site) -> list[str] | None:
    """Says ParseExampleV2 as ParseExample; ragged features stay unsaid."""
    if site.read("ragged_value_types").list.type or site.read("ragged_split_types").list.type:
        return None
    serialized, names, sparse_keys, dense_keys, _, *defaults = site.inputs
    sparse_types = list(site.read("sparse_types").list.type)
    dense_types = list(site.read("Tdense").list.type)
    several = site.add_const([-1], "int32")
    parsed = site.add(
        "ParseExample",
        [
            *(reshape(site, texts, several, STRING) for texts in (serialized, names)),
            *_list_keys(site, sparse_keys, len(sparse_types)),
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
    given = [output(parsed, number) for number in range(3 * count + len(dense_types))]
    if _is_vector(site, serialized):
        return given
    # One example lacks the first dimension of several.
    lead = read_shape(site, serialized, STRING)
    rank = read_shape(site, lead, INT32)
    less = site.add("Sub", [site.add_const([1], "int32"), rank], T=INT32)
    indices = [_drop_columns(site, edge, less) for edge in given[:count]]
    shapes = [cut(site, edge, less, None, dtype=INT64) for edge in given[2 * count : 3 * count]]
    dense = [
        reshape(site, edge, join(site, [lead, cut(site, read_shape(site, edge, dtype), 1, None)]), dtype)
        for edge, dtype in zip(given[3 * count :], dense_types, strict=True)
    ]
    return [*indices, *given[count : 2 * count], *shapes, *dense]


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
