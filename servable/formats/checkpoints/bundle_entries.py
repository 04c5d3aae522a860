"""What a tensor bundle is made of: plain values that the index fills and readers and copiers take.

What passes through: keys, types, shapes and places of tensors. Nothing here opens a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from servable.formats.checkpoints.checkpoint_names import index_path
from servable.formats.checkpoints.slices import Extent
from servable.formats.checkpoints.table_lookup import TableLookup

# Key under which a TF2 checkpoint keeps its object graph, which holds names and no weights
# (tensorflow/python/trackable/base.py).
OBJECT_GRAPH_KEY: Final = "_CHECKPOINTABLE_OBJECT_GRAPH"


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One tensor, or one slice of it, as the index has it.

    Attributes:
        key: Name of the tensor in the checkpoint.
        dtype: TensorFlow's name of the type, such as "float32".
        shape: Sizes of all axes.
        shard: Number of the data file; of no meaning for a tensor in slices.
        offset: First byte in the data file; of no meaning for a tensor in slices.
        size_bytes: Bytes in the data files.
        crc32c: Checksum as the format defines it for the type, not masked.
        slices: The parts of a partitioned tensor; empty for one that lies in one piece.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size_bytes: int
    crc32c: int
    slices: tuple[BundleSlice, ...] = ()

    @property
    def parts(self) -> tuple[BundleEntry, ...]:
        """The pieces that lie in one place each: the slices, or the entry itself."""
        return tuple(part.entry for part in self.slices) or (self,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEntry(BundleEntry):
    """A tensor, or one slice of it, that is a record in a table of a V1 checkpoint.

    `offset` is the first byte of the record's block, `size_bytes` what the values take in memory (a string
    at least 1), and `crc32c` 0: the block carries the checksum.

    Attributes:
        record_key: Where the record lies in the table of its shard.
    """

    record_key: bytes


@dataclass(frozen=True, slots=True)
class BundleSlice:
    """One part of a partitioned tensor.

    Attributes:
        extents: Start and length on each axis, ``(0, WHOLE_AXIS)`` for all of it.
        entry: Where the part lies; its shape is the part's.
    """

    extents: tuple[Extent, ...]
    entry: BundleEntry


@dataclass(frozen=True, slots=True)
class TensorBundle:
    """An opened checkpoint of either format.

    Attributes:
        prefix: As `servable.formats.checkpoints.checkpoint_names` has it; for TensorFlow's restore ops see
            `servable.formats.checkpoints.restore_paths`.
        entries: Key to entry of every whole tensor, by key; slices are found in their tensor's entry.
        shards: The data files, by number; they need not exist (see `check_extents`).
        byte_order: "<" or ">", of the machine that wrote it.
        tables: The data files of a V1 checkpoint, opened; empty for a V2 one.
    """

    prefix: Path
    entries: Mapping[str, BundleEntry]
    shards: tuple[Path, ...]
    byte_order: Literal["<", ">"]
    tables: tuple[TableLookup, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All data files, and the index of a V2 checkpoint."""
        return self.shards if self.tables else (index_path(self.prefix), *self.shards)
