"""Starts work in forks of a process that has imported all, kills them, and looks for what outlives them.

What passes through: a function and a folder come in; the fork's end goes out, and the processes that were
left. One confinement worker serves all forks, so that a conversion costs no import of TensorFlow: it tells
its jobs' parents apart by their sockets, as it does in one process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from servable.confinement import jobs

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
# For what a killed process leaves running to notice and to end.
OUTLIVE_S: Final = 20.0
_POLL_S: Final = 0.02


class Stage:
    """This process as the place where work is forked and killed; there is one at a time."""

    def __init__(self) -> None:
        # What a killed fork started becomes a child of this process, and so is found.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._worker: Any = jobs.Worker()
        self._worker_pid: int = self._worker._popen.pid

    def start(self, act: Callable[[Path], int], folder: Path) -> int:
        """Forks, and lets the fork do its work in a folder, where its words go to `log`.

        Returns:
            The fork's number.
        """
        (folder / "tmp").mkdir(exist_ok=True)
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for stream in (1, 2):
                os.dup2(log, stream)
            os.environ["TMPDIR"] = str(folder / "tmp")
            tempfile.tempdir = None
            self._adopt_worker()
            code = act(folder)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def finish(self, pid: int) -> int:
        """Waits for a fork's own end and gives its exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def kill_after(self, pid: int, delay_s: float) -> bool:
        """Kills a process after a while.

        Returns:
            Whether it still ran.
        """
        deadline_s = time.monotonic() + delay_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            time.sleep(min(left_s, _POLL_S))
        os.kill(pid, signal.SIGKILL)
        return self.finish(pid) == -signal.SIGKILL

    def count_outliving(self) -> tuple[int, float]:
        """Waits for everything to end that forks have started.

        Returns:
            How many processes had not after `OUTLIVE_S`, which are killed then; and how long it took, in
            seconds.
        """
        began_s = time.monotonic()
        while True:
            left = self._list_left()
            waited_s = time.monotonic() - began_s
            if not left or waited_s > OUTLIVE_S:
                break
            time.sleep(_POLL_S)
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return len(left), waited_s

    def close(self) -> None:
        """Ends the worker."""
        self._worker.close()

    def _adopt_worker(self) -> None:
        """In a fork: takes the stage's worker for its own."""
        self._worker.owner = os.getpid()
        # Imports of TFX have changed the environment since.
        self._worker.settings = jobs._read_import_settings()
        self._worker._popen = SimpleNamespace(poll=lambda: None)
        jobs._place.worker = self._worker

    def _list_left(self) -> list[int]:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if ended.si_pid == self._worker_pid:
                    raise RuntimeError("the worker that all forks share has ended")
                os.waitpid(ended.si_pid, 0)
        parents = dict(_list_parents())
        own = {os.getpid(), self._worker_pid}
        found: set[int] = set()
        while more := {pid for pid, parent in parents.items() if parent in own | found} - own - found:
            found |= more
        return sorted(found)


def _list_parents() -> list[tuple[int, int]]:
    """Lists all processes with their parents."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name of a process stands in parentheses and may hold anything.
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                found.append((int(entry.name), int(fields[1])))
    return found
