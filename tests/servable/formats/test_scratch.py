import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from servable.formats.publishing import publish_dir
from servable.formats.scratch import ScratchDir, collect_abandoned, open_scratch_dir

KILLED = """
import os, signal, sys
from pathlib import Path
from servable.formats.scratch import ScratchDir
scratch = ScratchDir(Path(sys.argv[1]), prefix="a-", suffix=".tmp")
(Path(scratch.name) / "half").write_bytes(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_behind(folder):
    ended = subprocess.run([sys.executable, "-c", KILLED, folder], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = folder.iterdir()
    return left


def test_a_folder_goes_with_its_block(tmp_path):
    with open_scratch_dir(tmp_path, prefix="a-") as scratch:
        (scratch / "file").touch()
        assert scratch.parent == tmp_path
        assert scratch.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_collected_by_the_next(tmp_path):
    left = leave_behind(tmp_path)
    with open_scratch_dir(tmp_path, prefix="a-", suffix=".tmp") as scratch:
        assert not left.exists()
        assert list(tmp_path.iterdir()) == [scratch]


def test_what_a_killed_conversion_left_is_collected_by_the_next(tmp_path):
    left = leave_behind(tmp_path).rename(tmp_path / ".1.0123456789abcdef.tmp")
    with publish_dir(tmp_path / "1") as scratch:
        assert not left.exists()
        scratch.mkdir()
        (scratch / "saved_model.pb").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize("moment", ["before it is opened", "before it is locked", "while it is locked"])
def test_folder_that_another_process_takes_for_abandoned_is_not_used(tmp_path, monkeypatch, moment):
    """Whatever the other process does between making and locking, the folder in hand is there and stays."""
    taken = []
    places = {"before it is opened": "os.open", "before it is locked": "fcntl.flock"}

    def meddle(path):
        taken.append(path)
        if moment == "while it is locked":  # it holds the lock, and has removed nothing yet
            other = os.open(path, os.O_RDONLY)
            flock(other, fcntl.LOCK_EX)
        else:
            path.rmdir()

    os_open, flock = os.open, fcntl.flock

    def open_late(path, *flags):
        if not taken and str(path).startswith(str(tmp_path / "a-")) and moment == "before it is opened":
            meddle(path)
        return os_open(path, *flags)

    def lock_late(descriptor, operation):
        if not taken:
            (path,) = tmp_path.iterdir()
            meddle(path)
        return flock(descriptor, operation)

    replacement = {"os.open": open_late, "fcntl.flock": lock_late}
    place = places.get(moment, "fcntl.flock")
    monkeypatch.setattr(place, replacement[place])
    scratch = ScratchDir(tmp_path, prefix="a-")
    monkeypatch.undo()
    assert scratch.name != str(taken[0])
    assert Path(scratch.name).is_dir()
    assert collect_abandoned(tmp_path, prefix="a-") == 0
    scratch.cleanup()


def test_what_is_in_use_is_left_alone(tmp_path):
    first, second = (ScratchDir(tmp_path, prefix="a-") for _ in range(2))
    assert len(list(tmp_path.iterdir())) == 2
    first.cleanup()
    second.cleanup()
    second.cleanup()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a-", "a-notes", "a-0123456789ABCDEF", "b-0123456789abcdef"])
def test_other_folders_are_never_touched(tmp_path, name):
    (tmp_path / name).mkdir()
    assert collect_abandoned(tmp_path, prefix="a-") == 0
    assert (tmp_path / name).is_dir()


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "a-0123456789abcdef").symlink_to(tmp_path / "precious")
    assert collect_abandoned(tmp_path, prefix="a-") == 0
    assert (tmp_path / "precious").is_dir()


def test_a_fork_lets_go_without_removing(tmp_path):
    scratch = ScratchDir(tmp_path, prefix="a-")
    pid = os.fork()
    if pid == 0:
        scratch.forget()
        scratch.cleanup()
        os._exit(0)
    os.waitpid(pid, 0)
    assert list(tmp_path.iterdir()) != []
    scratch.cleanup()
