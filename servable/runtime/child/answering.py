"""The child's ears and mouth: frames in, frames out, and the limits that it sets to itself.

What passes through: a frame is a length of head and body (two little-endian uint64), the head as JSON, the
body as raw bytes. The first frame loads the model, each further one runs it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import struct
import sys
import threading
import time
from typing import Any, BinaryIO

from .library import RESOURCE_EXHAUSTED, StatusError
from .model import Model

_FRAME = struct.Struct("<QQ")
_LOG_BYTES = 16 << 20
_PARENT_POLL_S = 1.0


def main() -> None:
    """Answers frames until stdin ends."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a model that prints must not print into the protocol
    model: Model | None = None
    while (frame := _read_frame(requests)) is not None:
        head, body = frame
        started = time.monotonic()
        bodies: list[bytes] = []
        try:
            if model is None:
                threading.Thread(target=_follow_parent, args=(head["parent_pid"],), daemon=True).start()
                _limit_process(head)
                model = Model(head)
                reply: dict[str, Any] = {"version": model.version, "elapsed_s": time.monotonic() - started}
            else:
                reply, bodies = model.run(head, body)
        except StatusError as error:
            reply = {"code": error.code, "message": str(error), "elapsed_s": time.monotonic() - started}
        except (OSError, AttributeError) as error:  # no such library, or not TensorFlow's
            reply = {"library_error": str(error), "elapsed_s": 0.0}
        except MemoryError:
            reply = {
                "code": RESOURCE_EXHAUSTED,
                "message": "the process ran out of memory",
                "elapsed_s": 0.0,
            }
        _write_frame(replies, reply, bodies)
    os._exit(0)  # TensorFlow's own tear-down has nothing left to say


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
