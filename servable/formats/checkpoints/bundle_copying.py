"""Tensors from one bundle into a new one, as bytes: how the weights of a TF1 model reach its SavedModel.

What passes through: pieces of a few megabytes, each checked against the source's checksum on its way. No
tensor is ever in memory as a whole, and no value is decoded. Only what lies in a V1 checkpoint has to be: it
is taken out of its record slice by slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from servable.errors import BrokenSourceError, ExportError
from servable.formats.checkpoints.bundle_encoding import encode_values
from servable.formats.checkpoints.bundle_entries import BundleEntry, BundleSlice, RecordEntry, TensorBundle
from servable.formats.checkpoints.bundle_index import BUNDLE_VERSION, check_extents
from servable.formats.checkpoints.bundle_streams import find_entry, require_readable, stream_entry
from servable.formats.checkpoints.bundle_values import read_record
from servable.formats.checkpoints.checkpoint_names import index_path, shard_path
from servable.formats.checkpoints.checksums import mask_crc32c
from servable.formats.checkpoints.slices import WHOLE_AXIS, encode_slice_key
from servable.formats.checkpoints.table import write_table
from servable.formats.files import flush_beside, replace_file, require_free_space
from servable.formats.protos import BundleEntryProto, BundleHeaderProto
from servable.model import Progress
from servable.signature import DTYPE_NUMBERS

_STAGE = "variables"

# What a tensor takes in the index beside its name; only to estimate the room on the disk.
_INDEX_ENTRY_BYTES = 128
# What the disk takes in at once is not worth a thread.
_LARGE_BYTES = 32 * 2**20


def copy_tensors(
    bundle: TensorBundle,
    keys: Mapping[str, str],
    out_prefix: Path,
    *,
    progress: Progress | None = None,
) -> int:
    """Copies tensors into a new checkpoint with one data file.

    The data goes first and the index last, each in one move: a checkpoint that is not whole has no index.
    Slices stay slices, under the new name.

    Args:
        bundle: The source.
        keys: New name to name in the source. A tensor may be wanted under several names.
        out_prefix: Path of the new checkpoint without `.index`; its folder has to exist.
        progress: Called with "variables", bytes copied and bytes in all.

    Returns:
        Bytes of the data file.

    Raises:
        BrokenSourceError: The source lacks a tensor or a part of its data, or a checksum is wrong. Nothing
            is left at `out_prefix`.
        ExportError: A name cannot be used, there is a checkpoint at `out_prefix` already, the disk is full or
            cannot be written. Nothing is left at `out_prefix`.

    Example:
        >>> source = open_bundle(Path("model.ckpt-1000"))
        >>> copy_tensors(source, {"w": "w/ExponentialMovingAverage"}, Path("out/variables/variables"))
    """
    entries = {new: find_entry(bundle, old) for new, old in keys.items()}
    _require_sound(bundle, entries)
    out_index, out_data = index_path(out_prefix), shard_path(out_prefix, 0, 1)
    _require_free(out_index, out_data)
    # Of strings in a V1 checkpoint the size is known when they have been read; they are few and short.
    total_bytes = sum(entry.size_bytes for entry in entries.values())
    needed_bytes = total_bytes + sum(len(new.encode()) + _INDEX_ENTRY_BYTES for new in entries)
    require_free_space(out_prefix.parent, needed_bytes)

    beside = flush_beside if total_bytes >= _LARGE_BYTES else nullcontext
    with replace_file(out_data, needed_bytes=needed_bytes) as file, beside(file):
        placed = _copy_data(bundle, entries, file, total_bytes=total_bytes, progress=progress)
    try:
        write_table(out_index, sorted(_encode_index(bundle, placed)))
    except BaseException:
        out_data.unlink(missing_ok=True)
        raise
    return sum(part.size_bytes for entry in placed for part in entry.parts)


def _copy_data(
    bundle: TensorBundle,
    entries: Mapping[str, BundleEntry],
    file: IO[bytes],
    *,
    total_bytes: int,
    progress: Progress | None,
) -> list[BundleEntry]:
    placed = []
    position = 0

    def copy_piece(new: str, piece: BundleEntry) -> BundleEntry:
        nonlocal position
        start = position
        chunks: Iterable[npt.NDArray[np.uint8]]
        if isinstance(piece, RecordEntry):
            sealed = encode_values(read_record(bundle, piece))
            piece = replace(piece, size_bytes=sealed.size_bytes, crc32c=sealed.crc32c)
            chunks = sealed.chunks
        else:
            chunks = stream_entry(bundle, piece)
        for chunk in chunks:
            file.write(chunk.data)
            position += chunk.size
            if progress is not None:
                progress(_STAGE, position, max(position, total_bytes))
        return replace(piece, key=new, shard=0, offset=start)

    # In the order of the source's bytes, so that the disk reads straight on.
    for new, entry in sorted(
        entries.items(), key=lambda item: (item[1].parts[0].shard, item[1].parts[0].offset)
    ):
        if entry.slices:
            slices = tuple(BundleSlice(part.extents, copy_piece(new, part.entry)) for part in entry.slices)
            placed.append(replace(entry, key=new, slices=slices))
        else:
            placed.append(copy_piece(new, entry))
    return placed


def _encode_index(bundle: TensorBundle, entries: list[BundleEntry]) -> Iterator[tuple[bytes, bytes]]:
    header = BundleHeaderProto(num_shards=1)
    header.endianness = BundleHeaderProto.BIG if bundle.byte_order == ">" else BundleHeaderProto.LITTLE
    header.version.producer = BUNDLE_VERSION
    yield b"", header.SerializeToString()
    for entry in entries:
        raw_key = entry.key.encode()
        message = _encode_entry(entry)
        for part in entry.slices:
            slice_message = message.slices.add()
            for start, length in part.extents:
                extent = slice_message.extent.add()
                if length != WHOLE_AXIS:
                    extent.start, extent.length = start, length
            yield encode_slice_key(raw_key, part.extents), _encode_entry(part.entry).SerializeToString()
        yield raw_key, message.SerializeToString()


def _encode_entry(entry: BundleEntry) -> Any:
    message = BundleEntryProto(dtype=DTYPE_NUMBERS[entry.dtype])
    message.shape.SetInParent()
    for size in entry.shape:
        message.shape.dim.add(size=size)
    if not entry.slices:
        message.offset, message.size = entry.offset, entry.size_bytes
        message.crc32c = mask_crc32c(entry.crc32c)
    return message


def _require_sound(bundle: TensorBundle, entries: Mapping[str, BundleEntry]) -> None:
    for new, entry in entries.items():
        if not new or new.startswith("\0"):
            raise ExportError(
                "A variable's name cannot be used in a checkpoint.",
                expected="a name that is not empty and starts with no zero byte",
                received=repr(new),
            )
        for part in entry.parts:
            require_readable(part, where=str(bundle.shards[part.shard]))
    faults = check_extents(replace(bundle, entries=entries))
    if faults:
        raise BrokenSourceError(
            "The checkpoint is not whole.",
            expected="data files with all that the index names",
            received=" ".join(faults),
            where=str(bundle.prefix),
            advice="copy the checkpoint again from where it was written, with all of its files",
        )


def _require_free(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise ExportError(
                "There is a checkpoint at the output path already.",
                expected="a free path",
                received="an existing file",
                where=str(path),
                advice="choose another output folder, or remove this one",
            )
