"""How a process ended: its log's last words, a signal's name, signs that it wanted for memory.

What passes through: a log file and an exit code come in, words for an error or a finding go out.
"""

from __future__ import annotations

import contextlib
import re
import signal
from pathlib import Path

_LOG_TAIL_BYTES = 4000
# Lines that are there on every start and say nothing about the model: absl's banner, what is only information
# (in absl's form, and in that of TensorFlow up to 2.11), that there is no GPU, what could be switched on.
_CHATTER = re.compile(
    r"WARNING: All log messages before absl|I\d{4} |\d{4}-\d\d-\d\d [\d:.]+: I "
    r"|.*(failed call to cuInit|Could not load dynamic library|Not using XLA:CPU|Could not find cuda drivers)"
)
# What libstdc++ and TensorFlow say before they give up for want of memory.
_OUT_OF_MEMORY_WORDS = (
    "bad_alloc",
    "Cannot allocate memory",
    "out of memory",
    "MemoryError",
    "pthread_create() failed",
)


def read_log_end(path: Path) -> str:
    """Gives the end of a log, without what is there on every start."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
        lines = log.read(_LOG_TAIL_BYTES).decode("utf-8", "replace").splitlines()
        return "\n".join(line for line in lines if not _CHATTER.match(line)).strip()
    return ""


def find_starvation(log: str) -> str | None:
    """Gives the last line of a log which says that there was no memory; None when none does."""
    starved = [line for line in log.splitlines() if any(words in line for words in _OUT_OF_MEMORY_WORDS)]
    return starved[-1] if starved else None


def describe_end(code: int | None) -> str:
    """Names the signal or exit code that a process ended with, as `subprocess` gives it."""
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
