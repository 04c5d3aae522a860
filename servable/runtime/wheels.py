"""The runtime: takes TensorFlow's C++ libraries out of a wheel, and nothing else.

What passes through: a wheel comes in, two libraries are written into a folder as they lay in the package, so
that they find each other. Each is checked against the wheel's own list of digests. No TensorFlow here.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from servable.errors import CheckError

_FRAMEWORK = re.compile(r"libtensorflow_framework\.(so(\.\d+)?|\d+\.dylib)")
# In this order: only where there is no library of its own does the C API lie in that of the Python module.
_LIBRARIES = (
    re.compile(r"libtensorflow_cc\.(so\.\d+|\d+\.dylib)"),
    re.compile(r"_pywrap_tensorflow_internal\.so"),
)
_MAX_LIBRARY_BYTES: Final = 4 << 30  # four times the largest that there has been
_MAX_RECORD_BYTES: Final = 64 << 20
_CHUNK_BYTES: Final = 1 << 20


def extract_libraries(wheel: Path, folder: Path) -> Path:
    """Takes the libraries that serving needs out of a wheel.

    Args:
        wheel: Of TensorFlow, any version.
        folder: An empty folder to write to.

    Returns:
        The library with the C API, inside `folder`.

    Raises:
        CheckError: The file is no wheel of TensorFlow, is damaged, or would write outside `folder`.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            digests = _read_digests(archive)
            members = _choose_members(archive)
            paths = [_extract(archive, member, folder, digests) for member in members]
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise _make_error(wheel, str(error)) from error
    return paths[-1]


def _choose_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Gives the framework's library where there is one, and last the one with the C API."""
    named = {info: PurePosixPath(info.filename).name for info in archive.infolist()}
    framework = [info for info, name in named.items() if _FRAMEWORK.fullmatch(name)]
    for pattern in _LIBRARIES:
        found = [info for info, name in named.items() if pattern.fullmatch(name)]
        if found:
            return [*framework[:1], found[0]]
    expected = "libtensorflow_cc or _pywrap_tensorflow_internal"
    raise ValueError(f"it has none of TensorFlow's libraries ({expected})")


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, digests: dict[str, tuple[bytes, int]]
) -> Path:
    digest, size = digests.get(member.filename, (b"", 0))
    if not digest:
        raise ValueError(f"its RECORD has no sha256 of {member.filename}")
    if member.file_size != size or size > _MAX_LIBRARY_BYTES:
        raise ValueError(f"{member.filename} has {member.file_size} bytes, its RECORD says {size}")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError(f"{member.filename} is a symbolic link")
    path = folder.joinpath(*_read_parts(member.filename))
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher = hashlib.sha256()
    with archive.open(member) as source, path.open("xb") as target:
        for chunk in _read_chunks(source, size):
            hasher.update(chunk)
            target.write(chunk)
    if hasher.digest() != digest:
        raise ValueError(f"{member.filename} is not what its RECORD says (sha256)")
    return path


def _read_parts(name: str) -> tuple[str, ...]:
    """Gives a member's path inside the package; old wheels keep it under NAME.data/purelib."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or ".." in parts or "\0" in name:
        raise ValueError(f"{name!r} would be written outside the folder")
    if len(parts) > 2 and parts[0].endswith(".data") and parts[1] in ("purelib", "platlib"):
        parts = parts[2:]
    return parts


def _read_chunks(source: IO[bytes], size: int) -> Iterator[bytes]:
    left = size
    while left:
        chunk = source.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise EOFError("the archive ends too early")
        left -= len(chunk)
        yield chunk
    if source.read(1):
        raise ValueError("a member is longer than the archive says")


def _read_digests(archive: zipfile.ZipFile) -> dict[str, tuple[bytes, int]]:
    """Reads the wheel's RECORD: path to sha256 and size, of the files that have both."""
    records = [
        info
        for info in archive.infolist()
        if info.filename.count("/") == 1 and info.filename.endswith(".dist-info/RECORD")
    ]
    if len(records) != 1 or records[0].file_size > _MAX_RECORD_BYTES:
        raise ValueError("it has no RECORD, as every wheel has")
    lines = csv.reader(io.StringIO(archive.read(records[0]).decode("utf-8")))
    digests = {}
    for line in lines:
        if len(line) == 3 and line[1].startswith("sha256=") and line[2].isdecimal():
            text = line[1].removeprefix("sha256=")
            digests[line[0]] = (base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), int(line[2]))
    return digests


def _make_error(wheel: Path, reason: str) -> CheckError:
    return CheckError(
        "This wheel cannot be used.",
        expected="a wheel of TensorFlow, as its makers published it",
        received=reason,
        where=wheel.name,
        advice="servable runtimes add  once more; if it stays so, look at the index that pip is set to",
    )
