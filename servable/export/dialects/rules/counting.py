"""ROOM 2: how often each number occurs, in a vector or in each row of a matrix.

TensorFlow 1 counts in vectors only. A number of a row becomes one place in a list of all counts, into which
ones or weights are summed.
"""

from __future__ import annotations

from servable.export.dialects.rules.ragged import Level
from servable.export.dialects.rules.shapes import (
    BOOL,
    INT32,
    INT64,
    cast,
    count_to,
    cut,
    join,
    multiply_up,
    pick,
    read_shape,
    reshape,
    widen,
)
from servable.export.dialects.site import Site


def replace_dense_bincount(site: Site) -> list[str] | None:
    """Says DenseBincount of a vector or a matrix as a sum into places."""
    numbers, size, weights = site.inputs
    shape = read_shape(site, numbers, site.read("Tidx").type, out_type=INT64)
    lead = cut(site, shape, None, -1, dtype=INT64)
    rows = multiply_up(site, lead, dtype=INT64)
    columns = multiply_up(site, cut(site, shape, -1, None, dtype=INT64), dtype=INT64)
    row_numbers = count_to(site, pick(site, rows, 0, dtype=INT64), dtype=INT64)
    times = join(site, [site.add_const([1], "int64"), columns], dtype=INT64)
    spread = site.add("Tile", [widen(site, row_numbers, 1, INT64), times], T=INT64, Tmultiples=INT64)
    return [_count(site, _flatten(site, spread, INT64), numbers, size, weights, rows=rows, lead=lead)]


def replace_ragged_bincount(site: Site) -> list[str] | None:
    """Says RaggedBincount as a sum into places."""
    splits, numbers, size, weights = site.inputs
    level = Level.of_splits(site, splits)
    length = pick(site, read_shape(site, numbers, site.read("Tidx").type, out_type=INT64), 0, dtype=INT64)
    row_numbers = level.find_rows(count_to(site, length, dtype=INT64))
    rows = widen(site, level.count, 0, INT64)
    return [_count(site, row_numbers, numbers, size, weights, rows=rows, lead=rows)]


def replace_sparse_bincount(site: Site) -> list[str] | None:
    """Says SparseBincount of a vector or a matrix as a sum into places."""
    indices, numbers, shape, size, weights = site.inputs
    lead = cut(site, shape, None, -1, dtype=INT64)
    rows = multiply_up(site, lead, dtype=INT64)
    # A vector's values are all in row 0: its index is shifted out by the one dimension that it lacks.
    padded = site.add("Pad", [indices, site.add_const([[0, 0], [1, 0]], "int32")], T=INT64, Tpaddings=INT32)
    ends = [site.add_const(pair, "int32") for pair in ([0, -2], [0, -1], [1, 1])]
    row_numbers = site.add(
        "StridedSlice", [padded, *ends], T=INT64, Index=INT32, begin_mask=1, end_mask=1, shrink_axis_mask=2
    )
    return [_count(site, row_numbers, numbers, size, weights, rows=rows, lead=lead)]


def _count(
    site: Site, row_numbers: str, numbers: str, size: str, weights: str, *, rows: str, lead: str
) -> str:
    """Adds the counts.

    Args:
        site: Where.
        row_numbers: The row of each number: int64 [as many].
        numbers: As many, in any shape.
        size: Of a row of counts.
        weights: As many as numbers, or none at all.
        rows: How many: int64 [1].
        lead: What comes before the size in the shape of the result: int64 [0 or 1].
    """
    index, dtype = site.read("Tidx").type, site.read("T").type
    numbers = _flatten(site, cast(site, numbers, index, INT64), INT64)
    size = _flatten(site, cast(site, size, index, INT64), INT64)
    total = site.add("Mul", [rows, size], T=INT64)
    places = _place(site, row_numbers, numbers, size, total)
    values = cast(site, site.add("OnesLike", [numbers], T=INT64), INT64, dtype)
    is_binary = site.read("binary_output").b
    if not is_binary:
        # As many as there are numbers: weights, or ones where there are no weights.
        values = join(site, [_flatten(site, weights, dtype), values], dtype=dtype)
        values = cut(site, values, None, read_shape(site, numbers, INT64), dtype=dtype)
    segments = pick(site, total, 0, dtype=INT64)
    counts = site.add(
        "UnsortedSegmentSum", [values, places, segments], T=dtype, Tindices=INT64, Tnumsegments=INT64
    )
    if is_binary:
        nothing = site.add("ZerosLike", [counts], T=dtype)
        counts = cast(site, site.add("Greater", [counts, nothing], T=dtype), BOOL, dtype)
    return reshape(site, counts, join(site, [lead, size], dtype=INT64), dtype, shape_type=INT64)


def _place(site: Site, row_numbers: str, numbers: str, size: str, total: str) -> str:
    """Adds the place of each number in the list of all counts: int64 [numbers].

    A number that is too large is left out, as place -1 is. A negative one is refused, as the place behind the
    last is.
    """
    one = site.add_const(1, "int64")
    place = site.add("Add", [site.add("Mul", [row_numbers, size], T=INT64), numbers], T=INT64)
    is_negative = site.add("Less", [numbers, site.add_const(0, "int64")], T=INT64)
    is_small = site.add("Less", [numbers, size], T=INT64)
    fits = site.add("LogicalAnd", [is_small, site.add("LogicalNot", [is_negative])])
    kept, refused = (
        site.add("Mul", [cast(site, truth, BOOL, INT64), site.add("Add", [number, one], T=INT64)], T=INT64)
        for truth, number in ((fits, place), (is_negative, total))
    )
    return site.add("Sub", [site.add("Add", [kept, refused], T=INT64), one], T=INT64)


def _flatten(site: Site, tensor: str, dtype: int) -> str:
    return reshape(site, tensor, site.add_const([-1], "int32"), dtype)
