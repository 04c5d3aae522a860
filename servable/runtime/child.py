"""The child: loads a SavedModel through TensorFlow's C API and runs it, as a server would.

What passes through: frames on stdin, frames on the pipe that was stdout. A frame is a length of head and
body (two little-endian uint64), the head as JSON, the body as raw bytes. Run as ``python -I -S child.py``:
only the standard library and ctypes, so that nothing of Python TensorFlow can help the model along.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import struct
import sys
import threading
import time
from typing import Any, BinaryIO

_FRAME = struct.Struct("<QQ")
_LOG_BYTES = 16 << 20
_PARENT_POLL_S = 1.0

# Numbers of enum DataType (tensorflow/core/framework/types.proto).
_STRING = 7
# sizeof(TF_TString), tensorflow/core/platform/ctstring_internal.h, on 64-bit machines.
_TSTRING_BYTES = 24
# google.rpc codes as in tsl_status.h.
_NOT_FOUND = 5
_RESOURCE_EXHAUSTED = 8
_OUT_OF_RANGE = 11
_UNIMPLEMENTED = 12


class _Output(ctypes.Structure):
    """TF_Output of tensorflow/c/c_api.h: a node and which of its outputs."""

    _fields_ = (("oper", ctypes.c_void_p), ("index", ctypes.c_int))


class _StatusError(Exception):
    """What the C API answered instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


# Function name to result type and argument types, from tensorflow/c/{c_api,tf_tensor,tf_tstring}.h.
_PTR, _INT, _INT64, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_size_t
_DEALLOCATOR = ctypes.CFUNCTYPE(None, _PTR, _SIZE, _PTR)
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "TF_Version": (ctypes.c_char_p, []),
    "TF_NewStatus": (_PTR, []),
    "TF_GetCode": (_INT, [_PTR]),
    "TF_Message": (ctypes.c_char_p, [_PTR]),
    "TF_DeleteStatus": (None, [_PTR]),
    "TF_NewGraph": (_PTR, []),
    "TF_NewSessionOptions": (_PTR, []),
    "TF_SetConfig": (None, [_PTR, ctypes.c_char_p, _SIZE, _PTR]),
    "TF_LoadSessionFromSavedModel": (_PTR, [_PTR, _PTR, ctypes.c_char_p, _PTR, _INT, _PTR, _PTR, _PTR]),
    "TF_GraphOperationByName": (_PTR, [_PTR, ctypes.c_char_p]),
    "TF_OperationNumOutputs": (_INT, [_PTR]),
    "TF_SessionRun": (None, [_PTR, _PTR, _PTR, _PTR, _INT, _PTR, _PTR, _INT, _PTR, _INT, _PTR, _PTR]),
    "TF_AllocateTensor": (_PTR, [_INT, _PTR, _INT, _SIZE]),
    "TF_NewTensor": (_PTR, [_INT, _PTR, _INT, _PTR, _SIZE, _DEALLOCATOR, _PTR]),
    "TF_DeleteTensor": (None, [_PTR]),
    "TF_TensorType": (_INT, [_PTR]),
    "TF_NumDims": (_INT, [_PTR]),
    "TF_Dim": (_INT64, [_PTR, _INT]),
    "TF_TensorByteSize": (_SIZE, [_PTR]),
    "TF_TensorData": (_PTR, [_PTR]),
    "TF_StringInit": (None, [_PTR]),
    "TF_StringCopy": (None, [_PTR, ctypes.c_char_p, _SIZE]),
    "TF_StringGetDataPointer": (_PTR, [_PTR]),
    "TF_StringGetSize": (_SIZE, [_PTR]),
    "TF_StringDealloc": (None, [_PTR]),
}


class _Model:
    """One loaded SavedModel."""

    def __init__(self, head: dict[str, Any]) -> None:
        self._tf = ctypes.CDLL(head["library"], mode=ctypes.RTLD_LOCAL)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._tf, name)
            function.restype, function.argtypes = result, arguments
        self._lent: dict[int, Any] = {}  # buffers of string feeds that the library still uses, by address
        self._take_back = _DEALLOCATOR(self._release_strings)
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
        values = (_PTR * len(feeds))()
        results = (_PTR * len(fetches))()
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
                raise _StatusError(_OUT_OF_RANGE, f"the outputs take {size_bytes} bytes, {limit}")
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
                raise _StatusError(code, self._tf.TF_Message(status).decode("utf-8", "replace"))
        finally:
            self._tf.TF_DeleteStatus(status)
        return result

    def _find(self, tensor: str) -> _Output:
        name, _, index = tensor.partition(":")
        operation = self._tf.TF_GraphOperationByName(self._graph, name.encode())
        # The C API itself does not look at the index.
        output = int(index or 0) if (index or "0").isdecimal() else -1
        if not operation or not 0 <= output < self._tf.TF_OperationNumOutputs(operation):
            raise _StatusError(_NOT_FOUND, f"the graph has no tensor {tensor!r}")
        return _Output(operation, output)

    def _make_tensor(self, feed: dict[str, Any], body: memoryview) -> int:
        shape, dtype, size_bytes = feed["shape"], feed["dtype"], len(body)
        dims = (_INT64 * len(shape))(*shape)
        if dtype == _STRING:
            return self._make_string_tensor(dims, feed["count"], body)
        tensor = self._tf.TF_AllocateTensor(dtype, dims, len(shape), size_bytes)
        if not tensor:
            raise _StatusError(_RESOURCE_EXHAUSTED, f"a feed of {size_bytes} bytes could not be allocated")
        if size_bytes:
            source = (ctypes.c_char * size_bytes).from_buffer(body)
            ctypes.memmove(self._tf.TF_TensorData(tensor), source, size_bytes)
        return int(tensor)

    def _make_string_tensor(self, dims: Any, count: int, body: memoryview) -> int:
        lengths = struct.unpack_from(f"<{count}Q", body)
        buffer = ctypes.create_string_buffer(max(count, 1) * _TSTRING_BYTES)
        data, offset = ctypes.addressof(buffer), count * 8
        for i, length in enumerate(lengths):
            self._tf.TF_StringInit(data + i * _TSTRING_BYTES)
            text = bytes(body[offset : offset + length])
            self._tf.TF_StringCopy(data + i * _TSTRING_BYTES, text, length)
            offset += length
        # The model may keep the tensor (in a variable, say): only the library knows when it is done.
        self._lent[data] = buffer
        size_bytes = count * _TSTRING_BYTES
        return int(self._tf.TF_NewTensor(_STRING, dims, len(dims), data, size_bytes, self._take_back, None))

    def _release_strings(self, data: int, size_bytes: int, _: int | None) -> None:
        for offset in range(0, size_bytes, _TSTRING_BYTES):
            self._tf.TF_StringDealloc(data + offset)
        self._lent.pop(data, None)

    def _read_tensor(self, tensor: int, name: str) -> tuple[dict[str, Any], bytes]:
        dtype = self._tf.TF_TensorType(tensor)
        shape = [self._tf.TF_Dim(tensor, axis) for axis in range(self._tf.TF_NumDims(tensor))]
        size_bytes, data = self._tf.TF_TensorByteSize(tensor), self._tf.TF_TensorData(tensor)
        if dtype in (20, 21):  # DT_RESOURCE, DT_VARIANT
            raise _StatusError(_UNIMPLEMENTED, f"{name} is a handle, not values: no client can receive it")
        if dtype == _STRING:
            items = [data + i * _TSTRING_BYTES for i in range(size_bytes // _TSTRING_BYTES)]
            texts = [
                ctypes.string_at(self._tf.TF_StringGetDataPointer(item), self._tf.TF_StringGetSize(item))
                for item in items
            ]
            body = struct.pack(f"<{len(texts)}Q", *map(len, texts)) + b"".join(texts)
        else:
            body = ctypes.string_at(data, size_bytes) if size_bytes else b""
        return {"tensor": name, "dtype": dtype, "shape": shape, "size_bytes": len(body)}, body


def _limit_process(head: dict[str, Any]) -> None:
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # if memory runs out, the kernel shall take this process and no other
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _LOG_BYTES)  # bounds the log, and whatever a model would write
    if head["memory_bytes"]:
        # Not RLIMIT_AS: mapping the library alone takes more than 1 GB of addresses.
        _limit(resource.RLIMIT_DATA, head["memory_bytes"])


def _limit(kind: int, size: int) -> None:
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        size = min(size, most)  # whoever started this process may have been stricter
    resource.setrlimit(kind, (size, size))


def _measure_peak_bytes() -> int:
    # ru_maxrss would start at the parent's size: Linux carries it over fork and exec.
    with contextlib.suppress(OSError), open("/proc/self/status") as file:  # noqa: PTH123
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _follow_parent(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)


def _read_frame(stream: BinaryIO) -> tuple[dict[str, Any], memoryview] | None:
    sizes = stream.read(_FRAME.size)
    if len(sizes) < _FRAME.size:
        return None
    head_bytes, body_bytes = _FRAME.unpack(sizes)
    head = json.loads(stream.read(head_bytes))
    body = bytearray(body_bytes)
    if stream.readinto(body) < body_bytes:  # type: ignore[attr-defined]
        return None
    return head, memoryview(body)


def _write_frame(stream: BinaryIO, head: dict[str, Any], bodies: list[bytes]) -> None:
    head["peak_memory_bytes"] = _measure_peak_bytes()
    text = json.dumps(head).encode()
    stream.write(_FRAME.pack(len(text), sum(map(len, bodies))) + text)
    for body in bodies:
        stream.write(body)
    stream.flush()


def main() -> None:
    """Answers frames until stdin ends: the first loads, each further one runs."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a model that prints must not print into the protocol
    model: _Model | None = None
    while (frame := _read_frame(requests)) is not None:
        head, body = frame
        started = time.monotonic()
        bodies: list[bytes] = []
        try:
            if model is None:
                threading.Thread(target=_follow_parent, args=(head["parent_pid"],), daemon=True).start()
                _limit_process(head)
                model = _Model(head)
                reply: dict[str, Any] = {"version": model.version, "elapsed_s": time.monotonic() - started}
            else:
                reply, bodies = model.run(head, body)
        except _StatusError as error:
            reply = {"code": error.code, "message": str(error), "elapsed_s": time.monotonic() - started}
        except (OSError, AttributeError) as error:  # no such library, or not TensorFlow's
            reply = {"library_error": str(error), "elapsed_s": 0.0}
        except MemoryError:
            reply = {
                "code": _RESOURCE_EXHAUSTED,
                "message": "the process ran out of memory",
                "elapsed_s": 0.0,
            }
        _write_frame(replies, reply, bodies)
    os._exit(0)  # TensorFlow's own tear-down has nothing left to say


if __name__ == "__main__":
    main()
