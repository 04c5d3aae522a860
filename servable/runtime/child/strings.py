"""String tensors as the C API has laid them out over time, three forms.

What passes through: texts come in, a tensor's bytes go out, and the other way round. Which form it is, is
told by the functions that the library has, not by its version.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

from .library import DEALLOCATOR, INVALID_ARGUMENT, PTR, RESOURCE_EXHAUSTED, SIZE, STRING, StatusError

# TF_TString of tensorflow/core/platform/ctstring_internal.h, on 64-bit little-endian machines. The two lowest
# bits of its first byte say what it is; the size is above them.
_TSTRING_BYTES = 24
_KIND_BITS = 2
_SMALL, _LARGE, _OFFSET, _VIEW = range(4)
_SMALL_CAPACITY = _TSTRING_BYTES - 2  # a byte for the size, one for the zero at the end


class OffsetStrings:
    """The form of TensorFlow 1 to 2.3: offsets (uint64), then each text behind its length (varint)."""

    def __init__(self, library: Any) -> None:
        self._tf = library

    def make_tensor(self, dims: Any, texts: Sequence[bytes]) -> int:
        """Makes a tensor; `TF_DeleteTensor` ends it."""
        offsets, at = [], 0
        pieces = []
        for text in texts:
            offsets.append(at)
            piece = _write_varint(len(text)) + text
            pieces.append(piece)
            at += len(piece)
        body = struct.pack(f"<{len(offsets)}Q", *offsets) + b"".join(pieces)
        tensor = self._tf.TF_AllocateTensor(STRING, dims, len(dims), len(body))
        if not tensor:
            raise StatusError(RESOURCE_EXHAUSTED, f"a feed of {len(body)} bytes could not be allocated")
        if body:
            ctypes.memmove(self._tf.TF_TensorData(tensor), body, len(body))
        return int(tensor)

    def read_texts(self, data: int, size_bytes: int, count: int) -> list[bytes]:
        """Reads a tensor's texts."""
        body = ctypes.string_at(data, size_bytes) if size_bytes else b""
        if count * 8 > len(body):
            raise StatusError(INVALID_ARGUMENT, f"{count} texts do not fit into {size_bytes} bytes")
        texts = []
        for offset in struct.unpack_from(f"<{count}Q", body):
            length, at = _read_varint(body, count * 8 + offset)
            texts.append(body[at : at + length])
        return texts


class ObjectStrings:
    """The form since TensorFlow 2.4: an array of `TF_TString`; exported functions handle them since 2.5."""

    def __init__(self, library: Any) -> None:
        self._tf = library
        self._exported = hasattr(library, "TF_StringInit")
        self._lent: dict[int, Any] = {}  # buffers of feeds that the library still uses, by address
        self._take_back = DEALLOCATOR(self._release)
        self._heap: Any = ctypes.CDLL(None)
        self._heap.malloc.restype, self._heap.malloc.argtypes = PTR, [SIZE]
        self._heap.free.restype, self._heap.free.argtypes = None, [PTR]

    def make_tensor(self, dims: Any, texts: Sequence[bytes]) -> int:
        """Makes a tensor; `TF_DeleteTensor` ends it."""
        buffer = ctypes.create_string_buffer(max(len(texts), 1) * _TSTRING_BYTES)
        data = ctypes.addressof(buffer)
        for i, text in enumerate(texts):
            self._write(data + i * _TSTRING_BYTES, text)
        # The model may keep the tensor (in a variable, say): only the library knows when it is done.
        self._lent[data] = buffer
        size_bytes = len(texts) * _TSTRING_BYTES
        return int(self._tf.TF_NewTensor(STRING, dims, len(dims), data, size_bytes, self._take_back, None))

    def read_texts(self, data: int, size_bytes: int, count: int) -> list[bytes]:
        """Reads a tensor's texts."""
        if count * _TSTRING_BYTES > size_bytes:
            raise StatusError(INVALID_ARGUMENT, f"{count} texts do not fit into {size_bytes} bytes")
        return [self._read(data + i * _TSTRING_BYTES) for i in range(count)]

    def _write(self, item: int, text: bytes) -> None:
        size = len(text)
        if self._exported:
            self._tf.TF_StringInit(item)
            self._tf.TF_StringCopy(item, text, size)
        elif size <= _SMALL_CAPACITY:
            ctypes.memmove(item, bytes([size << _KIND_BITS | _SMALL]) + text + b"\0", size + 2)
        else:
            capacity = (size + 16) // 16 * 16 - 1
            where = self._heap.malloc(capacity + 1)
            if not where:
                raise StatusError(RESOURCE_EXHAUSTED, f"a text of {size} bytes could not be allocated")
            ctypes.memmove(where, text + b"\0", size + 1)
            ctypes.memmove(
                item, struct.pack("<QQQ", size << _KIND_BITS | _LARGE, capacity, where), _TSTRING_BYTES
            )

    def _read(self, item: int) -> bytes:
        if self._exported:
            return ctypes.string_at(self._tf.TF_StringGetDataPointer(item), self._tf.TF_StringGetSize(item))
        raw = ctypes.string_at(item, _TSTRING_BYTES)
        kind = raw[0] & (1 << _KIND_BITS) - 1
        if kind == _SMALL:
            return raw[1 : 1 + (raw[0] >> _KIND_BITS)]
        if kind == _OFFSET:
            size, distance = struct.unpack_from("<II", raw)
            return ctypes.string_at(item + distance, size >> _KIND_BITS)
        size, second, third = struct.unpack("<QQQ", raw)
        return ctypes.string_at(second if kind == _VIEW else third, size >> _KIND_BITS)

    def _release(self, data: int, size_bytes: int, _: int | None) -> None:
        for item in range(data, data + size_bytes, _TSTRING_BYTES):
            if self._exported:
                self._tf.TF_StringDealloc(item)
            else:
                raw = ctypes.string_at(item, _TSTRING_BYTES)
                if raw[0] & (1 << _KIND_BITS) - 1 == _LARGE:
                    self._heap.free(struct.unpack("<QQQ", raw)[2])
        self._lent.pop(data, None)


def choose_strings(library: Any) -> OffsetStrings | ObjectStrings:
    """Gives the form that a library's string tensors have."""
    return OffsetStrings(library) if hasattr(library, "TF_StringEncodedSize") else ObjectStrings(library)


def _write_varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(body) or shift > 63:
            raise StatusError(INVALID_ARGUMENT, "a text lies outside its tensor")
        byte = body[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
