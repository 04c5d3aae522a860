"""The worker and its jobs as the parent sees them: started once, spoken to with deadlines, ended for sure.

What passes through: for each job two sockets go to the worker (`servable.confinement.worker`), which forks.
One carries frames to and from the fork, the other the worker's own word on it: its number, and how it ended.
As soon as the parent closes its side of the second, the worker kills the fork's whole process group.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from servable.errors import ServableError
from servable.formats.scratch import ScratchDir
from servable.runtime.ends import read_log_end
from servable.runtime.frames import ChildEndedError, DeadlineExceededError, FrameChannel

# The worker takes this process' search path, so that it imports what would be imported here; -P keeps the
# current folder out until then.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from servable.confinement.worker import main; main(int(sys.argv[1]))"
)
_START_S = 600.0  # an import of TensorFlow on a busy machine is the longest part
_END_S = 30.0
# Libraries read these when they are imported, which a running worker has done.
_IMPORT_VARIABLES = ("KERAS_", "TF_", "XLA_", "CUDA_", "PYTHON", "LD_", "OMP_", "OPENBLAS_", "HOME")


class Worker:
    """A process that forks for each job, so that many jobs cost one import of TensorFlow."""

    def __init__(self) -> None:
        if not sys.executable:
            raise ServableError(
                "Converting needs a Python executable to start.", received="sys.executable is empty"
            )
        self.owner = os.getpid()
        self.settings = _read_import_settings()
        self._control, theirs = socket.socketpair()
        self._directory = ScratchDir(prefix="servable-worker-")
        self._log_path = Path(self._directory.name) / "log"
        environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
        search_path = [entry for entry in sys.path if isinstance(entry, str)]
        command = [sys.executable, "-P", "-c", _BOOT, str(theirs.fileno()), json.dumps(search_path)]
        with theirs, self._log_path.open("wb") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is the parent's to act on
            )

    @property
    def usable(self) -> bool:
        """True while this process may send it jobs."""
        alive = self.owner == os.getpid() and self._popen.poll() is None
        return alive and self.settings == _read_import_settings()

    def start_job(self, preload: list[str]) -> Job:
        """Asks for a fork.

        Args:
            preload: Modules to import before, which jobs have needed so far.

        Raises:
            ServableError: The worker does not answer.
        """
        frames, their_frames = socket.socketpair()
        word, their_word = socket.socketpair()
        job = Job(frames, word)
        try:
            with their_frames, their_word:
                socket.send_fds(self._control, [b"j"], [their_frames.fileno(), their_word.fileno()])
            job.start(preload)
        except (OSError, ChildEndedError, DeadlineExceededError) as error:
            job.close()
            raise ServableError(
                "The process that converts could not be started.",
                received=read_log_end(self._log_path) or repr(error),
                where=sys.executable,
            ) from error
        except BaseException:
            job.close()
            raise
        return job

    def close(self) -> None:
        """Ends the worker and its jobs; safe to call twice."""
        if self.owner != os.getpid():
            self._control.close()
            self._popen.returncode = 0  # not a child of this process
            self._directory.forget()
            return
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        try:
            self._popen.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._directory.cleanup()


class Job:
    """One fork of the worker; ends with its block."""

    def __init__(self, frames: socket.socket, word: socket.socket) -> None:
        self._sockets = (frames, word)
        self.channel = FrameChannel(frames.fileno(), frames.fileno())
        self._word = FrameChannel(word.fileno(), word.fileno())
        self._running = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def start(self, preload: list[str]) -> None:
        """Waits until the worker has forked."""
        deadline_s = time.monotonic() + _START_S
        self._word.send({"preload": preload}, deadline_s=deadline_s)
        self._word.receive(deadline_s=deadline_s)
        self._running = True

    def end(self) -> int | None:
        """Kills the job's processes if they still run.

        Returns:
            The exit code, or the negative number of the signal; None where nobody could say.
        """
        if not self._running:
            return None
        self._running = False
        with contextlib.suppress(OSError):
            self._sockets[1].shutdown(socket.SHUT_WR)
        try:
            end, _ = self._word.receive(deadline_s=time.monotonic() + _END_S)
        except (ChildEndedError, DeadlineExceededError):
            return None
        code: int | None = end.get("code")
        return code

    def wait_for_end(self, time_limit_s: float) -> int | None:
        """Gives the exit code of a job that is about to end by itself, and kills it when it does not."""
        try:
            end, _ = self._word.receive(deadline_s=time.monotonic() + time_limit_s)
        except (ChildEndedError, DeadlineExceededError):
            return self.end()
        self._running = False
        code: int | None = end.get("code")
        return code

    def close(self) -> None:
        """Ends the job; safe to call twice."""
        self.end()
        for end in self._sockets:
            end.close()


@dataclass(slots=True)
class _Place:
    """This process' one worker."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    worker: Worker | None = None
    preload: set[str] = field(default_factory=set)

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None


_place = _Place()


def start_job() -> Job:
    """Starts a job in this process' worker, and the worker itself where it does not run yet.

    Raises:
        ServableError: No process can be started.
    """
    with _place.lock:
        if _place.worker is None or not _place.worker.usable:
            _place.close()
            _place.worker = Worker()
        worker, preload = _place.worker, sorted(_place.preload)
    return worker.start_job(preload)


def note_imports(modules: Iterable[str]) -> None:
    """Lets the worker import these before it forks again."""
    with _place.lock:
        _place.preload.update(modules)


def count_preloads() -> int:
    """Counts the modules that the worker imports before its next job, or has imported."""
    with _place.lock:
        return len(_place.preload)


def end_worker() -> None:
    """Ends this process' worker and its jobs; the next conversion starts another."""
    _place.close()


def _forget_worker() -> None:
    """In a fork of this process: the worker is the parent's, and must see that the parent ends."""
    _place.lock = threading.Lock()
    _place.close()


def _read_import_settings() -> Any:
    return {name: value for name, value in os.environ.items() if name.startswith(_IMPORT_VARIABLES)}


atexit.register(end_worker)
os.register_at_fork(after_in_child=_forget_worker)
