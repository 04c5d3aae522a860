"""ROOM 2: rows of different length, made, chosen, and as a sparse tensor."""

from __future__ import annotations

from servable.export.dialects.rules.ragged import Level, sum_lengths
from servable.export.dialects.rules.shapes import (
    INT32,
    INT64,
    cast,
    count_to,
    cut,
    gather,
    join,
    multiply_up,
    pick,
    read_shape,
    stretch_to_common_shape,
    widen,
)
from servable.export.dialects.site import Site
from servable.signature import DTYPE_NAMES, DTYPE_NUMBERS

_INTS = frozenset(DTYPE_NUMBERS[name] for name in ("int32", "int64"))


def replace_ragged_range(site: Site) -> list[str] | None:
    """Says RaggedRange as starts plus multiples of deltas; of fractions it stays unsaid."""
    dtype, splits_type = site.read("T").type, site.read("Tsplits").type
    if dtype not in _INTS:
        return None  # how many there are depends on how the quotient is rounded
    vectors = [_make_vector(site, edge, dtype) for edge in site.inputs]
    starts, limits, deltas = stretch_to_common_shape(site, vectors, [dtype] * 3)
    # As many as it takes to come to the limit, rounded up, and none where it lies behind.
    distance = site.add("Sub", [starts, limits], T=dtype)
    counts = site.add("Neg", [site.add("FloorDiv", [distance, deltas], T=dtype)], T=dtype)
    counts = site.add("Maximum", [counts, site.add_const(0, DTYPE_NAMES[dtype])], T=dtype)
    level = Level.of_splits(site, sum_lengths(site, cast(site, counts, dtype, INT64)))
    rows, within = _find_places(site, level)
    start, delta = (gather(site, vector, rows, dtype, places_type=INT64) for vector in (starts, deltas))
    way = site.add("Mul", [cast(site, within, INT64, dtype), delta], T=dtype)
    values = site.add("Add", [start, way], T=dtype)
    return [cast(site, level.splits, INT64, splits_type), values]


def replace_ragged_gather(site: Site) -> list[str] | None:
    """Says RaggedGather of rows as gathers of their splits, level by level, and of their values."""
    *splits, values, indices = site.inputs
    splits_type, index, dtype = (site.read(attr).type for attr in ("Tsplits", "Tindices", "Tvalues"))
    if site.read("OUTPUT_RAGGED_RANK").i != len(splits):
        return None  # indices of more dimensions than one make rows of rows
    places = cast(site, indices, index, INT64)
    chosen = []
    for edge in splits:
        level = Level.of_splits(site, cast(site, edge, splits_type, INT64))
        lengths = gather(site, level.measure(), places, INT64, places_type=INT64)
        begins = gather(site, level.splits, places, INT64, places_type=INT64)
        new = Level.of_splits(site, sum_lengths(site, lengths))
        rows, within = _find_places(site, new)
        places = site.add("Add", [gather(site, begins, rows, INT64, places_type=INT64), within], T=INT64)
        chosen.append(cast(site, new.splits, INT64, splits_type))
    return [*chosen, gather(site, values, places, dtype, places_type=INT64)]


def replace_ragged_to_sparse(site: Site) -> list[str] | None:
    """Says RaggedTensorToSparse as the place of each value in its row, in the row of that, and so on."""
    *splits, values = site.inputs
    splits_type, dtype = site.read("Tsplits").type, site.read("T").type
    levels = [Level.of_splits(site, cast(site, edge, splits_type, INT64)) for edge in splits]
    shape = read_shape(site, values, dtype, out_type=INT64)
    count = multiply_up(site, shape, dtype=INT64)
    # Neither no place at all nor a size of 0 is taken.
    one = site.add_const(1, "int64")
    sizes, enough = (site.add("Maximum", [numbers, one], T=INT64) for numbers in (shape, count))
    inner = site.add(
        "UnravelIndex", [count_to(site, pick(site, enough, 0, dtype=INT64), dtype=INT64), sizes], Tidx=INT64
    )
    inner = _turn(site, cut(site, _turn(site, inner), None, cast(site, count, INT64, INT32), dtype=INT64))
    places = pick(site, inner, 0, dtype=INT64)
    rest = cut(site, inner, 1, None, dtype=INT64)
    columns: list[str] = []
    longest: list[str] = []
    zero = site.add_const([0], "int64")
    for level in reversed(levels):
        rows = level.find_rows(places)
        begins = gather(site, level.splits, rows, INT64, places_type=INT64)
        columns.insert(0, widen(site, site.add("Sub", [places, begins], T=INT64), 0, INT64))
        lengths = join(site, [level.measure(), zero], dtype=INT64)
        axis = site.add_const([0], "int32")
        longest.insert(0, site.add("Max", [lengths, axis], T=INT64, Tidx=INT32, keep_dims=True))
        places = rows
    indices = join(site, [widen(site, places, 0, INT64), *columns, rest], dtype=INT64)
    flat = _make_vector(site, values, dtype)
    dense_shape = [widen(site, levels[0].count, 0, INT64), *longest, cut(site, shape, 1, None, dtype=INT64)]
    return [
        _turn(site, indices),
        flat,
        join(site, dense_shape, dtype=INT64),
    ]


def _make_vector(site: Site, edge: str, dtype: int) -> str:
    return site.add("Reshape", [edge, site.add_const([-1], "int32")], T=dtype, Tshape=INT32)


def _turn(site: Site, matrix: str) -> str:
    return site.add("Transpose", [matrix, site.add_const([1, 0], "int32")], T=INT64, Tperm=INT32)


def _find_places(site: Site, level: Level) -> tuple[str, str]:
    """Finds the row of each value, and its place in that."""
    places = count_to(site, level.count_values(), dtype=INT64)
    rows = level.find_rows(places)
    begins = gather(site, level.splits, rows, INT64, places_type=INT64)
    return rows, site.add("Sub", [places, begins], T=INT64)
