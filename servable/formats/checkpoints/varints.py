"""Variable-length integers: seven bits in each byte, lowest first, the top bit set on all but the last.

What passes through: blocks of a table and lengths of string tensors (tensorflow/core/lib/core/coding.h).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

MAX_VARINT_BYTES: Final = 10  # of a 64-bit number


def read_varint(data: bytes | memoryview, position: int, limit: int) -> tuple[int, int]:
    """Reads one number of at most 64 bits.

    Args:
        data: Where it lies.
        position: Its first byte.
        limit: The first byte that is no longer allowed to belong to it, at most ``len(data)``.

    Returns:
        The number, and the position after it.

    Raises:
        ValueError: It does not end before `limit`, or has more than 64 bits.
    """
    value = 0
    for shift in range(0, 7 * MAX_VARINT_BYTES, 7):
        if position >= limit:
            raise ValueError("a number runs over the end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, position
    raise ValueError("a number has more than 64 bits")


def write_varint(value: int) -> bytes:
    """Encodes one number that is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varints(data: npt.NDArray[np.uint8], ends: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """Decodes many numbers that lie one after the other.

    Args:
        data: uint8 [bytes].
        ends: Position of the last byte of each number, at least one, ascending, the last one the last of
            `data`.

    Returns:
        The numbers, uint64 [numbers].

    Raises:
        ValueError: One has more than 64 bits.
    """
    starts = np.concatenate([[0], ends[:-1] + 1])
    widths = ends - starts + 1
    longest = int(widths.max())
    if longest > MAX_VARINT_BYTES or np.any(data[ends[widths == MAX_VARINT_BYTES]] > 1):
        raise ValueError("a number has more than 64 bits")
    values = np.zeros(len(ends), np.uint64)
    for place in range(longest):
        has_place = widths > place
        group = data[starts[has_place] + place].astype(np.uint64) & np.uint64(0x7F)
        values[has_place] |= group << np.uint64(7 * place)
    return values
