"""TFRecord files: checksummed records one behind the other, plain or gzipped, without TensorFlow.

What passes through: a file or a stream comes in, the records' bytes go out one at a time; the framing is that
of tensorflow/core/lib/io/record_writer.h (length as uint64, its masked CRC-32C, data, the data's masked CRC).
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import google_crc32c

from servable.errors import CheckError

_HEAD = struct.Struct("<QI")
_FOOT_BYTES = 4
_GZIP_MAGIC = b"\x1f\x8b"
_BUFFER_BYTES = 1 << 20
# Added after a rotation by 15 bits, so that a checksum of data that holds checksums is still a good one.
_MASK_DELTA = 0xA282EAD8


def read_record_file(path: Path) -> Iterator[bytes]:
    """Reads a TFRecord file of this machine.

    Raises:
        CheckError: It cannot be read, is damaged, or is no TFRecord file.
    """
    try:
        with path.open("rb") as file:
            yield from read_records(file, where=str(path))
    except OSError as error:
        raise CheckError(
            "A file of examples cannot be read.",
            expected="a TFRecord file, plain or gzipped",
            received=str(error),
            where=str(path),
        ) from error


def read_records(stream: IO[bytes], *, where: str) -> Iterator[bytes]:
    """Reads records from a stream; whether it is gzipped is told by its content.

    Args:
        stream: Binary, at its beginning.
        where: What it is, for an error.

    Raises:
        CheckError: It is damaged, or holds no TFRecords.
    """
    # A buffer of our own: neither gzip's nor every remote file's small reads are cheap.
    source: Any = io.BufferedReader(cast(io.RawIOBase, stream), _BUFFER_BYTES)
    try:
        head = source.peek(_HEAD.size)[: _HEAD.size]
        # By its checksum first: the length of a record may well look like gzip's magic.
        if head.startswith(_GZIP_MAGIC) and not _is_head(head):
            unzipped = io.BufferedReader(gzip.GzipFile(fileobj=source), _BUFFER_BYTES)
            yield from _read_frames(unzipped, where)
        else:
            yield from _read_frames(source, where)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _make_error(f"gzip: {error}", where) from error
    finally:
        # Whoever opened the stream closes it.
        source.detach()


def mask_checksum(data: bytes) -> int:
    """Gives the masked CRC-32C that stands behind a length or a record."""
    checksum = int(google_crc32c.value(data))
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _read_frames(source: Any, where: str) -> Iterator[bytes]:
    number = 0
    while head := source.read(_HEAD.size):
        if not _is_head(head):
            raise _make_error("a length whose checksum is wrong, or half of one", f"{where}, record {number}")
        size_bytes = _HEAD.unpack(head)[0]
        body = _read_body(source, size_bytes + _FOOT_BYTES)
        if len(body) != size_bytes + _FOOT_BYTES:
            raise _make_error("the file ends within a record", f"{where}, record {number}")
        data = body[:size_bytes]
        if mask_checksum(data) != int.from_bytes(body[size_bytes:], "little"):
            raise _make_error("the record's checksum is wrong", f"{where}, record {number}")
        yield data
        number += 1


def _read_body(source: Any, count: int) -> bytes:
    """Reads as many bytes, or those that are there: memory is taken for what has come, not for a promise."""
    if count <= _BUFFER_BYTES:
        return bytes(source.read(count))
    pieces = []
    while count > 0 and (piece := source.read(min(count, _BUFFER_BYTES))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _is_head(head: bytes) -> bool:
    return len(head) == _HEAD.size and mask_checksum(head[:8]) == _HEAD.unpack(head)[1]


def _make_error(received: str, where: str) -> CheckError:
    return CheckError(
        "A file of examples is damaged, or is no TFRecord file.",
        expected="TFRecords, plain or gzipped",
        received=received,
        where=where,
        advice="write the file again, such as with tf.io.TFRecordWriter",
    )
