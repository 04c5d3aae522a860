"""The layout of string tensors in a bundle, checked while their bytes pass by.

What passes through: the bytes of one entry in pieces of any size. The layout is the strings' lengths as
varints, a checksum of the lengths, then all strings one after the other; the entry's checksum is over the
lengths as plain 32-bit numbers (64-bit ones where needed), the stored checksum, and the strings
(tensorflow/core/util/tensor_bundle/tensor_bundle.cc, WriteStringTensor).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from servable.formats.checkpoints.checksums import extend_crc32c, unmask_crc32c
from servable.formats.checkpoints.varints import MAX_VARINT_BYTES, decode_varints

_CHECKSUM_BYTES = 4


def encode_lengths(lengths: npt.NDArray[np.uint64], byte_order: Literal["<", ">"]) -> bytes:
    """Makes the bytes that the checksum takes for the lengths of strings."""
    short, long = np.dtype(f"{byte_order}u4"), np.dtype(f"{byte_order}u8")
    if lengths.max(initial=0) <= np.iinfo(np.uint32).max:
        return lengths.astype(short).tobytes()
    return b"".join(n.astype(short if n <= np.iinfo(np.uint32).max else long).tobytes() for n in lengths)


class StringLayout:
    """Follows the bytes of one string tensor.

    Args:
        count: Number of strings.
        byte_order: Of the machine that wrote them.
        keep_lengths: Whether the lengths are wanted afterwards; they take 8 bytes for each string.

    Attributes:
        crc32c: Of what has passed, as the entry stores it.
        lengths: Of the strings in bytes, in pieces, uint64; empty unless they are kept.
        data_offset: First byte of the first string, counted from the entry's first byte.
        missing_bytes: How many bytes of strings are still to come; less than 0 when there were too many.
    """

    __slots__ = (
        "_byte_order",
        "_keep",
        "_left",
        "_rest",
        "_trailer",
        "crc32c",
        "data_offset",
        "lengths",
        "missing_bytes",
    )

    def __init__(self, count: int, byte_order: Literal["<", ">"], *, keep_lengths: bool = False) -> None:
        self.crc32c = 0
        self.lengths: list[npt.NDArray[np.uint64]] = []
        self.data_offset = 0
        self.missing_bytes = 0
        self._byte_order = byte_order
        self._keep = keep_lengths
        self._left = count
        self._rest = np.empty(0, np.uint8)
        self._trailer = b""

    @property
    def is_whole(self) -> bool:
        """True when all lengths and exactly the bytes that they promise have passed."""
        return not self._left and len(self._trailer) == _CHECKSUM_BYTES and not self.missing_bytes

    def update(self, chunk: npt.NDArray[np.uint8]) -> None:
        """Takes the next bytes.

        Args:
            chunk: uint8 [bytes].

        Raises:
            ValueError: A length is no number, or the lengths do not fit their checksum.
        """
        if self._left:
            chunk = self._take_lengths(chunk)
        if not self._left and len(self._trailer) < _CHECKSUM_BYTES:
            chunk = self._take_trailer(chunk)
        self.crc32c = extend_crc32c(self.crc32c, chunk)
        self.missing_bytes -= chunk.size

    def _take_lengths(self, chunk: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        data = np.concatenate([self._rest, chunk])
        ends = np.flatnonzero(data < 0x80)[: self._left]
        taken = int(ends[-1]) + 1 if ends.size else 0
        if ends.size:
            lengths = decode_varints(data[:taken], ends)
            self.crc32c = extend_crc32c(self.crc32c, encode_lengths(lengths, self._byte_order))
            self.missing_bytes += sum(lengths.tolist())
            self.data_offset += taken
            self._left -= ends.size
            if self._keep:
                self.lengths.append(lengths)
        if not self._left:
            return data[taken:]
        self._rest = data[taken:]
        if self._rest.size >= MAX_VARINT_BYTES:
            raise ValueError("the length of a string is no number")
        return np.empty(0, np.uint8)

    def _take_trailer(self, chunk: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        missing = _CHECKSUM_BYTES - len(self._trailer)
        self._trailer += chunk[:missing].tobytes()
        if len(self._trailer) == _CHECKSUM_BYTES:
            order: Literal["little", "big"] = "little" if self._byte_order == "<" else "big"
            if unmask_crc32c(int.from_bytes(self._trailer, order)) != self.crc32c:
                raise ValueError("the lengths of the strings do not fit their checksum")
            self.crc32c = extend_crc32c(self.crc32c, self._trailer)
            self.data_offset += _CHECKSUM_BYTES
        return chunk[missing:]
