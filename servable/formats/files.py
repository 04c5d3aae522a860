"""Files on disk, opened and written the way every format of this room needs it.

What passes through: paths of a model that somebody handed in are opened only when they are plain files that
stay inside their folder; new files are written beside their place, flushed and moved there in one step.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import IO, BinaryIO

from servable.errors import BrokenSourceError, ExportError, UnsafeSourceError

_FLUSH_S = 0.02
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def open_source_file(path: Path) -> BinaryIO:
    """Opens a plain file of a source for unbuffered reading.

    Args:
        path: The file; a pipe, a device or a folder is refused, and none of them can block the call.

    Raises:
        BrokenSourceError: The file is missing, not readable or not a plain file.
    """
    try:
        # Opening a pipe would wait for a writer; without O_NONBLOCK a hostile source could hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_read(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BrokenSourceError(
            "This is not a plain file.",
            expected="a plain file",
            received="a folder or device",
            where=str(path),
            advice="name the file itself",
        )
    return open(descriptor, "rb", buffering=0)  # noqa: PTH123 - a descriptor, not a path


def read_exactly(file: BinaryIO, view: memoryview, *, path: Path) -> None:
    """Fills a buffer of bytes from a file's current position.

    Raises:
        BrokenSourceError: The file ends before the buffer is full, or the disk reports an error.
    """
    done = 0
    try:
        while done < len(view):
            count = file.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                raise BrokenSourceError(
                    "The file ends too early.",
                    expected=f"{len(view)} bytes from byte {file.tell() - done}",
                    received=f"{done} bytes",
                    where=str(path),
                    advice="copy the file again from where it was written; the copy is not complete",
                )
            done += count
    except OSError as error:
        raise _cannot_read(path, error) from error


def require_inside(path: Path, root: Path) -> None:
    """Refuses a path that a symbolic link leads out of a folder.

    Args:
        path: A file or folder, which need not exist.
        root: The folder that the path has to stay in. Links on the way to the folder itself are fine.

    Raises:
        UnsafeSourceError: The path, with all links followed, lies outside `root`.
    """
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(root)):
        raise UnsafeSourceError(
            "This file of the model lies outside the model's folder.",
            expected=f"a file inside {root}",
            received=f"a symbolic link to {target}" if path.is_symlink() else str(target),
            where=str(path),
            advice=f"if you trust it, copy the folder with its links resolved: cp -rL {root} COPY",
        )


@contextmanager
def replace_file(path: Path, *, needed_bytes: int = 0) -> Iterator[IO[bytes]]:
    """Writes a file beside its place and moves it there, flushed to disk, when the block ends well.

    Args:
        path: The file to make; its folder has to exist.
        needed_bytes: What will be written, as far as is known; only for the message when the disk is full.

    Yields:
        A file open for writing. When the block raises, it is removed and `path` is as it was.

    Raises:
        ExportError: The file cannot be written. Any `OSError` of the block is taken for that, so errors of
            reading have to be told apart inside the block.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # Not tempfile: it makes files that only their owner may read, and servers run as somebody else.
        with part.open("xb", buffering=2**20) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_path(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _cannot_write(path, error, needed_bytes) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def flush_beside(file: IO[bytes]) -> Iterator[None]:
    """Has the disk take what is written while the block still writes: the last flush then waits for little.

    Args:
        file: Open for writing.

    Raises:
        OSError: The disk refused something; it says so only once.
    """
    ended = Event()

    def flush() -> None:
        while not ended.wait(_FLUSH_S):
            os.fdatasync(file.fileno())

    with ThreadPoolExecutor(1, thread_name_prefix="flush") as pool:
        flushed = pool.submit(flush)
        try:
            yield
        finally:
            ended.set()
        flushed.result()


def require_free_space(folder: Path, needed_bytes: int) -> None:
    """Checks before a long write that the disk has room for it.

    Raises:
        ExportError: It has not, or the folder does not exist.
    """
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        raise _cannot_write(folder, error, needed_bytes) from error
    if free_bytes < needed_bytes:
        raise _disk_is_full(folder, needed_bytes, free_bytes)


def sync_path(path: Path) -> None:
    """Waits until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_read(path: Path, error: OSError) -> BrokenSourceError:
    return BrokenSourceError(
        "A file of the model cannot be read.",
        expected="a readable file",
        received=error.strerror or str(error),
        where=str(path),
        advice="check that it is there, and its permissions",
    )


def _cannot_write(path: Path, error: OSError, needed_bytes: int) -> ExportError:
    if error.errno in _DISK_FULL:
        return _disk_is_full(path, needed_bytes, shutil.disk_usage(path.parent).free)
    return ExportError(
        "A file cannot be written.",
        expected="a folder that exists and may be written to",
        received=error.strerror or str(error),
        where=str(path),
        advice="choose another folder, or look at its permissions",
    )


def _disk_is_full(path: Path, needed_bytes: int, free_bytes: int) -> ExportError:
    return ExportError(
        "The disk has no room for what is to be written." if needed_bytes else "The disk is full.",
        expected=f"{needed_bytes} bytes free" if needed_bytes else "room for the file",
        received=f"{free_bytes} bytes free",
        where=str(path),
        advice="free some space, or choose a folder on another disk (TMPDIR for what is fetched)",
    )
