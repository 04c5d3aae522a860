"""The bytes of a bundle's entries, checked against the index's checksum as they pass.

What passes through: a bundle and one of its entries come in, pieces of a bounded size go out. Values are made
of them in `bundle_values`, new checkpoints in `bundle_copying`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle_entries import BundleEntry, RecordEntry, TensorBundle
from servable.formats.checkpoints.checksums import extend_crc32c
from servable.formats.checkpoints.string_tensors import StringLayout
from servable.formats.dtypes import ITEM_BYTES
from servable.formats.files import open_source_file, read_exactly

# What is read, checked and written in turn stays in the cache of a processor.
CHUNK_BYTES: Final = 2**20


def find_entry(bundle: TensorBundle, key: str) -> BundleEntry:
    """Looks a tensor up.

    Raises:
        BrokenSourceError: The checkpoint has none of this name; the nearest names are in the message.
    """
    try:
        return bundle.entries[key]
    except KeyError:
        near = difflib.get_close_matches(key, bundle.entries, n=3)
        raise BrokenSourceError(
            f"The checkpoint has no tensor {key!r}.",
            expected=f"a tensor {key!r} among {len(bundle.entries)}",
            received="names near it: " + ", ".join(near) if near else "no name near it",
            where=str(bundle.prefix),
            advice="name one of its tensors: servable inspect lists them",
        ) from None


def stream_entry(
    bundle: TensorBundle,
    entry: BundleEntry,
    *,
    chunk_bytes: int = CHUNK_BYTES,
    layout: StringLayout | None = None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Reads the bytes of an entry that lies in one piece, and checks them as they pass.

    Args:
        bundle: An opened checkpoint.
        entry: One of its entries or slices.
        chunk_bytes: Size of the buffer.
        layout: For strings, what follows them, when the caller wants to ask it afterwards.

    Yields:
        Views on one buffer, uint8, valid until the next one is asked for.

    Raises:
        BrokenSourceError: As in `read_tensor`. Raised after the last piece when the checksum is wrong.
    """
    path = bundle.shards[entry.shard]
    require_readable(entry, where=str(path))
    if layout is None and entry.dtype == "string":
        layout = StringLayout(math.prod(entry.shape), bundle.byte_order)
    crc32c = 0
    with open_source_file(path) as file:
        require_extent(entry, path)
        file.seek(entry.offset)
        left = entry.size_bytes
        buffer = np.empty(min(chunk_bytes, left), np.uint8)
        while left:
            chunk = buffer[: min(chunk_bytes, left)]
            read_exactly(file, chunk.data, path=path)
            left -= chunk.size
            if layout is None:
                crc32c = extend_crc32c(crc32c, chunk)
            else:
                try:
                    layout.update(chunk)
                except ValueError as error:
                    raise damaged_entry(entry, str(error), str(path)) from error
            yield chunk
    if layout is not None and entry.size_bytes:
        crc32c = layout.crc32c
        if not layout.is_whole:
            raise damaged_entry(entry, "the strings and their lengths do not fit together", str(path))
    if crc32c != entry.crc32c:
        raise damaged_entry(
            entry, f"checksum {crc32c:#010x}, where the index has {entry.crc32c:#010x}", str(path)
        )


def require_readable(entry: BundleEntry, *, where: str) -> None:
    """Refuses types whose bytes mean nothing outside the process that wrote them.

    Raises:
        BrokenSourceError: The entry is a resource, a variant, or of a type that is not known here.
    """
    if entry.dtype != "string" and entry.dtype not in ITEM_BYTES:
        raise BrokenSourceError(
            f"Tensor {entry.key!r} has a type that cannot be read from a checkpoint.",
            expected="numbers, truth values or strings",
            received=entry.dtype,
            where=where,
            advice="it is no weight: leave it out of the model, or write the checkpoint without it",
        )


def require_extent(entry: BundleEntry, path: Path) -> None:
    """Refuses an entry that its data file is too short for.

    Raises:
        BrokenSourceError: The file is missing or ends before the entry does.
    """
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise damaged_entry(entry, error.strerror or str(error), str(path)) from error
    if entry.offset + entry.size_bytes > size_bytes:
        raise damaged_entry(entry, f"the data file has only {size_bytes} bytes", str(path))


def damaged_entry(entry: BundleEntry, received: str, where: str) -> BrokenSourceError:
    """Makes the error for an entry whose data cannot be used."""
    place = f"from byte {entry.offset} that fit the index's checksum"
    if isinstance(entry, RecordEntry):
        place = f"of values in a record of the block at byte {entry.offset}"
    return BrokenSourceError(
        f"The data of tensor {entry.key!r} is damaged or missing.",
        expected=f"{entry.size_bytes} bytes {place}",
        received=received,
        where=where,
        advice="copy the checkpoint again from where it was written, or take an earlier step",
    )
