"""crc32c as TensorFlow's files store it: masked, so that a checksum of data with checksums stays sound.

What passes through: bytes come in, 32-bit numbers go out (tensorflow/core/lib/hash/crc32c.h).
"""

from __future__ import annotations

from typing import Final

import google_crc32c
import numpy as np
import numpy.typing as npt

_MASK_DELTA: Final = 0xA282EAD8  # of crc32c.h


def extend_crc32c(crc: int, data: bytes | npt.NDArray[np.uint8]) -> int:
    """Continues a checksum.

    Args:
        crc: Checksum of what came before, 0 at the start.
        data: What comes next; an array has to be contiguous.

    Returns:
        The checksum of both together, not masked.
    """
    return int(google_crc32c.extend(crc, data))


def mask_crc32c(crc: int) -> int:
    """Turns a checksum into the form that is stored: rotated right by 15 bits, plus a constant."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def unmask_crc32c(masked: int) -> int:
    """Undoes `mask_crc32c`."""
    rotated = (masked - _MASK_DELTA) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF
