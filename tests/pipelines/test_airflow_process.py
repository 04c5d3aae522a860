"""A task's process: its lines, its end, and that nothing outlives the task."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.on_airflow.process import run_process

REPOSITORY = Path(__file__).resolve().parents[2]

# Starts a child of its own, says the two ids, and stays.
STAYING = """
import os, subprocess, sys, time
sys.path.insert(0, {repository!r})
from pipelines.on_airflow.process import die_with_parent
die_with_parent(grace_s=0.2)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
try:
    print(os.getpid(), child.pid, flush=True)
    time.sleep(60)
finally:
    open({mark!r}, "w").close()
"""

HOLDING = """
import os, sys
sys.path.insert(0, {repository!r})
from pipelines.on_airflow.process import run_process
run_process([sys.executable, "-c", {staying!r}], lambda line: print(line, flush=True), environment=os.environ)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that nobody has waited for yet is not alive.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_dead(*pids: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(is_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_lines_of_both_outputs_and_the_exit_code():
    lines: list[str] = []
    script = "import sys; print('one'); sys.stdout.flush(); sys.stderr.write('two\\n'); sys.exit(4)"
    assert run_process([sys.executable, "-c", script], lines.append, environment=os.environ) == 4
    assert lines == ["one", "two"]


def test_only_the_given_variables():
    lines: list[str] = []
    run_process(
        [sys.executable, "-c", "import os; print(os.environ.get('HOME'), os.environ['A'])"],
        lines.append,
        environment={"A": "b"},
    )
    assert lines == ["None b"]


def test_a_signal_is_told_as_its_number():
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_process([sys.executable, "-c", script], print, environment=os.environ) == -signal.SIGKILL


def test_an_exception_takes_the_whole_group_with_it(tmp_path):
    mark = tmp_path / "taken_back"
    pids: list[int] = []

    def take_line(line: str) -> None:
        pids.extend(int(word) for word in line.split())
        raise TimeoutError("the task's time is over")

    with pytest.raises(TimeoutError):
        run_process(
            [sys.executable, "-c", STAYING.format(repository=str(REPOSITORY), mark=str(mark))],
            take_line,
            environment=os.environ,
        )
    assert len(pids) == 2
    assert wait_until_dead(*pids)
    assert mark.exists(), "it was asked before it was killed"


def test_a_killed_task_takes_the_whole_group_with_it(tmp_path):
    mark = tmp_path / "taken_back"
    staying = STAYING.format(repository=str(REPOSITORY), mark=str(mark))
    task = subprocess.Popen(
        [sys.executable, "-c", HOLDING.format(repository=str(REPOSITORY), staying=staying)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert task.stdout is not None
    pids = [int(word) for word in task.stdout.readline().split()]
    task.kill()
    task.wait()
    task.stdout.close()
    assert len(pids) == 2
    assert wait_until_dead(*pids)
    assert mark.exists(), "it was asked before it was killed"
