"""tf.Examples as columns: what many rows hold of the features that are wanted.

What passes through: serialized tf.Examples come in, an `ExampleBatch` of flat columns goes out. A row that
lacks a feature, has more or fewer values than others, or does not parse is told apart, not refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from servable.formats.protos import Example

# Of a row whose feature is of another kind than those before it in the batch.
OTHER_KIND = -1
_DTYPES: Mapping[str, Any] = MappingProxyType({"float_list": np.float32, "int64_list": np.int64})


@dataclass(frozen=True, slots=True)
class Column:
    """One feature of many rows.

    Attributes:
        values: float32, int64, or object of bytes, all rows' values one behind the other.
        lengths: int64 [rows], how many values each row has: 0 for none, `OTHER_KIND` for another kind.
    """

    values: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True, slots=True)
class ExampleBatch:
    """Rows that are looked at together.

    Attributes:
        size: How many.
        columns: By feature; one that no row has may be missing.
        serialized: The rows as they were stored, where they are known.
        broken: Positions of rows that are no tf.Examples.
        origin: Name of their file, "" where that is not known.
        first: Number of the first one within the file.
    """

    size: int
    columns: Mapping[str, Column]
    serialized: Sequence[bytes] = ()
    broken: frozenset[int] = frozenset()
    origin: str = ""
    first: int = 0


@dataclass(slots=True)
class _Growing:
    kind: str
    values: list[Any] = field(default_factory=list)


def parse_examples(
    records: Sequence[bytes], features: Iterable[str], *, origin: str = "", first: int = 0
) -> ExampleBatch:
    """Parses rows.

    Args:
        records: Serialized tf.Examples.
        features: Names of those that are wanted; others are not looked at.
        origin: Name of their file.
        first: Number of the first one within it.
    """
    wanted = tuple(features)
    lengths = {name: np.zeros(len(records), np.int64) for name in wanted}
    growing: dict[str, _Growing] = {}
    broken = []
    for position, record in enumerate(records):
        try:
            held = Example.FromString(record).features.feature
        except DecodeError:
            broken.append(position)
            continue
        for name in wanted:
            # Looking up a name that is not there would put it there.
            if name not in held:
                continue
            feature = held[name]
            kind = feature.WhichOneof("kind")
            values = getattr(feature, kind).value if kind else ()
            if not values:
                continue
            column = growing.setdefault(name, _Growing(kind))
            if column.kind != kind:
                lengths[name][position] = OTHER_KIND
                continue
            column.values.extend(values)
            lengths[name][position] = len(values)
    columns = {name: Column(_make_array(found), lengths[name]) for name, found in growing.items()}
    return ExampleBatch(len(records), columns, records, frozenset(broken), origin, first)


def batch_records(records: Iterable[bytes], rows: int) -> Iterator[tuple[int, list[bytes]]]:
    """Gathers records.

    Args:
        records: One after the other.
        rows: At most so many together.

    Yields:
        Number of the first one, and the records.
    """
    first = 0
    batch: list[bytes] = []
    for record in records:
        batch.append(record)
        if len(batch) == rows:
            yield first, batch
            first, batch = first + rows, []
    if batch:
        yield first, batch


def _make_array(found: _Growing) -> np.ndarray:
    if found.kind != "bytes_list":
        return np.array(found.values, dtype=_DTYPES[found.kind])
    array = np.empty(len(found.values), dtype=object)
    array[:] = found.values
    return array
