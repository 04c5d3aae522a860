"""Digests of files and folders: what a cache key and a conversion's record know a model by.

What passes through: names and contents come in, one BLAKE3 hash goes out. Equal digests mean equal files:
names, sizes and contents are framed, so that nothing can move from one to the other unnoticed. What is handed
on has a sha256 (`servable.formats.file_hashes`), which others check with what they have; here all bytes of a
source are read to tell whether it is another one, and BLAKE3 is as safe and several times faster.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from blake3 import blake3

from servable.errors import BrokenSourceError, UnsafeSourceError
from servable.formats.files import open_source_file, require_inside
from servable.model import Progress

MakeHasher = Callable[[], Any]
# The second is what records hold that were made before BLAKE3 was taken.
HASHERS: Final[tuple[MakeHasher, ...]] = (blake3, hashlib.sha256)

_STAGE: Final = "digest"
# Large enough that two threads seldom wait for one another, small enough for the caches of a processor.
_CHUNK_BYTES: Final = 4 * 2**20


def digest_files(
    files: Iterable[Path],
    *,
    root: Path,
    progress: Progress | None = None,
    make_hasher: MakeHasher = blake3,
) -> str:
    """Digests names and contents of files.

    Args:
        files: In any order; each counts once. A symbolic link counts as a file with what it points to.
        root: The folder that they lie in; names are taken relative to it, so that its own name is not part
            of the digest.
        progress: Called with "digest", bytes done and bytes in all.
        make_hasher: One of `HASHERS`.

    Returns:
        BLAKE3, 64 hex digits.

    Raises:
        UnsafeSourceError: A file lies outside `root`, or a link leads there.
        BrokenSourceError: A file is missing, is not a plain file, or changes meanwhile.
    """
    named = {_name_inside(path, root): path for path in files}
    total_bytes = sum(_size_bytes(path) for path in named.values())
    done_bytes = 0
    hasher = make_hasher()
    buffer = np.empty(_CHUNK_BYTES, np.uint8)
    for name, path in sorted(named.items()):
        require_inside(path, root)
        with open_source_file(path) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            hasher.update(len(name).to_bytes(8, "big") + name + size_bytes.to_bytes(8, "big"))
            left_bytes = size_bytes
            while count := file.readinto(buffer.data):  # type: ignore[attr-defined]
                hasher.update(buffer[:count].data)
                left_bytes -= count
                done_bytes += count
                if progress is not None:
                    progress(_STAGE, done_bytes, total_bytes)
            if left_bytes:
                raise BrokenSourceError(
                    "A file changed while it was read.",
                    expected=f"{size_bytes} bytes",
                    received=f"{size_bytes - left_bytes} bytes",
                    where=str(path),
                    advice="wait until the training or copying that writes it has ended",
                )
    return str(hasher.hexdigest())


def digest_tree(folder: Path, *, make_hasher: MakeHasher = blake3) -> str:
    """Digests all files below a folder; empty folders do not count.

    Args:
        folder: Such as a SavedModel's.
        make_hasher: One of `HASHERS`.

    Returns:
        BLAKE3, 64 hex digits; the same as `digest_files` of all the files.

    Raises:
        UnsafeSourceError: A link leads out of the folder, or a link stands for a folder.
        BrokenSourceError: The folder or something in it cannot be read.
    """
    return digest_files(list_tree(folder), root=folder, make_hasher=make_hasher)


def list_tree(folder: Path) -> list[Path]:
    """Lists all files below a folder, in any order.

    Raises:
        UnsafeSourceError: A link stands for a folder.
        BrokenSourceError: The folder or one in it cannot be read.
    """
    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_refuse_unreadable):
        for name in folders:
            path = Path(parent, name)
            if path.is_symlink():
                raise UnsafeSourceError(
                    "A symbolic link stands for a folder of the model.",
                    expected="plain folders",
                    received=f"a link to {path.readlink()}",
                    where=str(path),
                    advice=f"if you trust it, copy the folder with its links resolved: cp -rL {folder} COPY",
                )
        files += [Path(parent, name) for name in names]
    return files


def _refuse_unreadable(error: OSError) -> None:
    raise BrokenSourceError(
        "A folder of the model cannot be read.",
        expected="a folder that may be read",
        received=error.strerror or str(error),
        where=str(error.filename),
        advice="look at its permissions",
    ) from error


def _name_inside(path: Path, root: Path) -> bytes:
    try:
        return os.fsencode(Path(os.path.abspath(path)).relative_to(os.path.abspath(root)).as_posix())  # noqa: PTH100
    except ValueError as error:
        raise UnsafeSourceError(
            "This file does not lie in the model's folder.",
            expected=f"a file inside {root}",
            received=str(path),
            where=str(path),
        ) from error


def _size_bytes(path: Path) -> int:
    try:
        status = path.stat()
    except OSError:
        return 0  # Opening it will say what is wrong, with the path.
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
