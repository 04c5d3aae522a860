"""ROOM 1: the static look at a `.keras` archive before any loader opens it. No TensorFlow here.

What passes through: a zip with config.json, metadata.json, model.weights.h5 and, for vocabularies, assets/.
Nothing is ever extracted here; members are read by their fixed names, within their sizes.
"""

from __future__ import annotations

import io
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from servable.errors import BrokenSourceError, UnsafeSourceError
from servable.sources.keras_files.config_json import parse_config

CONFIG_MEMBER = "config.json"
METADATA_MEMBER = "metadata.json"
WEIGHTS_MEMBER = "model.weights.h5"
_ASSETS_DIR = "assets"

# Keras stores members as they are. Deflated floats hardly shrink, so a hundredfold member is a bomb.
MAX_EXPANSION = 100
EXPANSION_FLOOR_BYTES = 16 << 20
MAX_JSON_BYTES = 256 << 20
_COPY_BYTES = 1 << 20
_ADVICE = "do not use this file; ask whoever made it for one saved by Keras itself"


@contextmanager
def open_checked_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a `.keras` archive after the static look at its table of members.

    Args:
        path: The archive.

    Yields:
        The open archive, closed on leaving.

    Raises:
        BrokenSourceError: It is not a zip, is cut short, or a member that Keras needs is missing.
        UnsafeSourceError: A member's name, kind or size is none that Keras writes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise BrokenSourceError(
            "This .keras file is not a complete zip archive.",
            expected="a zip with config.json, metadata.json and model.weights.h5",
            received=str(error),
            where=str(path),
            advice="copy the file again from where it was trained and compare the sizes",
        ) from error
    with archive:
        _check_members(archive, path)
        yield archive


def read_json_member(archive: zipfile.ZipFile, name: str, *, where: str) -> Any:
    """Reads one JSON member.

    Raises:
        BrokenSourceError: It is damaged or not JSON.
        UnsafeSourceError: It is larger than any configuration.
    """
    info = archive.getinfo(name)
    if info.file_size > MAX_JSON_BYTES:
        raise UnsafeSourceError(
            f"Member {name} is too large for a configuration.",
            expected=f"at most {MAX_JSON_BYTES} bytes",
            received=f"{info.file_size} bytes",
            where=where,
            advice="do not use this file; ask whoever made it for one saved by Keras itself",
        )
    try:
        return parse_config(archive.read(info).decode("utf-8-sig"))
    # zipfile seeks to where a damaged table says (OSError), and has no word of its own for unknown methods
    # (NotImplementedError) and encryption (RuntimeError).
    except (ValueError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BrokenSourceError(
            f"Member {name} of this .keras file cannot be read.",
            expected="JSON as Keras writes it",
            received=" ".join(str(error).split()),
            where=where,
            advice="save the model again with model.save(...)",
        ) from error


@contextmanager
def open_weights(archive: zipfile.ZipFile, path: Path) -> Iterator[BinaryIO]:
    """Opens the weights member for random access, without a copy where it is stored as it is.

    Args:
        archive: The archive, open.
        path: Where it lies.

    Yields:
        A seekable binary file.

    Raises:
        BrokenSourceError: The member is damaged.
    """
    info = archive.getinfo(WEIGHTS_MEMBER)
    try:
        # Opening it makes zipfile compare the local header with the table of members.
        member = archive.open(info)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise _describe_damage(error, path) from error
    with member, path.open("rb") as file:
        if info.compress_type == zipfile.ZIP_STORED:
            start = _find_member_start(file, info)
            yield io.BufferedReader(_Window(file, start, info.file_size))
            return
        with tempfile.TemporaryFile() as unpacked:
            try:
                while block := member.read(_COPY_BYTES):
                    unpacked.write(block)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise _describe_damage(error, path) from error
            unpacked.seek(0)
            yield unpacked


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    seen: set[str] = set()
    stored_bytes = 0
    for info in archive.infolist():
        where = f"{path}, member {info.filename!r}"
        if not _is_expected_name(info.filename):
            raise UnsafeSourceError(
                "This .keras file has a member that Keras does not write.",
                expected=f"{CONFIG_MEMBER}, {METADATA_MEMBER}, {WEIGHTS_MEMBER} and {_ASSETS_DIR}/...",
                received=repr(info.filename),
                where=str(path),
                advice=_ADVICE,
            )
        if info.filename in seen:
            raise UnsafeSourceError(
                "This .keras file holds one member twice.",
                expected="each member once",
                where=where,
                advice=_ADVICE,
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UnsafeSourceError(
                "This .keras file holds a symbolic link.",
                expected="plain members",
                where=where,
                advice=_ADVICE,
            )
        if info.flag_bits & 0x1:
            raise BrokenSourceError(
                "This .keras file is encrypted.",
                expected="an archive without a password, as Keras writes it",
                where=where,
                advice="unpack it with its password, and zip its members again without one",
            )
        if info.file_size > EXPANSION_FLOOR_BYTES and info.file_size > MAX_EXPANSION * info.compress_size:
            raise UnsafeSourceError(
                "A member of this .keras file would unpack to far more bytes than it stores.",
                expected=f"at most {MAX_EXPANSION} times the stored bytes",
                received=f"{info.file_size} bytes from {info.compress_size} stored",
                where=where,
                advice="do not use this file; ask whoever made it for one saved by Keras itself",
            )
        seen.add(info.filename)
        stored_bytes += info.compress_size
    if stored_bytes > path.stat().st_size:
        raise UnsafeSourceError(
            "The members of this .keras file overlap: together they are larger than the file.",
            expected=f"at most {path.stat().st_size} bytes",
            received=f"{stored_bytes} bytes",
            where=str(path),
            advice="do not use this file; ask whoever made it for one saved by Keras itself",
        )
    for name in (METADATA_MEMBER, CONFIG_MEMBER, WEIGHTS_MEMBER):
        if name not in seen:
            raise BrokenSourceError(
                f"This .keras file has no member {name}.",
                expected=f"{CONFIG_MEMBER}, {METADATA_MEMBER} and {WEIGHTS_MEMBER}",
                received=", ".join(sorted(seen)) or "an empty archive",
                where=str(path),
                advice="save the model again with model.save(...)",
            )


def _is_expected_name(name: str) -> bool:
    if name in (CONFIG_MEMBER, METADATA_MEMBER, WEIGHTS_MEMBER):
        return True
    parts = PurePosixPath(name).parts
    return (
        len(parts) >= 1
        and parts[0] == _ASSETS_DIR
        and name.rstrip("/") == "/".join(parts)
        and not any(part == ".." or "\\" in part or ":" in part or "\0" in part for part in parts)
    )


def _find_member_start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    # A local header is 30 bytes, then name and extra field whose lengths stand at 26 and 28 (APPNOTE 4.3.7).
    file.seek(info.header_offset)
    header = file.read(30)
    return (
        info.header_offset
        + 30
        + int.from_bytes(header[26:28], "little")
        + int.from_bytes(header[28:30], "little")
    )


def _describe_damage(error: Exception, path: Path) -> BrokenSourceError:
    return BrokenSourceError(
        f"Member {WEIGHTS_MEMBER} of this .keras file is damaged.",
        received=" ".join(str(error).split()),
        where=str(path),
        advice="copy the file again from where it was trained and compare the sizes",
    )


class _Window(io.RawIOBase):
    """A stretch of an open file as a file of its own."""

    def __init__(self, file: IO[bytes], start: int, size_bytes: int) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size_bytes - self._position))
        self._file.seek(self._start + self._position)
        data = self._file.read(count)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
