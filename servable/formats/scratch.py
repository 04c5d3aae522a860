"""Temporary folders that a killed process leaves behind, and the next one clears away.

What passes through: a folder's place comes in, a new folder goes out, locked for as long as it is used. The
kernel lets go of the lock when its process ends, however it ends, so that a folder without one is nobody's.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_TOKEN_BYTES: Final = 8
_MAX_TRIES: Final = 100
# More than these are left for the runs after.
_MAX_COLLECTED: Final = 100
_PRIVATE: Final = 0o700


class ScratchDir:
    """A new folder, locked, that goes with this object's `cleanup`.

    Args:
        parent: The folder that it is made in; the user's own for temporary files by default.
        prefix: What its name begins with; folders with the same prefix and suffix that nobody uses any more
            are removed before.
        suffix: What its name ends with.
        mode: Of the folder; by default only the owner may enter.

    Attributes:
        name: Its path, as `tempfile.TemporaryDirectory` calls it.

    Raises:
        OSError: The folder cannot be made.
    """

    def __init__(
        self, parent: Path | None = None, *, prefix: str, suffix: str = "", mode: int = _PRIVATE
    ) -> None:
        folder = Path(tempfile.gettempdir()) if parent is None else parent
        collect_abandoned(folder, prefix=prefix, suffix=suffix)
        for _ in range(_MAX_TRIES):
            path = folder / f"{prefix}{secrets.token_hex(_TOKEN_BYTES)}{suffix}"
            path.mkdir(mode)
            # Until it is locked, another process may take it for abandoned.
            descriptor = _open_locked(path)
            if descriptor >= 0:
                break
        else:
            raise OSError(f"no temporary folder can be made in {folder}")
        self.name = str(path)
        self._descriptor = descriptor

    def cleanup(self) -> None:
        """Removes it with what is in it; safe to call twice."""
        if self._descriptor >= 0:
            shutil.rmtree(self.name, ignore_errors=True)
            self.forget()

    def forget(self) -> None:
        """Lets go of it without removing it: in a fork, it is the parent's."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def open_scratch_dir(
    parent: Path | None = None, *, prefix: str, suffix: str = "", mode: int = _PRIVATE
) -> Iterator[Path]:
    """The same for a block: makes the folder and removes it.

    Raises:
        OSError: The folder cannot be made.
    """
    scratch = ScratchDir(parent, prefix=prefix, suffix=suffix, mode=mode)
    try:
        yield Path(scratch.name)
    finally:
        scratch.cleanup()


def collect_abandoned(folder: Path, *, prefix: str, suffix: str = "") -> int:
    """Removes folders of this user's that no process holds any more.

    Args:
        folder: Where they lie.
        prefix: What their names begin with.
        suffix: What their names end with.

    Returns:
        How many there were.
    """
    count = 0
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if _fits(entry.name, prefix, suffix)]
    except OSError:
        return 0
    for path in found[:_MAX_COLLECTED]:
        with suppress(OSError):  # somebody's in use, somebody else's, or gone by now
            count += _remove_abandoned(path, shutil.rmtree)
    return count


def _remove_abandoned(path: Path, remove: Callable[[Path], object]) -> int:
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        return 0
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(path)
    finally:
        os.close(descriptor)
    return 1


def _fits(name: str, prefix: str, suffix: str) -> bool:
    token = name[len(prefix) : len(name) - len(suffix)]
    is_token = len(token) == 2 * _TOKEN_BYTES and set(token) <= set("0123456789abcdef")
    return is_token and name.startswith(prefix) and name.endswith(suffix)


def _open_locked(path: Path) -> int:
    """Gives -1 where another process has removed the folder, or is about to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    is_taken = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        is_taken = True
    except OSError:  # a file system without locks: then nothing there is ever collected
        pass
    if is_taken or not _is_at(descriptor, path):
        os.close(descriptor)
        return -1
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
