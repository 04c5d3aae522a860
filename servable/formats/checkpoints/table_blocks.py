"""The blocks that a table is made of: read, checked, decompressed, taken apart.

What passes through: an open file comes in, entries of keys and values go out. The layout is LevelDB's
(tensorflow/core/lib/io: format.h, block.cc, table_builder.cc): data blocks with prefix-compressed keys, one
index block that points at them, a footer. Every block carries a checksum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.checksums import extend_crc32c, unmask_crc32c
from servable.formats.checkpoints.snappy import decompress_snappy
from servable.formats.checkpoints.varints import read_varint
from servable.formats.files import open_source_file, read_exactly

# From format.h and table_options.h.
MAGIC: Final = 0xDB4775248B80FB57
FOOTER_BYTES: Final = 48
TRAILER_BYTES: Final = 5
NO_COMPRESSION: Final = 0
RESTART_INTERVAL: Final = 16
_MAGIC_BYTES: Final = 8
_SNAPPY: Final = 1

# Every 16th key is stored in full, so that the keys of a block have at most 16 times its bytes. A block
# with more is made to exhaust the memory; four times as many are allowed for writers of another interval.
_MAX_KEY_EXPANSION: Final = 4 * RESTART_INTERVAL


class BlockHandle(NamedTuple):
    """Where a block lies in its file, without its trailer."""

    offset: int
    size_bytes: int


def is_table(path: Path) -> bool:
    """Says whether a file ends as a table does; a file that cannot be read is none."""
    try:
        with open_source_file(path) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes < FOOTER_BYTES:
                return False
            return _read_bytes(file, size_bytes - _MAGIC_BYTES, _MAGIC_BYTES, path) == MAGIC.to_bytes(
                _MAGIC_BYTES, "little"
            )
    except BrokenSourceError:
        return False


def read_block_index(file: BinaryIO, path: Path) -> list[tuple[bytes, BlockHandle]]:
    """Reads where the data blocks of a table lie.

    Returns:
        For each block, in the file's order, a key that is not less than any of the block's, and its place.
        Every block lies within the file, and no two overlap: many handles on one block would make a small
        file endless.

    Raises:
        BrokenSourceError: The file is not a table, is truncated, or the index's checksum does not fit.
    """
    size_bytes = os.fstat(file.fileno()).st_size
    if size_bytes < FOOTER_BYTES:
        raise broken_table(path, f"{size_bytes} bytes, less than the footer alone")
    footer = _read_bytes(file, size_bytes - FOOTER_BYTES, FOOTER_BYTES, path)
    if int.from_bytes(footer[-_MAGIC_BYTES:], "little") != MAGIC:
        raise broken_table(path, f"the last 8 bytes are {footer[-_MAGIC_BYTES:].hex()}, not a table's")
    _, position = _read_handle(footer, 0, path)  # of the metaindex, which TensorFlow leaves empty
    own_handle, _ = _read_handle(footer, position, path)
    blocks: list[tuple[bytes, BlockHandle]] = []
    end = 0
    for key, value in iter_entries(read_block(file, own_handle, path), path):
        handle, _ = _read_handle(value, 0, path)
        _require_inside(handle, size_bytes, path)
        if handle.offset < end:
            raise broken_table(path, f"the block at byte {handle.offset} overlaps the one before")
        end = handle.offset + handle.size_bytes
        blocks.append((key, handle))
    return blocks


def read_block(file: BinaryIO, handle: BlockHandle, path: Path) -> memoryview:
    """Reads one block, checked and decompressed.

    Raises:
        BrokenSourceError: It lies outside the file, its checksum does not fit, or it does not decompress.
    """
    _require_inside(handle, os.fstat(file.fileno()).st_size, path)
    raw = _read_bytes(file, handle.offset, handle.size_bytes + TRAILER_BYTES, path)
    stored = unmask_crc32c(int.from_bytes(raw[-4:], "little"))
    actual = extend_crc32c(0, np.frombuffer(raw[:-4], np.uint8))
    if stored != actual:
        raise broken_table(
            path, f"the block at byte {handle.offset} has checksum {actual:#010x}, not {stored:#010x}"
        )
    body, compression = raw[:-TRAILER_BYTES], raw[-TRAILER_BYTES]
    if compression == NO_COMPRESSION:
        return body
    if compression != _SNAPPY:
        raise broken_table(path, f"the block at byte {handle.offset} has unknown compression {compression}")
    try:
        return memoryview(decompress_snappy(bytes(body)))
    except ValueError as error:
        raise broken_table(path, f"the block at byte {handle.offset} does not decompress: {error}") from error


def iter_entries(block: memoryview, path: Path) -> Iterator[tuple[bytes, memoryview]]:
    """Takes a block apart.

    Args:
        block: As `read_block` gives it.
        path: Of the table, for the error.

    Yields:
        Keys and values in the block's order, which is not checked; values are views on the block.

    Raises:
        BrokenSourceError: The entries are not laid out as a table's.
    """
    restarts = int.from_bytes(block[-4:], "little")
    limit = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or limit < 0:
        raise broken_table(path, "a block is too short for its own list of restarts")
    key_budget_bytes = _MAX_KEY_EXPANSION * len(block)
    key = b""
    position = 0
    while position < limit:
        try:
            shared, position = read_varint(block, position, limit)
            unshared, position = read_varint(block, position, limit)
            value_bytes, position = read_varint(block, position, limit)
        except ValueError as error:
            raise broken_table(path, f"an entry is damaged: {error}") from error
        middle = position + unshared
        end = middle + value_bytes
        if end > limit or shared > len(key):
            raise broken_table(
                path, f"an entry claims {unshared + value_bytes} bytes where {limit - position} are"
            )
        key = key[:shared] + bytes(block[position:middle])
        key_budget_bytes -= len(key)
        if key_budget_bytes < 0:
            raise broken_table(path, "the keys of a block are far larger than the block")
        yield key, block[middle:end]
        position = end


def require_ascending(last_key: bytes | None, key: bytes, path: Path) -> None:
    """Refuses a key that does not come after the one before it."""
    if last_key is not None and key <= last_key:
        raise broken_table(path, f"key {key!r} comes after {last_key!r}")


def broken_table(path: Path, received: str) -> BrokenSourceError:
    """Makes the error for a table that cannot be read."""
    return BrokenSourceError(
        "This table of a checkpoint is damaged, cut off, or no table.",
        expected="a whole table as TensorFlow writes it",
        received=received,
        where=str(path),
        advice="copy the checkpoint again from where it was written, with all of its files",
    )


def _read_handle(data: memoryview, position: int, path: Path) -> tuple[BlockHandle, int]:
    try:
        offset, position = read_varint(data, position, len(data))
        size_bytes, position = read_varint(data, position, len(data))
    except ValueError as error:
        raise broken_table(path, f"a pointer to a block is damaged: {error}") from error
    return BlockHandle(offset, size_bytes), position


def _require_inside(handle: BlockHandle, file_bytes: int, path: Path) -> None:
    if handle.offset + handle.size_bytes + TRAILER_BYTES > file_bytes - FOOTER_BYTES:
        raise broken_table(
            path, f"a block of {handle.size_bytes} bytes at byte {handle.offset} of {file_bytes}"
        )


def _read_bytes(file: BinaryIO, offset: int, count: int, path: Path) -> memoryview:
    view = np.empty(count, np.uint8).data
    file.seek(offset)
    read_exactly(file, view, path=path)
    return view
