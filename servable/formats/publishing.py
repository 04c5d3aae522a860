"""A folder that appears finished or not at all: written beside its destination, then moved there in one step.

What passes through: a destination comes in, a path to write to goes out. Where a folder cannot be renamed,
the file whose presence means "finished" is copied last.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from servable.errors import ExportError
from servable.formats.files import sync_path
from servable.formats.scratch import collect_abandoned, open_scratch_dir

# What a server takes for "finished": of a SavedModel.
_LAST_FILE = "saved_model.pb"
_SHARED = 0o777  # less what the user masks
_SUFFIX = ".tmp"
_UNPUBLISHED = re.compile(r"(?P<prefix>\..+\.)[0-9a-f]+\.tmp")


@contextmanager
def publish_dir(
    destination: Path, *, what: str = "SavedModel", last_file: str = _LAST_FILE
) -> Iterator[Path]:
    """Gives a path beside the destination to write to, and moves it there when all went well.

    Args:
        destination: Must not exist, or be an empty folder.
        what: What is written, for messages.
        last_file: Its presence means that the folder is finished.

    Yields:
        A path that does not exist yet, in a folder that does. What is there is removed when the block fails.

    Raises:
        ExportError: The destination holds something, or writing or moving failed.
    """
    _refuse_occupied(destination)
    missing = [folder for folder in destination.parents if not folder.exists()]
    try:
        # Folders on the way are made when there is something to put there.
        home = next(folder for folder in destination.absolute().parents if folder.is_dir())
        # What an earlier run has left that was killed is removed before.
        prefix = f".{destination.name}."
        with open_scratch_dir(home, prefix=prefix, suffix=_SUFFIX, mode=_SHARED) as scratch:
            yield scratch / "saved_model"
            destination.parent.mkdir(parents=True, exist_ok=True)
            move_dir(scratch / "saved_model", destination, last_file)
    except OSError as error:
        raise _explain_os_error(error, destination, what) from error
    finally:
        for folder in missing:
            with suppress(OSError):  # it holds the finished model, or what somebody else put there
                folder.rmdir()


def collect_unpublished(folder: Path) -> int:
    """Removes what `publish_dir` has left in a folder where it was killed, whatever it was to become.

    Returns:
        How many there were; 0 also for a folder that cannot be read.
    """
    try:
        found = [_UNPUBLISHED.fullmatch(path.name) for path in folder.iterdir()]
    except OSError:
        return 0
    prefixes = {match["prefix"] for match in found if match}
    return sum(collect_abandoned(folder, prefix=prefix, suffix=_SUFFIX) for prefix in prefixes)


def move_dir(finished: Path, destination: Path, last_file: str) -> None:
    """Moves a folder, whose files are on disk, to its place in one step.

    Args:
        finished: The folder.
        destination: Must not exist, or be an empty folder.
        last_file: Where folders cannot be renamed, it is copied last.

    Raises:
        OSError: The destination holds something, or cannot be written.
    """
    for folder in (*(path for path in finished.rglob("*") if path.is_dir()), finished):
        sync_path(folder)
    try:
        finished.rename(destination)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP):
            raise
        _copy_dir(finished, destination, last_file)
    sync_path(destination.parent)


def _copy_dir(finished: Path, destination: Path, last_file: str) -> None:
    """Copies where a folder cannot be renamed (object stores mounted as folders)."""
    try:
        shutil.copytree(finished, destination, ignore=shutil.ignore_patterns(last_file), dirs_exist_ok=True)
        shutil.copyfile(finished / last_file, destination / last_file)
    except OSError:
        shutil.rmtree(destination, ignore_errors=True)
        raise


def _refuse_occupied(destination: Path) -> None:
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise ExportError(
            "The destination is not a folder.",
            expected="a new folder",
            where=str(destination),
            advice="choose another folder, such as the next version number",
        )
    if destination.is_dir() and any(destination.iterdir()):
        raise ExportError(
            "The destination is not empty, and nothing is ever overwritten.",
            expected="a new or empty folder",
            received=", ".join(sorted(path.name for path in destination.iterdir())[:5]),
            where=str(destination),
            advice="choose another folder, such as the next version number",
        )


def _explain_os_error(error: OSError, destination: Path, what: str) -> ExportError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ExportError(
            f"There is not enough disk space for the {what}; nothing was left behind.",
            received=f"{error.strerror}",
            where=str(destination.parent),
            advice="free some space or choose a folder on another disk",
        )
    return ExportError(
        f"The {what} could not be written; nothing was left behind.",
        received=str(error),
        where=str(destination),
        advice="check that the folder may be written to, or choose another",
    )
