"""The index of a tensor bundle: which tensors a V2 checkpoint has and where their bytes lie.

What passes through: a checkpoint's prefix comes in, a `TensorBundle` of plain values goes out, checked for
everything that can be known without reading a tensor. Format: tensorflow/core/util/tensor_bundle and
tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from servable.errors import BrokenSourceError, UnknownSourceError
from servable.formats.checkpoints.bundle_entries import BundleEntry, BundleSlice, TensorBundle
from servable.formats.checkpoints.checkpoint_names import index_path, list_v1_paths, shard_path
from servable.formats.checkpoints.checksums import unmask_crc32c
from servable.formats.checkpoints.slices import WHOLE_AXIS, encode_slice_key, find_slice_faults
from servable.formats.checkpoints.table import read_table
from servable.formats.checkpoints.v1_index import open_v1_bundle
from servable.formats.dtypes import ITEM_BYTES, MAX_RANK, MAX_VALUES
from servable.formats.files import require_inside
from servable.formats.protos import BundleEntryProto, BundleHeaderProto, decode_message
from servable.signature import DTYPE_NAMES

# Version of the format that TensorFlow writes since 1.0 (kTensorBundleVersion).
BUNDLE_VERSION: Final = 1

# Names of shards have five digits for the number.
_MAX_SHARDS: Final = 99_999


def open_bundle(prefix: Path) -> TensorBundle:
    """Reads the index of a V2 checkpoint, or the lists of tensors of a V1 one where there is no index.

    Args:
        prefix: Path without `.index`, such as ``model.ckpt-1000`` or ``variables/variables``; of a V1
            checkpoint the file itself, or the pattern of its shards (``model.ckpt-?????-of-00002``).

    Returns:
        The bundle; no data file has been opened.

    Raises:
        UnknownSourceError: There is no index.
        BrokenSourceError: The index is damaged, cut off or contradicts itself.
        UnsafeSourceError: The index or a data file is a symbolic link that leaves the folder.
    """
    path = index_path(prefix)
    if not os.path.lexists(path):
        if any(part.is_file() for part in list_v1_paths(prefix)):
            return open_v1_bundle(prefix)
        raise UnknownSourceError(
            "There is no index of a checkpoint.",
            expected=f"a file {path.name}",
            received="no such file",
            where=str(path.parent),
            advice="name the checkpoint without .index or .data-00000-of-00001: model.ckpt-1000",
        )
    require_inside(path, prefix.parent)
    records = read_table(path)
    shard_count, byte_order = _read_header(records, path)
    messages = {
        key: decode_message(BundleEntryProto, value, where=f"{path}, {key!r}") for key, value in records
    }
    entries = {}
    for raw_key, message in messages.items():
        if raw_key[:1] != b"\0":  # A key that starts with a zero byte is a slice's.
            entry = _read_entry(raw_key, message, messages=messages, shard_count=shard_count, path=path)
            entries[entry.key] = entry
    shards = tuple(shard_path(prefix, number, shard_count) for number in range(shard_count))
    for shard in shards:
        require_inside(shard, prefix.parent)
    return TensorBundle(prefix, MappingProxyType(entries), shards, byte_order)


def check_extents(bundle: TensorBundle) -> list[str]:
    """Compares the sizes of the data files with what the index says, without reading them.

    Returns:
        One plain sentence for each data file that is missing or too short; empty when all are whole.
    """
    if bundle.tables:
        return []  # A table lists its tensors itself, and has been opened: it is there, up to its last byte.
    last: dict[int, BundleEntry] = {}
    for entry in bundle.entries.values():
        for part in entry.parts:
            known = last.get(part.shard)
            if known is None or part.offset + part.size_bytes > known.offset + known.size_bytes:
                last[part.shard] = part
    faults = []
    for shard, entry in sorted(last.items()):
        path = bundle.shards[shard]
        try:
            status = path.stat()
        except OSError as error:
            is_gone = error.errno in (errno.ENOENT, errno.ENOTDIR)
            why = "is missing" if is_gone else f"cannot be read ({error.strerror})"
            faults.append(f"{path} {why}; tensor {entry.key!r} lies in it.")
            continue
        if not stat.S_ISREG(status.st_mode):
            faults.append(f"{path} is not a plain file; tensor {entry.key!r} should lie in it.")
            continue
        size_bytes = status.st_size
        needed_bytes = entry.offset + entry.size_bytes
        if size_bytes < needed_bytes:
            faults.append(
                f"{path} has {size_bytes} bytes, but the index needs {needed_bytes}: "
                f"tensor {entry.key!r} lies at bytes {entry.offset} to {needed_bytes}."
            )
    return faults


def _read_header(records: Iterable[tuple[bytes, bytes]], path: Path) -> tuple[int, Literal["<", ">"]]:
    key, value = next(iter(records), (None, b""))
    if key != b"":
        raise _broken(path, "no header", "a header as the first entry")
    header = decode_message(BundleHeaderProto, value, where=f"{path}, header")
    if header.version.min_consumer > BUNDLE_VERSION:
        raise _broken(
            path, f"version {header.version.min_consumer}", f"version {BUNDLE_VERSION} of the format"
        )
    if not 0 < header.num_shards <= _MAX_SHARDS:
        raise _broken(path, f"{header.num_shards} data files", f"1 to {_MAX_SHARDS} data files")
    return header.num_shards, ">" if header.endianness == BundleHeaderProto.BIG else "<"


def _read_entry(
    raw_key: bytes, message: Any, *, messages: Mapping[bytes, Any], shard_count: int, path: Path
) -> BundleEntry:
    try:
        key = raw_key.decode()
    except UnicodeDecodeError as error:
        raise _broken(path, f"the key {raw_key!r}", "keys in UTF-8") from error
    if not message.slices:
        return _read_piece(key, message, shard_count=shard_count, path=path)
    shape = _read_shape(key, message, path)
    slices = []
    for slice_message in message.slices:
        extents = tuple(
            (extent.start, extent.length if extent.HasField("length") else WHOLE_AXIS)
            for extent in slice_message.extent
        )
        piece = messages.get(encode_slice_key(raw_key, extents))
        if piece is None or piece.dtype != message.dtype or piece.slices:
            raise _broken(path, f"no such slice {extents}", "an entry for each slice", key=key)
        slices.append(BundleSlice(extents, _read_piece(key, piece, shard_count=shard_count, path=path)))
    fault = find_slice_faults(shape, [part.extents for part in slices])
    for part in slices:
        whole = zip(part.extents, shape, strict=False)
        if not fault and part.entry.shape != tuple(
            n if length == WHOLE_AXIS else length for (_, length), n in whole
        ):
            fault = f"the slice {part.extents} has shape {part.entry.shape}"
    if fault:
        raise _broken(path, fault, f"slices that make up a tensor of shape {shape}", key=key)
    size_bytes = sum(part.entry.size_bytes for part in slices)
    return BundleEntry(key, slices[0].entry.dtype, shape, 0, 0, size_bytes, 0, tuple(slices))


def _read_piece(key: str, message: Any, *, shard_count: int, path: Path) -> BundleEntry:
    shape = _read_shape(key, message, path)
    dtype = DTYPE_NAMES.get(message.dtype, f"dtype {message.dtype}")
    if not 0 <= message.shard_id < shard_count:
        raise _broken(path, f"data file {message.shard_id}", f"a number below {shard_count}", key=key)
    if message.offset < 0 or message.size < 0:
        raise _broken(path, f"{message.size} bytes at byte {message.offset}", "a place in a file", key=key)
    count = math.prod(shape)
    if dtype in ITEM_BYTES and message.size != count * ITEM_BYTES[dtype]:
        expected = f"{count * ITEM_BYTES[dtype]} bytes for {dtype} {list(shape)}"
        raise _broken(path, f"{message.size} bytes", expected, key=key)
    if dtype == "string" and message.size < count:
        raise _broken(
            path, f"{message.size} bytes", f"at least one byte for each of {count} strings", key=key
        )
    crc32c = unmask_crc32c(message.crc32c)
    return BundleEntry(key, dtype, shape, message.shard_id, message.offset, message.size, crc32c)


def _read_shape(key: str, message: Any, path: Path) -> tuple[int, ...]:
    shape = tuple([dim.size for dim in message.shape.dim])
    if message.shape.unknown_rank or any(size < 0 for size in shape):
        raise _broken(path, "a shape with free sizes", "a shape with all sizes known", key=key)
    if len(shape) > MAX_RANK or math.prod(max(size, 1) for size in shape) > MAX_VALUES:
        raise _broken(path, f"{len(shape)} axes of up to {max(shape)}", "the shape of a tensor", key=key)
    return shape


def _broken(path: Path, received: str, expected: str, *, key: str = "") -> BrokenSourceError:
    return BrokenSourceError(
        f"The index of the checkpoint contradicts itself about tensor {key!r}."
        if key
        else "The index of the checkpoint is damaged or of another kind.",
        expected=expected,
        received=received,
        where=str(path),
        advice="copy the checkpoint again from where it was written, with all of its files",
    )
