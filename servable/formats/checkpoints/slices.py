"""Slices of a partitioned tensor: how they are keyed in an index, and whether they make up the whole.

What passes through: `bundle_index` finds the parts of a tensor with it, `bundle_copying` names them again.
Formats: tensorflow/core/util/saved_tensor_slice_util.cc and tensorflow/core/lib/strings/ordered_code.cc.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

import numpy as np

# One axis of a slice: where it starts and how long it is; (0, WHOLE_AXIS) for all of it.
Extent = tuple[int, int]
WHOLE_AXIS: Final = -1

# Every part is compared with every other when a tensor is cut along more than one axis.
_MAX_PARTS_OF_A_GRID: Final = 4096


def encode_slice_key(name: bytes, extents: Sequence[Extent]) -> bytes:
    """Makes the key under which one slice of a tensor lies in the index.

    Args:
        name: Key of the whole tensor.
        extents: One for each axis.

    Returns:
        A key that sorts before those of all whole tensors, since it starts with a zero byte.
    """
    # Escapes hold the bytes that are escaped themselves, so that replacing one after the other would not do.
    escaped = b"".join(_ESCAPES.get(byte, bytes([byte])) for byte in name)
    numbers = b"".join(_encode_signed(start) + _encode_signed(length) for start, length in extents)
    return _encode_unsigned(0) + escaped + b"\x00\x01" + _encode_unsigned(len(extents)) + numbers


def find_slice_faults(shape: tuple[int, ...], parts: Sequence[Sequence[Extent]]) -> str:
    """Checks that the slices of a tensor lie inside it and make it up, each value once.

    Args:
        shape: Of the whole tensor.
        parts: The extents of every slice.

    Returns:
        What is wrong in plain words, or "" when nothing is.
    """
    for part in parts:
        if len(part) != len(shape):
            return f"a slice has {len(part)} axes where the tensor has {len(shape)}"
        for (start, length), size in zip(part, shape, strict=True):
            whole = length == WHOLE_AXIS and start == 0
            if not whole and (start < 0 or length < 0 or start + length > size):
                return f"a slice takes {length} from {start} of an axis of {size}"
    boxes = [
        [(start, start + (size if length == WHOLE_AXIS else length)) for (start, length), size in pairs]
        for pairs in (list(zip(part, shape, strict=True)) for part in parts)
    ]
    filled = [box for box in boxes if all(end > start for start, end in box)]
    covered = sum(math.prod(end - start for start, end in box) for box in filled)
    if covered != math.prod(shape):
        return f"the slices hold {covered} values where the tensor has {math.prod(shape)}"
    return "two slices overlap" if _any_overlap(shape, filled) else ""


def _any_overlap(shape: tuple[int, ...], boxes: list[list[tuple[int, int]]]) -> bool:
    cut = [axis for axis, size in enumerate(shape) if any(box[axis] != (0, size) for box in boxes)]
    if len(cut) == 1:
        # What partitioners make: sorted neighbours are enough.
        spans = sorted(box[cut[0]] for box in boxes)
        return any(left[1] > right[0] for left, right in itertools.pairwise(spans))
    if len(boxes) > _MAX_PARTS_OF_A_GRID:
        return True
    corners = np.array(boxes, np.int64)
    for number in range(len(boxes) - 1):
        starts, ends = corners[number + 1 :, :, 0], corners[number + 1 :, :, 1]
        meets = (starts < corners[number, :, 1]) & (ends > corners[number, :, 0])
        if bool(meets.all(axis=1).any()):
            return True
    return False


_ESCAPES: Final = {0x00: b"\x00\xff", 0xFF: b"\xff\x00"}


def _encode_unsigned(value: int) -> bytes:
    body = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(body)]) + body


def _encode_signed(value: int) -> bytes:
    # The first bits say how many bytes there are: that many ones, inverted when the number is negative.
    count = (~value if value < 0 else value).bit_length() // 7 + 1
    header = ((1 << count) - 1) << (7 * count)
    return (value & ((1 << 8 * count) - 1) ^ header).to_bytes(count, "big")
