"""Snappy decompression, for tables that the first releases of TensorFlow compressed.

What passes through: one compressed block comes in, its plain bytes go out. TensorFlow stopped compressing
its tables with release 1.2; nothing here compresses. Format: google/snappy, format_description.txt.
"""

from __future__ import annotations

from typing import Final

from servable.formats.checkpoints.varints import read_varint

# A copy of 64 bytes takes 3 bytes, and no element does better: data that claims more is not snappy.
MAX_EXPANSION: Final = 22


def decompress_snappy(data: bytes) -> bytes:
    """Decompresses one raw snappy block.

    Args:
        data: The block, as it comes, without any framing.

    Raises:
        ValueError: The data is not snappy's. Never more memory is used than the format could have packed.
    """
    size_bytes, position = read_varint(data, 0, len(data))
    if size_bytes > MAX_EXPANSION * len(data):
        raise ValueError(f"{len(data)} compressed bytes cannot hold {size_bytes} bytes")
    out = bytearray()
    while position < len(data):
        tag = data[position]
        position += 1
        if tag & 3 == 0:
            length, position = _read_literal_length(data, tag, position)
            if position + length > len(data):
                raise ValueError("a literal runs over the end")
            out += data[position : position + length]
            position += length
        else:
            length, distance, position = _read_copy(data, tag, position)
            if not 0 < distance <= len(out):
                raise ValueError("a copy reaches before the start")
            # A copy may overlap what it makes: the piece between is repeated as often as needed.
            piece = bytes(out[len(out) - distance : len(out) - distance + length])
            out += (piece * (length // len(piece) + 1))[:length]
        if len(out) > size_bytes:
            break
    if len(out) != size_bytes:
        raise ValueError(f"decompressed to {len(out)} bytes or more where {size_bytes} were announced")
    return bytes(out)


def _read_literal_length(data: bytes, tag: int, position: int) -> tuple[int, int]:
    short = tag >> 2
    if short < 60:
        return short + 1, position
    width = short - 59
    return _read_little_endian(data, position, width) + 1, position + width


def _read_copy(data: bytes, tag: int, position: int) -> tuple[int, int, int]:
    kind = tag & 3
    if kind == 1:
        distance = (tag >> 5) << 8 | _read_little_endian(data, position, 1)
        return (tag >> 2 & 7) + 4, distance, position + 1
    width = 2 if kind == 2 else 4
    return (tag >> 2) + 1, _read_little_endian(data, position, width), position + width


def _read_little_endian(data: bytes, position: int, width: int) -> int:
    if position + width > len(data):
        raise ValueError("the data ends inside an element")
    return int.from_bytes(data[position : position + width], "little")
