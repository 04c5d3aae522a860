"""Archives that are the same to the byte whenever their files are: no times, no owners, one order.

What passes through: files of a folder come in, a `.tar.gz` or `.zip` with a single folder at its root goes
out. Equal bytes need an equal zlib as well, which all Pythons of a machine share.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from servable.formats.file_hashes import iterate_chunks
from servable.model import Progress

# Place in the archive, and the file that goes there; None for a folder.
_Entry = tuple[PurePosixPath, Path | None]

_STAGE: Final = "archiving"
# Weights hardly shrink, however long one tries.
_LEVEL: Final = 1
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
# The first that a zip file can hold.
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


def write_tar_gz(
    path: Path, folder: Path, names: Iterable[str], *, root: str, progress: Progress | None = None
) -> None:
    """Packs files into a gzipped tar, as GNU tar and Python read it.

    Args:
        path: The file to write.
        folder: Where the files lie.
        names: Of the files, relative to the folder.
        root: The folder in the archive that has them all; may be several, one in the other.
        progress: Told of the bytes packed.
    """
    entries = list(_list_entries(folder, names, root))
    tell = _make_tell(entries, progress)
    with (
        path.open("xb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=_LEVEL, mtime=0) as zipped,
        # Plain headers, and such as hold long names and large files where one of them needs it.
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for place, source in entries:
            entry = tarfile.TarInfo(str(place))
            if source is None:
                entry.type, entry.mode = tarfile.DIRTYPE, _FOLDER_MODE
                tar.addfile(entry)
                continue
            entry.mode, entry.size = _FILE_MODE, source.stat().st_size
            with source.open("rb") as stream:
                tar.addfile(entry, _ToldStream(stream, tell))


def write_zip(
    path: Path, folder: Path, names: Iterable[str], *, root: str, progress: Progress | None = None
) -> None:
    """Packs files into a zip, as `write_tar_gz` does into a tar."""
    entries = list(_list_entries(folder, names, root))
    tell = _make_tell(entries, progress)
    with path.open("xb") as file, zipfile.ZipFile(file, "w", compresslevel=_LEVEL) as archive:
        for place, source in entries:
            entry = zipfile.ZipInfo(f"{place}/" if source is None else str(place), _ZIP_TIME)
            entry.create_system = 3  # Unix, whose modes these are
            entry.external_attr = (0o40000 | _FOLDER_MODE if source is None else 0o100000 | _FILE_MODE) << 16
            entry.compress_type = zipfile.ZIP_STORED if source is None else zipfile.ZIP_DEFLATED
            if source is None:
                archive.writestr(entry, b"")
                continue
            entry.file_size = source.stat().st_size
            with archive.open(entry, "w") as stream:
                for chunk in iterate_chunks(source):
                    stream.write(chunk)
                    tell(len(chunk))


class _ToldStream:
    """A stream that tells how much was read of it."""

    def __init__(self, stream: IO[bytes], tell: Callable[[int], None]) -> None:
        self._stream, self._tell = stream, tell

    def read(self, size_bytes: int = -1) -> bytes:
        data = self._stream.read(size_bytes)
        self._tell(len(data))
        return data


def _make_tell(entries: Iterable[_Entry], progress: Progress | None) -> Callable[[int], None]:
    total_bytes = sum(source.stat().st_size for _, source in entries if source is not None)
    done_bytes = 0

    def tell(size_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += size_bytes
        if progress is not None:
            progress(_STAGE, min(done_bytes, total_bytes), total_bytes)

    return tell


def _list_entries(folder: Path, names: Iterable[str], root: str) -> Iterator[_Entry]:
    """Gives places in the archive, each folder before what is in it; None stands for a folder."""
    seen: set[PurePosixPath] = set()
    for name in sorted(names):
        place = PurePosixPath(root, name)
        for parent in reversed(place.parents[:-1]):
            if parent not in seen:
                seen.add(parent)
                yield parent, None
        yield place, folder / name
