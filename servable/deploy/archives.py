"""Archives that are the same to the byte whenever their files are: no times, no owners, one order.

What passes through: files of a folder come in, a `.tar.gz` or `.zip` with a single folder at its root goes
out. Equal bytes need an equal zlib as well, which all Pythons of a machine share.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from servable.formats.file_hashes import iterate_chunks

# Weights hardly shrink, however long one tries.
_LEVEL: Final = 1
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
# The first that a zip file can hold.
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


def write_tar_gz(path: Path, folder: Path, names: Iterable[str], *, root: str) -> None:
    """Packs files into a gzipped tar, as GNU tar and Python read it.

    Args:
        path: The file to write.
        folder: Where the files lie.
        names: Of the files, relative to the folder.
        root: The folder in the archive that has them all; may be several, one in the other.
    """
    with (
        path.open("xb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=_LEVEL, mtime=0) as zipped,
        # Plain headers, and such as hold long names and large files where one of them needs it.
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for place, source in _list_entries(folder, names, root):
            entry = tarfile.TarInfo(str(place))
            if source is None:
                entry.type, entry.mode = tarfile.DIRTYPE, _FOLDER_MODE
                tar.addfile(entry)
                continue
            entry.mode, entry.size = _FILE_MODE, source.stat().st_size
            with source.open("rb") as stream:
                tar.addfile(entry, stream)


def write_zip(path: Path, folder: Path, names: Iterable[str], *, root: str) -> None:
    """Packs files into a zip, as `write_tar_gz` does into a tar."""
    with path.open("xb") as file, zipfile.ZipFile(file, "w", compresslevel=_LEVEL) as archive:
        for place, source in _list_entries(folder, names, root):
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


def _list_entries(
    folder: Path, names: Iterable[str], root: str
) -> Iterator[tuple[PurePosixPath, Path | None]]:
    """Gives places in the archive, each folder before what is in it; None stands for a folder."""
    seen: set[PurePosixPath] = set()
    for name in sorted(names):
        place = PurePosixPath(root, name)
        for parent in reversed(place.parents[:-1]):
            if parent not in seen:
                seen.add(parent)
                yield parent, None
        yield place, folder / name
