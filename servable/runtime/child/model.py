"""One loaded SavedModel in TensorFlow's C API.

What passes through: graph tensors by name and their bytes go in, outputs as bytes or a `StatusError` come
out.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from typing import Any

from .library import (
    INT,
    INT64,
    NOT_FOUND,
    OUT_OF_RANGE,
    PTR,
    RESOURCE_EXHAUSTED,
    STRING,
    UNIMPLEMENTED,
    WITHOUT_VALUES,
    StatusError,
    open_library,
)
from .strings import choose_strings


class _Output(ctypes.Structure):
    """TF_Output of tensorflow/c/c_api.h: a node and which of its outputs."""

    _fields_ = (("oper", PTR), ("index", INT))


class Model:
    """A SavedModel, loaded.

    Args:
        head: The first frame's: library, saved_model_dir, tags, threads.
    """

    def __init__(self, head: dict[str, Any]) -> None:
        self._tf = open_library(head["library"])
        self._strings = choose_strings(self._tf)
        self.version = self._tf.TF_Version().decode()
        self._graph = self._tf.TF_NewGraph()
        options = self._tf.TF_NewSessionOptions()
        if head["threads"]:
            # ConfigProto: intra_op_parallelism_threads is field 2, inter_op_parallelism_threads field 5.
            config = bytes([2 << 3, head["threads"], 5 << 3, head["threads"]])
            self._call("TF_SetConfig", options, config, len(config))
        tags = (ctypes.c_char_p * len(head["tags"]))(*(tag.encode() for tag in head["tags"]))
        where = os.fsencode(head["saved_model_dir"])
        ends = (options, None, where, tags, len(tags), self._graph, None)
        self._session = self._call("TF_LoadSessionFromSavedModel", *ends)

    def run(self, head: dict[str, Any], body: memoryview) -> tuple[dict[str, Any], list[bytes]]:
        """Feeds, runs and fetches once; gives the answer's head and the bytes of each output."""
        feeds, fetches = head["feeds"], head["fetches"]
        values = (PTR * len(feeds))()
        results = (PTR * len(fetches))()
        try:
            offset = 0
            for i, feed in enumerate(feeds):
                values[i] = self._make_tensor(feed, body[offset : offset + feed["size_bytes"]])
                offset += feed["size_bytes"]
            inputs = (_Output * len(feeds))(*(self._find(feed["tensor"]) for feed in feeds))
            outputs = (_Output * len(fetches))(*(self._find(name) for name in fetches))
            started = time.monotonic()
            ends = (inputs, values, len(feeds), outputs, results, len(fetches))
            self._call("TF_SessionRun", self._session, None, *ends, None, 0, None)
            elapsed_s = time.monotonic() - started
            size_bytes = sum(self._tf.TF_TensorByteSize(result) for result in results)
            if size_bytes > head["reply_bytes"]:
                limit = f"more than the {head['reply_bytes']} that one answer may have"
                raise StatusError(OUT_OF_RANGE, f"the outputs take {size_bytes} bytes, {limit}")
            read = [self._read_tensor(result, name) for result, name in zip(results, fetches, strict=True)]
        finally:
            for tensor in (*values, *results):
                if tensor:
                    self._tf.TF_DeleteTensor(tensor)
        return {"outputs": [head for head, _ in read], "elapsed_s": elapsed_s}, [body for _, body in read]

    def _call(self, name: str, *arguments: Any) -> Any:
        status = self._tf.TF_NewStatus()
        try:
            result = getattr(self._tf, name)(*arguments, status)
            code = self._tf.TF_GetCode(status)
            if code:
                raise StatusError(code, self._tf.TF_Message(status).decode("utf-8", "replace"))
        finally:
            self._tf.TF_DeleteStatus(status)
        return result

    def _find(self, tensor: str) -> _Output:
        name, _, index = tensor.partition(":")
        operation = self._tf.TF_GraphOperationByName(self._graph, name.encode())
        # The C API itself does not look at the index.
        output = int(index or 0) if (index or "0").isdecimal() else -1
        if not operation or not 0 <= output < self._tf.TF_OperationNumOutputs(operation):
            raise StatusError(NOT_FOUND, f"the graph has no tensor {tensor!r}")
        return _Output(operation, output)

    def _make_tensor(self, feed: dict[str, Any], body: memoryview) -> int:
        shape, dtype, size_bytes = feed["shape"], feed["dtype"], len(body)
        dims = (INT64 * len(shape))(*shape)
        if dtype == STRING:
            return self._strings.make_tensor(dims, _split_texts(body, feed["count"]))
        tensor = self._tf.TF_AllocateTensor(dtype, dims, len(shape), size_bytes)
        if not tensor:
            raise StatusError(RESOURCE_EXHAUSTED, f"a feed of {size_bytes} bytes could not be allocated")
        if size_bytes:
            source = (ctypes.c_char * size_bytes).from_buffer(body)
            ctypes.memmove(self._tf.TF_TensorData(tensor), source, size_bytes)
        return int(tensor)

    def _read_tensor(self, tensor: int, name: str) -> tuple[dict[str, Any], bytes]:
        dtype = self._tf.TF_TensorType(tensor)
        shape = [self._tf.TF_Dim(tensor, axis) for axis in range(self._tf.TF_NumDims(tensor))]
        size_bytes, data = self._tf.TF_TensorByteSize(tensor), self._tf.TF_TensorData(tensor)
        if dtype in WITHOUT_VALUES:
            raise StatusError(UNIMPLEMENTED, f"{name} is a handle, not values: no client can receive it")
        if dtype == STRING:
            count = 1
            for size in shape:
                count *= size
            texts = self._strings.read_texts(data, size_bytes, count)
            body = struct.pack(f"<{len(texts)}Q", *map(len, texts)) + b"".join(texts)
        else:
            body = ctypes.string_at(data, size_bytes) if size_bytes else b""
        return {"tensor": name, "dtype": dtype, "shape": shape, "size_bytes": len(body)}, body


def _split_texts(body: memoryview, count: int) -> list[bytes]:
    """In the pipe, strings are their lengths (little-endian uint64), then their contents."""
    texts, at = [], count * 8
    for length in struct.unpack_from(f"<{count}Q", body):
        texts.append(bytes(body[at : at + length]))
        at += length
    return texts
