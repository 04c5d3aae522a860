"""ROOM 1: the state file in which a trainer notes its latest checkpoint. No TensorFlow here.

What passes through: the path of a state file comes in, the prefix that it means goes out. The path in it is
the trainer's, of another machine or of a folder that has moved since: only its last parts count, and they
never lead out of the state file's own folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from servable.errors import BrokenSourceError
from servable.formats.files import open_source_file
from servable.formats.protos import CheckpointState, parse_text_message
from servable.sources.locating.checkpoint_spelling import find_prefix

STATE_FILE: Final = "checkpoint"

_MAX_BYTES: Final = 2**20
_MAX_NAME_BYTES: Final = 255  # of every common file system
_FIELD: Final = b"model_checkpoint_path"


def is_state_file(path: Path) -> bool:
    """Says whether a file is a state file, whatever `latest_filename` a saver gave it."""
    if not path.is_file():
        return False
    if path.name == STATE_FILE:
        return True
    with open_source_file(path) as file:
        return file.read(len(_FIELD) + 64).lstrip().startswith(_FIELD)


def find_latest(state_path: Path) -> Path | None:
    """Reads which checkpoint a state file names.

    Returns:
        Its prefix, in the state file's folder or below it. Where nothing of the name is there, what it would
        be in the folder itself. None without a state file or a name in it.

    Raises:
        BrokenSourceError: It is no state file, or too large for one.
    """
    if not state_path.is_file():
        return None
    try:
        state = parse_text_message(CheckpointState, state_path, max_bytes=_MAX_BYTES)
    except BrokenSourceError as error:
        raise BrokenSourceError(
            f"The `{state_path.name}` state file cannot be read.",
            expected='model_checkpoint_path: "..."',
            received=error.received,
            where=str(state_path),
            advice="delete it to take the newest step, or name a checkpoint's prefix",
        ) from error
    # A trainer on Windows wrote backslashes.
    named = PurePosixPath(state.model_checkpoint_path.replace("\\", "/"))
    if named.name in ("", ".."):
        return None
    if not all(map(_is_possible, named.parts)):
        raise BrokenSourceError(
            f"The `{state_path.name}` state file names what no file can be called.",
            expected=f"names of at most {_MAX_NAME_BYTES} bytes",
            received=repr(state.model_checkpoint_path)[:_MAX_NAME_BYTES],
            where=str(state_path),
            advice="delete it to take the newest step, or name a checkpoint's prefix",
        )
    folder = state_path.parent
    for tail in _list_tails(named):
        if _is_there(folder / tail, folder):
            return folder / tail
    return folder / named.name


def _is_possible(name: str) -> bool:
    return "\0" not in name and len(os.fsencode(name)) <= _MAX_NAME_BYTES


def _list_tails(named: PurePosixPath) -> Iterator[PurePosixPath]:
    """A relative path was true where it was written; of an absolute one the end may still be."""
    parts = [part for part in named.parts if part != "/"]
    if ".." not in parts and not named.is_absolute():
        yield PurePosixPath(*parts)
    yield PurePosixPath(parts[-1])
    if len(parts) > 1 and parts[-2] != "..":
        yield PurePosixPath(*parts[-2:])


def _is_there(prefix: Path, folder: Path) -> bool:
    inside = Path(os.path.realpath(prefix.parent)).is_relative_to(os.path.realpath(folder))
    return inside and prefix.parent.is_dir() and find_prefix(prefix) == prefix
