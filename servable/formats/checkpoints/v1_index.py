"""The list of tensors of a V1 checkpoint, which savers wrote before TensorFlow 0.12 or with write_version=V1.

What passes through: a prefix comes in, the same `TensorBundle` as of a V2 checkpoint goes out; no tensor has
been read. Each file is a table whose empty key lists tensors and their slices; every slice lies under a key
of its own. Format: tensorflow/core/util/saved_tensor_slice.proto and tensor_slice_writer.h.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle_entries import BundleEntry, BundleSlice, RecordEntry, TensorBundle
from servable.formats.checkpoints.checkpoint_names import list_v1_paths
from servable.formats.checkpoints.slices import WHOLE_AXIS, Extent, encode_slice_key, find_slice_faults
from servable.formats.checkpoints.snappy import MAX_EXPANSION
from servable.formats.checkpoints.table_blocks import is_table
from servable.formats.checkpoints.table_lookup import TableLookup
from servable.formats.checkpoints.v1_records import least_bytes
from servable.formats.dtypes import ITEM_BYTES, MAX_RANK, MAX_VALUES
from servable.formats.files import require_inside
from servable.formats.protos import SavedTensorSlices, decode_message
from servable.signature import DTYPE_NAMES

_VERSION: Final = 1  # TF_CHECKPOINT_VERSION of tensorflow/core/public/version.h

# Half a million tensors. As messages in memory they take many times their bytes.
_MAX_LIST_BYTES: Final = 64 * 2**20

_MAX_NAMED: Final = 5


@dataclass(slots=True)
class _Found:
    """One tensor, and what each file holds of it."""

    dtype: str
    shape: tuple[int, ...]
    slices: list[tuple[tuple[Extent, ...], int]] = field(default_factory=list)


def open_v1_bundle(prefix: Path) -> TensorBundle:
    """Reads the lists of tensors of all files of a V1 checkpoint.

    Args:
        prefix: The one file, or the pattern of all shards ("model.ckpt-?????-of-00002").

    Raises:
        BrokenSourceError: A file is missing, damaged, cut off or contradicts another or itself.
        UnsafeSourceError: A file is a symbolic link that leaves the folder.
    """
    paths = list_v1_paths(prefix)
    missing = [path.name for path in paths if not os.path.lexists(path)]
    if missing:
        raise BrokenSourceError(
            "The checkpoint is incomplete.",
            expected=f"all {len(paths)} files",
            received=f"no {', '.join(missing[:_MAX_NAMED])}" + (" ..." if len(missing) > _MAX_NAMED else ""),
            where=str(prefix),
            advice="copy the checkpoint again from where it was written, with all of its files",
        )
    for path in paths:
        require_inside(path, prefix.parent)
    tables = tuple(TableLookup(path) for path in paths)
    found: dict[str, _Found] = {}
    for number, table in enumerate(tables):
        _read_list(table, number, found)
    _require_plausible(tables, found)
    entries = {key: _make_entry(key, tensor, tables) for key, tensor in sorted(found.items())}
    return TensorBundle(prefix, MappingProxyType(entries), paths, "<", tables)


def is_v1_file(path: Path) -> bool:
    """Says whether a file is one of a V1 checkpoint, whole or damaged inside; one that is cut off is not."""
    if not is_table(path):
        return False
    try:
        record = TableLookup(path).read(b"")
        message = decode_message(SavedTensorSlices, bytes(record or b""), where=str(path))
    except BrokenSourceError:
        return True
    return bool(message.HasField("meta"))  # The index of a V2 checkpoint is a table too.


def _read_list(table: TableLookup, number: int, found: dict[str, _Found]) -> None:
    record = table.read(b"")
    if record is None or len(record) > _MAX_LIST_BYTES:
        size = "no list" if record is None else f"a list of {len(record)} bytes"
        raise _broken(table.path, size, f"a list of tensors of at most {_MAX_LIST_BYTES} bytes")
    message = decode_message(SavedTensorSlices, bytes(record), where=f"{table.path}, list of tensors")
    if not message.HasField("meta"):
        raise _broken(table.path, "a table of another kind", "a list of tensors under the empty key")
    if message.meta.versions.min_consumer > _VERSION:
        raise _broken(
            table.path, f"version {message.meta.versions.min_consumer}", f"version {_VERSION} of the format"
        )
    for tensor in message.meta.tensor:
        dtype = DTYPE_NAMES.get(tensor.type, f"dtype {tensor.type}")
        shape = _read_shape(tensor, table.path)
        known = found.setdefault(tensor.name, _Found(dtype, shape))
        if (known.dtype, known.shape) != (dtype, shape):
            raise _broken(
                table.path,
                f"{dtype} {list(shape)}",
                f"{known.dtype} {list(known.shape)}, as elsewhere",
                key=tensor.name,
            )
        known.slices += [(_read_extents(part), number) for part in tensor.slice]


def _read_shape(tensor: Any, path: Path) -> tuple[int, ...]:
    shape = tuple([dim.size for dim in tensor.shape.dim])
    if tensor.shape.unknown_rank or any(size < 0 for size in shape):
        raise _broken(path, "a shape with free sizes", "a shape with all sizes known", key=tensor.name)
    if len(shape) > MAX_RANK or math.prod(max(size, 1) for size in shape) > MAX_VALUES:
        raise _broken(
            path, f"{len(shape)} axes of up to {max(shape)}", "the shape of a tensor", key=tensor.name
        )
    return shape


def _read_extents(part: Any) -> tuple[Extent, ...]:
    return tuple(
        [(extent.start, extent.length if extent.HasField("length") else WHOLE_AXIS) for extent in part.extent]
    )


def _require_plausible(tables: Sequence[TableLookup], found: Mapping[str, _Found]) -> None:
    """Refuses lists that promise more than their files can hold, before anybody makes room for it."""
    needed_bytes = [0] * len(tables)
    for key, tensor in found.items():
        fault = find_slice_faults(tensor.shape, [extents for extents, _ in tensor.slices])
        if fault:
            path = tables[tensor.slices[0][1] if tensor.slices else 0].path
            raise _broken(path, fault, f"slices that make up a tensor of shape {tensor.shape}", key=key)
        for extents, number in tensor.slices:
            count = math.prod(_cut_shape(tensor.shape, extents))
            needed_bytes[number] += count * least_bytes(tensor.dtype)
    for table, needed in zip(tables, needed_bytes, strict=True):
        file_bytes = table.path.stat().st_size
        if needed > file_bytes * MAX_EXPANSION:
            raise _broken(table.path, f"{file_bytes} bytes", f"a file with tensors of {needed} bytes")


def _make_entry(key: str, tensor: _Found, tables: Sequence[TableLookup]) -> BundleEntry:
    pieces = []
    for extents, number in tensor.slices:
        record_key = encode_slice_key(key.encode(), extents)
        shape = _cut_shape(tensor.shape, extents)
        count = math.prod(shape)
        size_bytes = count * ITEM_BYTES.get(tensor.dtype, 1)
        offset = tables[number].locate(record_key)
        entry = RecordEntry(key, tensor.dtype, shape, number, offset, size_bytes, 0, record_key=record_key)
        pieces.append(BundleSlice(extents, entry))
    if len(pieces) == 1 and all(extent == (0, WHOLE_AXIS) for extent in pieces[0].extents):
        return pieces[0].entry
    size_bytes = sum(piece.entry.size_bytes for piece in pieces)
    return BundleEntry(key, tensor.dtype, tensor.shape, 0, 0, size_bytes, 0, tuple(pieces))


def _cut_shape(shape: tuple[int, ...], extents: tuple[Extent, ...]) -> tuple[int, ...]:
    pairs = zip(extents, shape, strict=True)
    return tuple([size if length == WHOLE_AXIS else length for (_, length), size in pairs])


def _broken(path: Path, received: str, expected: str, *, key: str = "") -> BrokenSourceError:
    return BrokenSourceError(
        f"The checkpoint contradicts itself about tensor {key!r}."
        if key
        else "The checkpoint is damaged or of another kind.",
        expected=expected,
        received=received,
        where=str(path),
        advice="copy the checkpoint again from where it was written, with all of its files",
    )
