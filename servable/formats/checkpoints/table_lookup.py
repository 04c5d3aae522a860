"""Single keys of a table, without reading the rest of it: what a V1 checkpoint keeps its tensors under.

What passes through: a key comes in, the one block that can hold it is read and checked, its value goes out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from servable.formats.checkpoints.table_blocks import (
    iter_entries,
    read_block,
    read_block_index,
    require_ascending,
)
from servable.formats.files import open_source_file

# Small values share a block of 256 kB and are asked for one after the other; a large one has its own.
_KEPT_BLOCK_BYTES: Final = 2**20


class TableLookup:
    """An opened table; no file stays open, and at most one small block in memory.

    Args:
        path: The table's file.

    Raises:
        BrokenSourceError: It is not a table, is truncated, or its index is damaged.
    """

    __slots__ = ("_blocks", "_kept", "_kept_number", "_last_keys", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_source_file(path) as file:
            blocks = read_block_index(file, path)
        self._last_keys = [key for key, _ in blocks]
        self._blocks = [handle for _, handle in blocks]
        self._kept: Mapping[bytes, memoryview] = {}
        self._kept_number = -1

    def locate(self, key: bytes) -> int:
        """Gives the first byte of the block that can hold a key; keys near one another share a block."""
        number = bisect_left(self._last_keys, key)
        return self._blocks[number].offset if number < len(self._blocks) else 0

    def read(self, key: bytes) -> memoryview | None:
        """Reads one value.

        Returns:
            A view on its block, or None when the table has no such key.

        Raises:
            BrokenSourceError: The block is damaged.
        """
        number = bisect_left(self._last_keys, key)
        if number == len(self._blocks):
            return None
        if number == self._kept_number:
            return self._kept.get(key)
        entries = self._read_entries(number)
        if self._blocks[number].size_bytes <= _KEPT_BLOCK_BYTES:
            self._kept, self._kept_number = entries, number
        return entries.get(key)

    def _read_entries(self, number: int) -> dict[bytes, memoryview]:
        entries: dict[bytes, memoryview] = {}
        last_key: bytes | None = None
        with open_source_file(self.path) as file:
            block = read_block(file, self._blocks[number], self.path)
        for key, value in iter_entries(block, self.path):
            require_ascending(last_key, key, self.path)
            entries[key] = value
            last_key = key
        return entries
