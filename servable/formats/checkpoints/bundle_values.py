"""The tensors of a bundle as arrays, every byte checked against the index's checksum.

What passes through: a bundle and a key come in, values go out, whole or in pieces of a bounded size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from servable.formats.checkpoints.bundle_entries import BundleEntry, RecordEntry, TensorBundle
from servable.formats.checkpoints.bundle_streams import (
    CHUNK_BYTES,
    damaged_entry,
    find_entry,
    require_extent,
    require_readable,
    stream_entry,
)
from servable.formats.checkpoints.slices import WHOLE_AXIS
from servable.formats.checkpoints.string_tensors import StringLayout
from servable.formats.checkpoints.v1_records import decode_record
from servable.formats.dtypes import ITEM_BYTES, to_numpy_dtype, view_values
from servable.formats.files import open_source_file, read_exactly


def read_tensor(bundle: TensorBundle, key: str) -> npt.NDArray[Any]:
    """Reads one tensor, put together when it lies in slices.

    Args:
        bundle: An opened checkpoint.
        key: Name of the tensor in it.

    Returns:
        An array of the tensor's type (quantized types as plain integers, bfloat16 and the like as the types
        of `ml_dtypes`); strings as an object array of bytes.

    Raises:
        BrokenSourceError: There is no such tensor, its type cannot be read, a data file is missing or too
            short, or the bytes do not fit their checksum.
    """
    entry = find_entry(bundle, key)
    if not entry.slices:
        return _read_piece(bundle, entry)
    for piece in entry.parts:  # before room is made for all of them
        require_readable(piece, where=str(bundle.prefix))
        if not isinstance(piece, RecordEntry):
            require_extent(piece, bundle.shards[piece.shard])
    is_string = entry.dtype == "string"
    whole: npt.NDArray[Any] = np.empty(entry.shape, object if is_string else to_numpy_dtype(entry.dtype))
    for part in entry.slices:
        place = tuple(
            slice(None) if length == WHOLE_AXIS else slice(start, start + length)
            for start, length in part.extents
        )
        whole[place] = _read_piece(bundle, part.entry)
    return whole


def iter_values(
    bundle: TensorBundle, key: str, *, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[npt.NDArray[Any]]:
    """Reads one tensor in pieces, so that memory does not grow with it; of a V1 checkpoint, with one slice.

    Args:
        bundle: An opened checkpoint.
        key: Name of the tensor in it.
        chunk_bytes: Most bytes of one piece; a single value may be larger. Strings take 8 bytes more for
            each string of the tensor.

    Yields:
        The values, 1-D, types as in `read_tensor`, row by row; those of a partitioned tensor one slice
        after the other. The checksum is known, and a fault raised, only after the last piece.

    Raises:
        BrokenSourceError: As in `read_tensor`.
    """
    for part in find_entry(bundle, key).parts:
        if isinstance(part, RecordEntry):
            yield from _cut_values(read_record(bundle, part), chunk_bytes)
        elif part.dtype == "string":
            yield from _iter_strings(bundle, part, chunk_bytes)
        else:
            item_bytes = ITEM_BYTES.get(part.dtype, 1)
            piece_bytes = max(chunk_bytes // item_bytes, 1) * item_bytes
            for chunk in stream_entry(bundle, part, chunk_bytes=piece_bytes):
                # A copy, since the stream fills the same buffer again.
                yield view_values(chunk.copy(), part.dtype, bundle.byte_order)


def read_record(bundle: TensorBundle, entry: RecordEntry) -> npt.NDArray[Any]:
    """Reads one slice of a V1 checkpoint.

    Returns:
        The values, 1-D, types as in `read_tensor`; they may be a view on what the bundle keeps.

    Raises:
        BrokenSourceError: As in `read_tensor`.
    """
    table = bundle.tables[entry.shard]
    require_readable(entry, where=str(table.path))
    record = table.read(entry.record_key)
    if record is None:
        raise damaged_entry(entry, "a table without them", str(table.path))
    try:
        return decode_record(record, entry.dtype, math.prod(entry.shape))
    except ValueError as error:
        raise damaged_entry(entry, str(error), str(table.path)) from error


def _read_piece(bundle: TensorBundle, entry: BundleEntry) -> npt.NDArray[Any]:
    if isinstance(entry, RecordEntry):
        return read_record(bundle, entry).reshape(entry.shape).copy()
    path = bundle.shards[entry.shard]
    require_readable(entry, where=str(path))
    require_extent(entry, path)
    is_string = entry.dtype == "string"
    layout = StringLayout(math.prod(entry.shape), bundle.byte_order, keep_lengths=True) if is_string else None
    data = np.empty(entry.size_bytes, np.uint8)
    position = 0
    for chunk in stream_entry(bundle, entry, layout=layout):
        data[position : position + chunk.size] = chunk
        position += chunk.size
    if layout is not None:
        return _split_strings(data[layout.data_offset :], layout.lengths).reshape(entry.shape)
    values = view_values(data, entry.dtype, bundle.byte_order)
    return values.reshape(entry.shape)


def _iter_strings(
    bundle: TensorBundle, entry: BundleEntry, chunk_bytes: int
) -> Iterator[npt.NDArray[np.object_]]:
    layout = StringLayout(math.prod(entry.shape), bundle.byte_order, keep_lengths=True)
    for _ in stream_entry(bundle, entry, layout=layout):
        pass  # The lengths are known, and the checksum is right, when all has passed.
    if not layout.lengths:
        return
    lengths = np.concatenate(layout.lengths)
    path = bundle.shards[entry.shard]
    with open_source_file(path) as file:
        file.seek(entry.offset + layout.data_offset)
        for first, past in _group_strings(lengths, chunk_bytes):
            data = np.empty(int(lengths[first:past].sum()), np.uint8)
            read_exactly(file, data.data, path=path)
            yield _split_strings(data, [lengths[first:past]])


def _cut_values(values: npt.NDArray[Any], chunk_bytes: int) -> Iterator[npt.NDArray[Any]]:
    if values.dtype == object:
        lengths = np.array([len(item) for item in values], np.uint64)
        for first, past in _group_strings(lengths, chunk_bytes):
            yield values[first:past]
        return
    step = max(chunk_bytes // values.itemsize, 1)
    for first in range(0, values.size, step):
        yield values[first : first + step]


def _group_strings(lengths: npt.NDArray[np.uint64], chunk_bytes: int) -> Iterator[tuple[int, int]]:
    ends = np.cumsum(lengths)
    first, done_bytes = 0, 0
    while first < len(lengths):
        past = max(int(np.searchsorted(ends, done_bytes + chunk_bytes, side="right")), first + 1)
        yield first, past
        first, done_bytes = past, int(ends[past - 1])


def _split_strings(
    data: npt.NDArray[np.uint8], lengths: list[npt.NDArray[np.uint64]]
) -> npt.NDArray[np.object_]:
    sizes = [size for piece in lengths for size in piece.tolist()]
    strings = np.empty(len(sizes), object)
    raw = data.tobytes()
    start = 0
    for number, size in enumerate(sizes):
        strings[number] = raw[start : start + size]
        start += size
    return strings
