"""Hashes of the files of a folder one by one: which of them is another one now?

What passes through: a folder comes in, each file's sha256 goes out, and one root digest over all of them. The
root digest is the sha256 of what ``sha256sum`` prints for the files in order of their names, so that anybody
can make it again with coreutils alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from servable.errors import BrokenSourceError
from servable.formats.digest import list_tree
from servable.formats.files import open_source_file, require_inside
from servable.model import Progress

_STAGE: Final = "hashing"
_CHUNK_BYTES: Final = 2**20
# What `sha256sum` writes in place of characters that would break its lines.
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


class Change(StrEnum):
    """What became of a file since its hash was taken."""

    CHANGED = "changed"
    MISSING = "missing"
    EXTRA = "not there before"


def hash_tree(folder: Path, *, progress: Progress | None = None) -> dict[str, str]:
    """Hashes all files below a folder; empty folders do not count.

    Args:
        folder: Such as a SavedModel's. A symbolic link counts as a file with what it points to.
        progress: Told of the bytes read.

    Returns:
        Name relative to the folder, with slashes, to sha256 in 64 hex digits, in order of the names.

    Raises:
        UnsafeSourceError: A link leads out of the folder, or stands for a folder.
        BrokenSourceError: The folder or something in it cannot be read, or is no plain file.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in list_tree(folder)}
    total_bytes = sum(path.stat().st_size for path in paths.values() if path.is_file())
    done_bytes = 0

    def tell(size_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += size_bytes
        if progress is not None:
            progress(_STAGE, min(done_bytes, total_bytes), total_bytes)

    hashes = {}
    for name in sorted(paths):
        require_inside(paths[name], folder)
        hashes[name] = hash_file(paths[name], tell)
    return hashes


def hash_file(path: Path, tell: Callable[[int], None] = lambda size_bytes: None) -> str:
    """Hashes one file.

    Args:
        path: A plain file.
        tell: Called with the number of bytes whenever some were read.

    Raises:
        BrokenSourceError: It cannot be read, or is no plain file.
    """
    sha256 = hashlib.sha256()
    for chunk in iterate_chunks(path):
        sha256.update(chunk)
        tell(len(chunk))
    return sha256.hexdigest()


def iterate_chunks(path: Path) -> Iterator[bytes]:
    """Reads a plain file piece by piece.

    Raises:
        BrokenSourceError: It cannot be read, or is no plain file.
    """
    with open_source_file(path) as file:
        try:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
        except OSError as error:
            raise BrokenSourceError(
                "A file cannot be read to its end.",
                expected="a readable file",
                received=error.strerror or str(error),
                where=str(path),
            ) from error


def digest_hashes(hashes: Mapping[str, str]) -> str:
    """Makes the root digest of files.

    Args:
        hashes: As of `hash_tree`.

    Returns:
        sha256 in 64 hex digits: that of ``sha256sum FILE...`` over the files in order of their names' bytes.
    """
    lines = sorted((os.fsencode(name), _write_line(name, value)) for name, value in hashes.items())
    return hashlib.sha256(b"".join(line for _, line in lines)).hexdigest()


def find_changes(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, Change]:
    """Names the files that are not as they were, in order of their names."""
    changes = {}
    for name in sorted({*before, *now}):
        if name not in now:
            changes[name] = Change.MISSING
        elif name not in before:
            changes[name] = Change.EXTRA
        elif before[name] != now[name]:
            changes[name] = Change.CHANGED
    return changes


def _write_line(name: str, value: str) -> bytes:
    escaped = name.translate(_ESCAPES)
    return os.fsencode(f"{chr(92) if escaped != name else ''}{value}  {escaped}\n")
