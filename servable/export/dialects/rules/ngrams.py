"""ROOM 2: neighbouring words of a row, joined."""

from __future__ import annotations

from servable.export.dialects.rules.ragged import Level, sum_lengths
from servable.export.dialects.rules.shapes import (
    INT32,
    INT64,
    STRING,
    cast,
    count_to,
    gather,
    join,
    read_shape,
    reshape,
    widen,
)
from servable.export.dialects.site import Site


def replace_ngrams(site: Site) -> list[str] | None:
    """Says StringNGrams without padding as joins of gathered words.

    Each row and width is a cell with as many results as the row has runs of that width; each result knows its
    cell, and so the word that it begins with.
    """
    widths = [int(width) for width in site.read("ngram_widths").list.i]
    if site.read("pad_width").i or site.read("preserve_short_sequences").b or not widths or min(widths) < 1:
        return None
    words, splits = site.inputs
    splits_type = site.read("Tsplits").type
    rows = Level.of_splits(site, cast(site, splits, splits_type, INT64))
    less = site.add_const([width - 1 for width in widths], "int64")
    counts = site.add("Sub", [widen(site, rows.measure(), 1, INT64), less], T=INT64)
    counts = site.add("Maximum", [counts, site.add_const(0, "int64")], T=INT64)
    flat = reshape(site, counts, site.add_const([-1], "int32"), INT64)
    cells = Level.of_splits(site, sum_lengths(site, flat))

    results = count_to(site, cells.count_values(), dtype=INT64)
    cell = cells.find_rows(results)
    number = site.add_const(len(widths), "int64")
    row = site.add("FloorDiv", [cell, number], T=INT64)
    width = site.add("Sub", [cell, site.add("Mul", [row, number], T=INT64)], T=INT64)
    begin, first = (
        gather(site, s, r, INT64, places_type=INT64) for s, r in ((rows.splits, row), (cells.splits, cell))
    )
    begin = site.add("Add", [begin, site.add("Sub", [results, first], T=INT64)], T=INT64)

    # One empty word at the end is what a result of few words has in the place of more.
    padded = join(site, [words, site.add_const([b""], "string")], dtype=STRING)
    last = reshape(site, read_shape(site, words, STRING, out_type=INT64), site.add_const([], "int32"), INT64)
    found = []
    for shift in range(max(widths)):
        place = site.add("Add", [begin, site.add_const(shift, "int64")], T=INT64)
        place = site.add("Minimum", [place, last], T=INT64)
        found.append(gather(site, padded, place, STRING, places_type=INT64))
    joined = [
        site.add("StringJoin", found[:count], N=count, separator=site.read("separator").s) for count in widths
    ]
    result = joined[0]
    for which, text in enumerate(joined[1:], start=1):
        is_it = site.add("Equal", [width, site.add_const(which, "int64")], T=INT64)
        result = site.add("Select", [is_it, text, result], T=STRING)
    per_row = site.add("Sum", [counts, site.add_const([1], "int32")], T=INT64, Tidx=INT32)
    return [result, cast(site, sum_lengths(site, per_row), INT64, splits_type)]
