"""Versions on disk: which folders of a base path hold a whole SavedModel, or the one folder that is one.

What passes through: a folder comes in, versions by number go out. Nothing is loaded. A version without
`saved_model.pb` is not there yet: whoever copies one copies that file last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from servable.errors import UnknownSourceError
from servable.graphs.saved_model_parts import MODEL_FILES, find_model_file

# Names that TensorFlow Serving takes for a version (absl::SimpleAtoi to int64): "7", "007", "-1".
_VERSION: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_INT64: Final = range(-(2**63), 2**63)
_ONLY_VERSION: Final = 1  # of a SavedModel whose folder has no number


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version that can be loaded.

    Attributes:
        number: Of the folder's name.
        folder: With `saved_model.pb`.
        stamp: Changes whenever that file is written: size in bytes, time in ns, inode.
    """

    number: int
    folder: Path
    stamp: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """Where a model's versions lie.

    Attributes:
        folder: A base path, or a version itself.
        is_version: Which of both.
        name: What its clients call the model, if nobody says otherwise.
    """

    folder: Path
    is_version: bool
    name: str

    def find_versions(self) -> dict[int, FoundVersion]:
        """Lists the versions that are whole now, by number; none when the folder cannot be read."""
        if self.is_version:
            number = _read_number(self.folder.name)
            folders = [(_ONLY_VERSION if number is None else number, self.folder)]
        else:
            folders = [
                (number, path)
                for path in _list_folder(self.folder)
                if (number := _read_number(path.name)) is not None
            ]
        found = (_find_version(number, folder) for number, folder in folders)
        return {version.number: version for version in found if version is not None}


def find_place(folder: Path) -> ModelPlace:
    """Tells a base path from a version.

    Args:
        folder: Such as "digits" with "1" and "2" in it, or "digits/2".

    Raises:
        UnknownSourceError: There is no such folder, or it is one of several models.
    """
    if not folder.is_dir():
        raise UnknownSourceError(
            "There is no such folder.",
            expected="a SavedModel, or a folder with one in each version: digits/1, digits/2",
            where=str(folder),
        )
    whole = folder.resolve()
    is_version = any((whole / name).is_file() for name in MODEL_FILES)
    if not is_version and (models := _find_models(folder)):
        raise UnknownSourceError(
            "This folder has models in it, and is none itself.",
            expected="one model: a folder with versions such as 1 and 2, or a version itself",
            received=", ".join(models),
            where=str(folder),
            advice=f"name the model's own folder, such as {folder / models[0]}",
        )
    has_number = is_version and _read_number(whole.name) is not None
    return ModelPlace(folder, is_version, (whole.parent if has_number else whole).name or "model")


def _find_models(folder: Path) -> list[str]:
    """Names folders with versions of their own, in a folder that has no version, and no beginning of one."""
    inside = [path for path in _list_folder(folder) if path.is_dir()]
    if any(_read_number(path.name) is not None for path in inside):
        return []
    return [path.name for path in inside if ModelPlace(path, False, path.name).find_versions()]


def _read_number(name: str) -> int | None:
    if not _VERSION.fullmatch(name) or int(name) not in _INT64:
        return None
    return int(name)


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _find_version(number: int, folder: Path) -> FoundVersion | None:
    try:
        facts = find_model_file(folder).stat()
    except OSError:
        return None
    return FoundVersion(number, folder, (facts.st_size, facts.st_mtime_ns, facts.st_ino))
