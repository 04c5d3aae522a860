"""The worker: imports what jobs need, once, and forks for each. It reads no model file itself.

What passes through: pairs of sockets from the parent (`servable.confinement.jobs` describes them). It ends,
and its jobs with it, when the parent does. TensorFlow is imported here, but its runtime never woken: no
session and no eager context exists before the fork, which makes a fork as good as a fresh process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import traceback
import warnings
from typing import NoReturn

from servable.confinement.job import run_job
from servable.confinement.lean_tensorflow import fill_op_registry, lighten_imports
from servable.stand_ins import import_whole, is_whole

_DESCRIPTORS = 2  # per request: frames of the job, and the word on it
_REQUEST_S = 60.0
_SIZES = struct.Struct("<QQ")


def main(control_descriptor: int) -> NoReturn:
    """Forks a job for each request until the parent closes its side.

    Args:
        control_descriptor: Socket on which requests come.
    """
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
    lighten_imports()
    control = socket.socket(fileno=control_descriptor)
    control.set_inheritable(False)
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno())
    words: dict[int, socket.socket] = {}
    killed: set[int] = set()
    while True:
        watched = {word: pid for pid, word in words.items() if pid not in killed}
        ready, _, _ = select.select([control, wake, *watched], [], [])
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                wake.recv(4096)
            _reap(words, killed)
        for word in watched.keys() & set(ready):
            # The parent never writes here again: it is done with the job, or gone.
            pid = watched[word]
            if pid in words:
                killed.add(pid)
                _kill(pid)
        if control in ready:
            _, descriptors, _, _ = socket.recv_fds(control, 1, _DESCRIPTORS)
            if len(descriptors) < _DESCRIPTORS:
                break
            frames, word = (socket.socket(fileno=descriptor) for descriptor in descriptors)
            for end in (frames, word):
                end.set_inheritable(False)
            try:
                pid = _fork_job(frames, word, [control, wake, waker, *words.values()], idle=not words)
            except (OSError, ValueError, struct.error):
                # The parent gave up in the middle of its request, or there is no room for another process.
                frames.close()
                word.close()
                continue
            words[pid] = word
    for pid in words:
        _kill(pid)
    os._exit(0)


def _fork_job(frames: socket.socket, word: socket.socket, others: list[socket.socket], *, idle: bool) -> int:
    """Forks; only the parent returns."""
    request = _receive(word)
    missing = [name for name in request["preload"] if not is_whole(name)]
    if idle and missing:  # an import takes long, and a job that runs may have to be killed meanwhile
        for name in missing:
            with contextlib.suppress(Exception):  # a job that needs it says what is wrong
                import_whole(name)
        fill_op_registry()
        gc.collect()
        gc.freeze()  # a collection in the fork would copy all of it
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (word, *others):
                end.close()
            run_job(frames.fileno())
        except BaseException:
            traceback.print_exc()  # into the job's log, from which the parent quotes
        finally:
            sys.stderr.flush()
            os._exit(1)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)  # here too: whoever is first, a kill always finds the group
    frames.close()
    _send(word, {"pid": pid})
    return pid


def _reap(words: dict[int, socket.socket], killed: set[int]) -> None:
    for pid in list(words):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue
        _kill(pid)  # what it left running; not yet waited for, the number is still its own
        _, status = os.waitpid(pid, 0)
        killed.discard(pid)
        with words.pop(pid) as word:
            _send(word, {"code": os.waitstatus_to_exitcode(status)})


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _receive(word: socket.socket) -> dict[str, list[str]]:
    word.settimeout(_REQUEST_S)
    with word.makefile("rb") as stream:
        head_size, _ = _SIZES.unpack(stream.read(_SIZES.size))
        request: dict[str, list[str]] = json.loads(stream.read(head_size))
    return request


def _send(word: socket.socket, head: dict[str, int]) -> None:
    text = json.dumps(head).encode()
    with contextlib.suppress(OSError):
        word.sendall(_SIZES.pack(len(text), 0) + text)
