"""Values as the bytes of a V2 checkpoint, with the checksum that its index stores.

What passes through: arrays come in, which were decoded from another format; pieces of bytes go out.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from servable.formats.checkpoints.checksums import extend_crc32c, mask_crc32c
from servable.formats.checkpoints.string_tensors import encode_lengths
from servable.formats.checkpoints.varints import write_varint

_CHUNK_BYTES: Final = 8 * 2**20


class EncodedValues(NamedTuple):
    """One tensor or slice, ready to be written.

    Attributes:
        chunks: uint8 arrays, views on one buffer, in the order of the data file.
        size_bytes: Of all chunks.
        crc32c: As the format defines it for the type, not masked.
    """

    chunks: list[npt.NDArray[np.uint8]]
    size_bytes: int
    crc32c: int


def encode_values(values: npt.NDArray[Any]) -> EncodedValues:
    """Lays values out for a little-endian checkpoint.

    Args:
        values: 1-D, numbers or an object array of bytes.
    """
    if values.dtype == object:
        data, crc32c = _encode_strings(values.tolist())
    else:
        data = np.ascontiguousarray(values).view(np.uint8)
        crc32c = extend_crc32c(0, data)
    chunks = [data[start : start + _CHUNK_BYTES] for start in range(0, data.size, _CHUNK_BYTES)]
    return EncodedValues(chunks, data.size, crc32c)


def _encode_strings(strings: list[bytes]) -> tuple[npt.NDArray[np.uint8], int]:
    # See `string_tensors` for the layout.
    sizes = [len(item) for item in strings]
    lengths_crc32c = extend_crc32c(0, encode_lengths(np.array(sizes, np.uint64), "<"))
    trailer = mask_crc32c(lengths_crc32c).to_bytes(4, "little")
    body = b"".join(strings)
    crc32c = extend_crc32c(extend_crc32c(lengths_crc32c, trailer), body)
    head = b"".join(map(write_varint, sizes))
    return np.frombuffer(head + trailer + body, np.uint8), crc32c
