"""The child process as the parent sees it: started bare, spoken to with deadlines, ended for sure.

What passes through: frames (`servable.runtime.frames`) over two pipes, and the child's log
in a temporary file. The child leads its own process group, and the whole group is killed at the end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from servable.errors import CheckError
from servable.formats.scratch import ScratchDir
from servable.runtime.ends import read_log_end
from servable.runtime.frames import FrameChannel

_CHILD = Path(__file__).with_name("child")
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")


class ChildProcess:
    """One bare Python process that runs `servable.runtime.child`."""

    def __init__(self) -> None:
        if not sys.executable:
            raise CheckError(
                "The runtime needs a Python executable to start.", received="sys.executable is empty"
            )
        self._directory = ScratchDir(prefix="servable-runtime-")
        self._log_path = Path(self._directory.name) / "log"
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        # Same answers on every machine, and a log that is only about what went wrong.
        environment |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "1"}
        with self._log_path.open("wb") as log:
            self._popen = subprocess.Popen(
                # -I: neither the user's environment nor this folder can put modules in the child's way.
                [sys.executable, "-I", "-S", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._directory.name,
                env=environment,
                start_new_session=True,
            )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._channel = FrameChannel(self._popen.stdout.fileno(), self._popen.stdin.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def ask(
        self, head: dict[str, Any], bodies: list[bytes], *, time_limit_s: float, reply_bytes: int
    ) -> tuple[dict[str, Any], memoryview]:
        """Sends one frame and waits for the answer.

        Args:
            head: JSON values.
            bodies: Written one after the other.
            time_limit_s: For all of it.
            reply_bytes: An answer that announces more is not taken.

        Raises:
            DeadlineExceededError: The time is over.
            ChildEndedError: The child ended, or speaks another language than ours.
        """
        deadline_s = time.monotonic() + time_limit_s
        self._channel.send(head, bodies, deadline_s=deadline_s)
        return self._channel.receive(deadline_s=deadline_s, body_bytes=reply_bytes)

    def read_log(self) -> str:
        """Gives the end of what the child wrote to its log."""
        return read_log_end(self._log_path)

    def wait_for_end(self, time_limit_s: float) -> int | None:
        """Gives the exit code, a negative signal number, or None while the child still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(time_limit_s)
        return None

    def stop(self) -> None:
        """Ends the child and whatever it started, while another thread may be waiting for its answer.

        That thread is told of the end, and calls `kill`: nobody else may close pipes that it reads.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # Not yet waited for, the number still belongs to the group, even if the child has ended.
            if self._popen.returncode is None:
                os.killpg(self._popen.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Ends the child and whatever it started, and tidies up; safe to call twice."""
        self.stop()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._directory.cleanup()
