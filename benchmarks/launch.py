"""Starts one command and writes down what it took. Run by `measuring.py` as ``python -I -S launch.py``.

What passes through: a report file and a command line come in, a JSON object goes out. Linux lets a process
begin with the peak memory of the one that started it (fork(2), getrusage(2)), so what starts a measured
command has to be small: standard library only, and no site packages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

# Unit of ru_maxrss: kibibytes on Linux, bytes on macOS (getrusage(2) of each).
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Runs the command to its end; the report has elapsed_s, cpu_s, peak_bytes and exit_code."""
    report_path, *command = sys.argv[1:]
    started = time.perf_counter()
    process = subprocess.Popen(command)
    # wait4 gives this very process's usage, with the largest of those that it started and waited for.
    _, status, usage = os.wait4(process.pid, 0)
    elapsed_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    report = {
        "elapsed_s": elapsed_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * _MAXRSS_BYTES,
        "exit_code": process.returncode,
    }
    with open(report_path, "w") as file:  # noqa: PTH123 - pathlib would make this process larger
        json.dump(report, file)


if __name__ == "__main__":
    main()
