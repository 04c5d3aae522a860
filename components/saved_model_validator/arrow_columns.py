"""Arrow's record batches, in which tfx-bsl reads any payload, as the columns that the checks take.

What passes through: serialized tf.Examples or a RecordBatch come in, an `ExampleBatch` goes out, whose values
are not copied where Arrow allows it. tfx-bsl's decoder takes a tenth of the time of the one in Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from servable.formats.tf_examples import Column, ExampleBatch, parse_examples

# Name of the column in which tfx-bsl is asked to leave the rows as they were stored.
RAW_COLUMN = "__serialized_row__"


class ExamplesDecoder:
    """Decodes serialized tf.Examples.

    Args:
        features: Those that are wanted.
    """

    def __init__(self, features: Iterable[str]) -> None:
        self._features = tuple(features)
        self._decoder = ExamplesToRecordBatchDecoder()

    def decode(self, records: Sequence[bytes], *, origin: str, first: int) -> ExampleBatch:
        """Decodes rows.

        Args:
            records: Serialized tf.Examples.
            origin: Name of their file.
            first: Number of the first one within it.
        """
        try:
            found = read_columns(self._decoder.DecodeBatch(records), self._features)
        except (ValueError, RuntimeError):
            # It refuses the batch for one row; ours tells which one.
            return parse_examples(records, self._features, origin=origin, first=first)
        return ExampleBatch(len(records), found, records, origin=origin, first=first)


def read_batch(batch: pa.RecordBatch, features: Iterable[str]) -> ExampleBatch:
    """Reads a RecordBatch of any payload.

    Args:
        batch: One column of lists for each feature.
        features: Those that are wanted.
    """
    raw: Sequence[bytes] = ()
    if RAW_COLUMN in batch.schema.names:
        raw = batch.column(batch.schema.names.index(RAW_COLUMN)).flatten().to_pylist()
    return ExampleBatch(batch.num_rows, read_columns(batch, features), raw)


def read_columns(batch: pa.RecordBatch, features: Iterable[str]) -> dict[str, Column]:
    """Reads the wanted columns; one that has no value at all is left out."""
    places = {name: place for place, name in enumerate(batch.schema.names)}
    found = ((name, _read_column(batch.column(places[name]))) for name in features if name in places)
    return {name: column for name, column in found if column is not None}


def _read_column(array: Any) -> Column | None:
    if not _is_list(array.type):
        # Parquet may have one plain value a row.
        array = pa.LargeListArray.from_arrays(np.arange(len(array) + 1), array)
    if pa.types.is_null(array.type.value_type):
        return None
    lengths = _count(array)
    values = array.flatten()
    while _is_list(values.type):
        # A sequence of lists: all of a row's values, one behind the other.
        inner = np.concatenate([[0], np.cumsum(_count(values))])
        ends = np.cumsum(lengths)
        lengths = inner[ends] - inner[ends - lengths]
        values = values.flatten()
    flat = values.to_numpy(zero_copy_only=False)
    if flat.dtype.kind == "f" and flat.dtype != np.float32:
        flat = flat.astype(np.float32)
    elif flat.dtype.kind in "iub":
        flat = flat.astype(np.int64, copy=False)
    elif flat.dtype == object:
        flat = _make_bytes(flat)
    return Column(flat, lengths)


def _count(array: Any) -> np.ndarray:
    counts = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(counts, dtype=np.int64)


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _make_bytes(values: np.ndarray) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = [value.encode() if isinstance(value, str) else value for value in values.tolist()]
    return made
