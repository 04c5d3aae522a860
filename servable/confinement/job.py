"""The fork that converts: sets its own limits, walks the corridor, answers, ends.

What passes through: one request as JSON comes in; lines of progress, then a conversion or an error go out.
Whatever the source, TensorFlow or code of the user's may do, it happens here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from servable.confinement.lean_tensorflow import allow_everything, list_imports
from servable.confinement.limits import SettledLimits
from servable.confinement.values import decode_value, encode_value
from servable.convert import ConversionOptions, convert_source
from servable.errors import ServableError, SourceError
from servable.runtime.frames import FrameChannel
from servable.runtime.tensors import pack_array

# An answer with larger arrays would not fit the parent's frame.
ARRAYS_BYTES = 4 << 30
# What an error says of itself, on its way to the parent.
ERROR_FIELDS = ("problem", "expected", "received", "where", "advice")
_REQUEST_S = 60.0
_PROGRESS_S = 0.1
_TRACEBACK_CHARS = 20_000
# linux/sched.h and linux/prctl.h
_CLONE_NEWUSER, _CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x10000000, 0x40000000, 1


def run_job(descriptor: int) -> NoReturn:
    """Answers the one request that comes on a socket, and ends the process."""
    channel = FrameChannel(descriptor, descriptor)
    request, _ = channel.receive(deadline_s=time.monotonic() + _REQUEST_S)
    limits = decode_value(SettledLimits, request["limits"], [])
    deadline_s = time.monotonic() + limits.time_limit_s
    _settle_in(request)
    _limit_process(limits)
    bodies: list[bytes] = []
    try:
        answer, bodies = _convert(request, channel, deadline_s)
    except ServableError as error:
        answer = _describe_error(_explain_starvation(error) or error)
    # Not Exception: a module of the user's may call sys.exit, and what a hostile file raises is anything.
    except BaseException as error:
        answer = _describe_error(_explain_starvation(error) or _explain_unforeseen(error))
    answer["imports"] = list_imports()
    channel.send(answer, bodies, deadline_s=deadline_s)
    os._exit(0)  # TensorFlow's own tear-down has nothing left to say


def _convert(
    request: dict[str, Any], channel: FrameChannel, deadline_s: float
) -> tuple[dict[str, Any], list[bytes]]:
    last_s = 0.0

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= _PROGRESS_S or done >= total:
            last_s = now_s
            channel.send({"progress": [stage, int(done), int(total)]}, deadline_s=deadline_s)

    options = decode_value(ConversionOptions, request["options"], [])
    if options.source.module or options.source.custom_objects or options.source.replace_layers:
        allow_everything()
    conversion = convert_source(
        Path(request["source"]),
        Path(request["out_dir"]),
        options,
        progress=tell if request["progress"] else None,
    )
    arrays: list[Any] = []
    value = encode_value(conversion, arrays)
    packed = [pack_array(str(number), array) for number, array in enumerate(arrays)]
    bodies = [body for _, body in packed]
    if sum(map(len, bodies)) > ARRAYS_BYTES:
        raise ServableError(
            "The baseline is too large to be handed on.",
            expected=f"at most {ARRAYS_BYTES} bytes of inputs and outputs",
            received=f"{sum(map(len, bodies))} bytes",
            advice="give fewer rows with --inputs FILE.npz, or leave it out with --no-baseline",
        )
    return {"conversion": value, "arrays": [head for head, _ in packed]}, bodies


def _settle_in(request: dict[str, Any]) -> None:
    """Takes over the parent's place, so that relative paths and imports mean what they mean there."""
    # The file is the parent's to make and to remove, as is everything temporary.
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    sys.stdout.flush()
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["TMPDIR"] = request["temporary_dir"]
    tempfile.tempdir = None
    sys.path[:] = request["search_path"]
    with contextlib.suppress(OSError):
        os.chdir(request["working_dir"])


def _limit_process(limits: SettledLimits) -> None:
    with contextlib.suppress(OSError):  # if memory runs out, the kernel shall take this process and no other
        Path("/proc/self/oom_score_adj").write_text("1000")
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    # Not RLIMIT_AS: mapping TensorFlow's libraries alone takes more than 1 GB of addresses.
    _limit(resource.RLIMIT_DATA, limits.memory_bytes)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if not limits.network:
            _leave_network(libc)
        # After that, since a change of credentials would clear it.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (value, value))


def _leave_network(libc: Any) -> None:
    """Moves to a network namespace without any device, where the kernel permits it.

    What a hostile file brought to run could then neither fetch more nor send anything away, not even to this
    machine's own services. It is a further fence, not the gate: containers often forbid it.
    """
    # An administrator needs no namespace of users, and would lose the right to read others' files in one.
    if libc.unshare(_CLONE_NEWNET) == 0:
        return
    user, group = os.getuid(), os.getgid()
    if user == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        return
    # The same numbers inside as outside, so that files go on belonging to whom they belong.
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _describe_error(error: ServableError) -> dict[str, Any]:
    text = "".join(traceback.format_exception(error))
    return {
        "error": type(error).__name__,
        "fields": {name: getattr(error, name) for name in ERROR_FIELDS},
        "traceback": text[-_TRACEBACK_CHARS:],
    }


def _explain_unforeseen(error: BaseException) -> SourceError:
    found = SourceError(
        "Converting this source failed in a way that was not foreseen.",
        received=f"{type(error).__name__}: {error}"[:1000],
        advice="try a fresh copy of the file; --debug shows the traceback, which belongs into a bug report",
    )
    found.__cause__ = error
    return found


def _explain_starvation(error: BaseException) -> SourceError | None:
    """Tells an error that comes of too little memory, whatever the reader took it for."""
    seen: BaseException | None = error
    for _ in range(20):
        if seen is None:
            return None
        if isinstance(seen, MemoryError) or type(seen).__name__ == "ResourceExhaustedError":
            found = SourceError(
                "Converting this source ran out of memory.",
                received=f"{type(seen).__name__}: {seen}"[:500],
                advice="give it more with --memory-limit SIZE, or spare the baseline with --no-baseline",
            )
            found.__cause__ = error
            return found
        seen = seen.__cause__ or seen.__context__
    return None
