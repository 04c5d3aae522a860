"""A task's work in a process of its own: its lines go into the task's log, and it never outlives the task.

What passes through: a command comes in, lines go to a callable, an exit code goes out. Airflow forks its
tasks from processes full of threads, where TensorFlow may hang; in a new interpreter it does not. Only the
standard library here.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

# Time to write down that the work was stopped, before it is stopped for good.
GRACE_S: Final = 20


def run_process(
    command: Sequence[str], take_line: Callable[[str], None], *, environment: Mapping[str, str]
) -> int:
    """Runs a command in a process group of its own, to its end.

    When this call is left by an exception, such as a timeout's, the whole group is ended: asked first,
    and killed after `GRACE_S`. When this very process is killed, the command's stdin ends, which
    `die_with_parent` sees.

    Args:
        command: Program and arguments.
        take_line: Called with every line of its stdout and stderr.
        environment: All of its variables.

    Returns:
        Its exit code; of a process that a signal ended, the signal's number, negative.
    """
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(environment),
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            take_line(line.rstrip("\n"))
        return process.wait()
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    # Also what an ended process has left behind.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def die_with_parent(grace_s: float = GRACE_S) -> None:
    """Ends this process and its group once stdin ends, which is when the process that started it is gone.

    SIGTERM becomes an exception here, so that what is begun can be taken back; after the grace all is killed.

    Args:
        grace_s: Seconds between the two.
    """
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_wait_for_end, args=(grace_s,), daemon=True).start()


def _wait_for_end(grace_s: float) -> None:
    with contextlib.suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    # Nobody is left to end what this process started, should it come to its end by itself.
    atexit.register(_kill_group)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    _kill_group()


def _kill_group() -> None:
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
