"""Sorted tables of keys and values, the container of checkpoint indexes and of V1 checkpoints.

What passes through: `read_table` yields what `tensorflow::table` wrote, `write_table` writes what it reads.
The layout is in `table_blocks`; single keys are looked up by `table_lookup`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from servable.formats.checkpoints.checksums import extend_crc32c, mask_crc32c
from servable.formats.checkpoints.table_blocks import (
    FOOTER_BYTES,
    MAGIC,
    NO_COMPRESSION,
    RESTART_INTERVAL,
    TRAILER_BYTES,
    iter_entries,
    read_block,
    read_block_index,
    require_ascending,
)
from servable.formats.checkpoints.varints import write_varint
from servable.formats.files import open_source_file, replace_file

_BLOCK_BYTES: Final = 256 * 1024  # table_options.h


def read_table(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Reads a table, one block in memory at a time.

    Args:
        path: The table's file.

    Yields:
        Keys and values, keys strictly ascending.

    Raises:
        BrokenSourceError: The file is not a table, is truncated, or a block's checksum does not fit.
    """
    with open_source_file(path) as file:
        last_key: bytes | None = None
        for _, handle in read_block_index(file, path):
            for key, value in iter_entries(read_block(file, handle, path), path):
                require_ascending(last_key, key, path)
                yield key, bytes(value)
                last_key = key


def write_table(path: Path, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Writes a table that TensorFlow reads; it appears at `path` as a whole or not at all.

    Args:
        path: The file to make.
        items: Keys and values, keys strictly ascending.

    Raises:
        ValueError: The keys are not strictly ascending.
        ExportError: The file cannot be written.
    """
    with replace_file(path) as file:
        index = _BlockBuilder(restart_interval=1)
        block = _BlockBuilder(restart_interval=RESTART_INTERVAL)
        last_key: bytes | None = None
        position = 0

        def write_block(builder: _BlockBuilder) -> bytes:
            nonlocal position
            body = builder.finish() + bytes([NO_COMPRESSION])
            file.write(body + struct.pack("<I", mask_crc32c(extend_crc32c(0, body))))
            handle = write_varint(position) + write_varint(len(body) - 1)
            position += len(body) - 1 + TRAILER_BYTES
            return handle

        for key, value in items:
            if last_key is not None and key <= last_key:
                raise ValueError(f"Table keys have to ascend: {key!r} comes after {last_key!r}.")
            if last_key is not None and block.size_bytes + len(key) + len(value) > _BLOCK_BYTES:
                index.add(last_key, write_block(block))
                block = _BlockBuilder(restart_interval=RESTART_INTERVAL)
            block.add(key, value)
            last_key = key
        if last_key is not None:
            index.add(last_key, write_block(block))
        handles = write_block(_BlockBuilder(restart_interval=1)) + write_block(index)
        file.write(handles.ljust(FOOTER_BYTES - 8, b"\0") + struct.pack("<Q", MAGIC))


class _BlockBuilder:
    """Collects entries of one block."""

    __slots__ = ("_body", "_count", "_last_key", "_restart_interval", "_restarts")

    def __init__(self, *, restart_interval: int) -> None:
        self._body = bytearray()
        self._restarts = [0]
        self._restart_interval = restart_interval
        self._count = 0
        self._last_key = b""

    @property
    def size_bytes(self) -> int:
        return len(self._body) + 4 * len(self._restarts) + 4

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._count and self._count % self._restart_interval == 0:
            self._restarts.append(len(self._body))
        elif self._count:
            shared = len(os.path.commonprefix([key, self._last_key]))  # noqa: RUF071 - bytes, not paths
        self._body += write_varint(shared) + write_varint(len(key) - shared) + write_varint(len(value))
        self._body += key[shared:] + value
        self._last_key = key
        self._count += 1

    def finish(self) -> bytes:
        return bytes(self._body) + struct.pack(
            f"<{len(self._restarts) + 1}I", *self._restarts, len(self._restarts)
        )
