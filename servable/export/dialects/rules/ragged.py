"""ROOM 2: rows of different length, as a tensor and as a list of places.

They come as one list of values and, for each ragged dimension, where its rows begin and end. Everything here
is said in places of that list: what is gathered from there, and what belongs to a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from servable.export.dialects.rules.shapes import (
    BOOL,
    INT32,
    INT64,
    cast,
    count_to,
    cut,
    gather,
    join,
    pick,
    read_shape,
    reshape,
    stretch,
    widen,
)
from servable.export.dialects.site import Site


@dataclass(frozen=True, slots=True)
class Level:
    """One ragged dimension.

    Attributes:
        site: Where.
        splits: Where each row begins, and where the last one ends: int64 [rows + 1].
        count: Of rows: int64 [].
    """

    site: Site
    splits: str
    count: str

    @classmethod
    def of_splits(cls, site: Site, splits: str) -> Level:
        """Makes it of splits that are there."""
        length = pick(site, read_shape(site, splits, INT64, out_type=INT64), 0, dtype=INT64)
        return cls(site, splits, site.add("Sub", [length, site.add_const(1, "int64")], T=INT64))

    @classmethod
    def of_rows(cls, site: Site, rows: str, count: str) -> Level:
        """Makes it of the row that each value is in, in order, and the number of rows."""
        ones = site.add("OnesLike", [rows], T=INT64)
        lengths = site.add(
            "UnsortedSegmentSum", [ones, rows, count], T=INT64, Tindices=INT64, Tnumsegments=INT64
        )
        return cls(site, sum_lengths(site, lengths), count)

    def measure(self) -> str:
        """Adds the length of each row."""
        ends = cut(self.site, self.splits, 1, None, dtype=INT64)
        begins = cut(self.site, self.splits, None, -1, dtype=INT64)
        return self.site.add("Sub", [ends, begins], T=INT64)

    def count_values(self) -> str:
        """Adds the number of values in all rows."""
        return pick(self.site, self.splits, -1, dtype=INT64)

    def find_rows(self, places: str) -> str:
        """Adds the row of each place among the values."""
        site = self.site
        ends, wanted = (
            widen(site, vector, 0, INT64) for vector in (cut(site, self.splits, 1, None, dtype=INT64), places)
        )
        rows = site.add("UpperBound", [ends, wanted], T=INT64, out_type=INT64)
        return reshape(site, rows, site.add_const([-1], "int32"), INT64)


def sum_lengths(site: Site, lengths: str) -> str:
    """Adds the splits of rows of these lengths, int64."""
    ends = site.add("Cumsum", [lengths, site.add_const(0, "int32")], T=INT64, Tidx=INT32)
    return join(site, [site.add_const([0], "int64"), ends], dtype=INT64)


def replace_ragged_to_tensor(site: Site) -> list[str] | None:
    """Says RaggedTensorToTensor as a gather of the values, with the default behind the last of them."""
    kinds = [kind.decode() for kind in site.read("row_partition_types").list.s]
    shape, values, default, *partitions = site.inputs
    index, dtype, shape_type = (site.read(attr).type for attr in ("Tindex", "T", "Tshape"))
    partitions = [cast(site, partition, index, INT64) for partition in partitions]
    levels = _open_partitions(site, kinds, partitions)
    if levels is None:
        return None

    # A shape without a number for a dimension is as good as one of -1.
    free = site.add_const([-1] * (len(levels) + 1), "int64")
    asked = reshape(site, shape, site.add_const([-1], "int32"), shape_type)
    asked = join(site, [cast(site, asked, shape_type, INT64), free], dtype=INT64)
    zero, one = site.add_const([0], "int64"), site.add_const(1, "int64")

    count = _choose_size(site, pick(site, asked, 0, dtype=INT64), levels[0].count)
    # Row numbers; the number behind the last stands for rows that are not there, which have no values.
    rows = site.add("Minimum", [count_to(site, count, dtype=INT64), levels[0].count], T=INT64)
    value_shape = read_shape(site, values, dtype, out_type=INT64)
    ends = [level.count for level in levels[1:]] + [pick(site, value_shape, 0, dtype=INT64)]
    for number, (level, end) in enumerate(zip(levels, ends, strict=True), start=1):
        lengths = join(site, [level.measure(), zero], dtype=INT64)
        longest = site.add("Max", [lengths, site.add_const(0, "int32")], T=INT64, Tidx=INT32)
        size = _choose_size(site, pick(site, asked, number, dtype=INT64), longest)
        columns = count_to(site, size, dtype=INT64)
        begin, length = (
            widen(site, gather(site, vector, rows, INT64, places_type=INT64), -1, INT64)
            for vector in (level.splits, lengths)
        )
        there = cast(site, site.add("Less", [columns, length], T=INT64), BOOL, INT64)
        # end where it is not there, begin + column where it is
        offset = site.add("Sub", [site.add("Add", [begin, columns], T=INT64), end], T=INT64)
        rows = site.add("Add", [site.add("Mul", [there, offset], T=INT64), end], T=INT64)
    inner = join(
        site, [widen(site, one, 0, INT64), cut(site, value_shape, 1, None, dtype=INT64)], dtype=INT64
    )
    filler = stretch(site, default, inner, dtype, shape_type=INT64)
    filled = join(site, [values, filler], dtype=dtype)
    return [gather(site, filled, rows, dtype, places_type=INT64)]


def _open_partitions(site: Site, kinds: Sequence[str], partitions: Sequence[str]) -> list[Level] | None:
    levels: list[Level] = []
    count = None  # of the next level's rows
    for kind, partition in zip(kinds, partitions, strict=True):
        if kind == "FIRST_DIM_SIZE":
            count = partition
            continue
        if kind == "ROW_SPLITS":
            levels.append(Level.of_splits(site, partition))
        elif kind == "VALUE_ROWIDS" and count is not None:
            levels.append(Level.of_rows(site, partition, count))
        else:
            return None
        count = levels[-1].count_values()
    return levels or None


def _choose_size(site: Site, asked: str, natural: str) -> str:
    """Adds a size that was asked for, or the natural one where that is -1: int64 []."""
    known = site.add("GreaterEqual", [asked, site.add_const(0, "int64")], T=INT64)
    return site.add("Select", [known, asked, natural], T=INT64)
