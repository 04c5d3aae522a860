"""The model that a new one would take over from: the newest pushed version that is not the new one itself.

What passes through: a directory of versions, as TensorFlow Serving watches it and TFX's Pusher fills it, and
the new model come in; the version to compare with goes out. Its choice depends on contents alone, so that a
run with nothing new finds the same one again, and TFX's cache holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from components.artifacts import find_serving_dir, get_artifact
from servable.errors import CheckError, ServableError
from servable.formats.digest import HASHERS, MakeHasher, digest_files

SERVED_DIR = "served_dir"
# Execution properties that the driver adds; with them they are part of the cache key.
SERVED_VERSION = "served_version"
SERVED_DIGEST = "served_digest"
_NONE = "none"

# Warm-up requests and marks of lineage, which a platform adds to a model: they make no other model of it.
_ADDED_DIR = "assets.extra"
_COMPLETE_FILES = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A version that was pushed earlier.

    Attributes:
        version_dir: Its directory; None where there is no such version.
        digest: BLAKE3 over its files, see `digest_model`; "" where there is none.
    """

    version_dir: Path | None
    digest: str

    def to_properties(self) -> dict[str, str]:
        """Gives the execution properties that carry it."""
        return {SERVED_VERSION: str(self.version_dir or _NONE), SERVED_DIGEST: self.digest or _NONE}

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Self | None:
        """Reads the execution properties; None when no driver made them."""
        version, digest = (properties.get(key) for key in (SERVED_VERSION, SERVED_DIGEST))
        if any(value in (None, "", "None") for value in (version, digest)):
            return None
        return cls(None, "") if version == _NONE else cls(Path(str(version)), str(digest))


def find_served(served_dir: Path, candidate_digest: str) -> ServedModel:
    """Finds the newest complete version whose contents are not the candidate's.

    Args:
        served_dir: Holds one directory a version, named by numbers; it need not be there yet.
        candidate_digest: As of `digest_model`.

    Raises:
        ServableError: A version cannot be read.
    """
    for version_dir in list_versions(served_dir):
        digest = digest_model(version_dir)
        if digest != candidate_digest:
            return ServedModel(version_dir, digest)
    return ServedModel(None, "")


def list_versions(served_dir: Path) -> list[Path]:
    """Lists the complete versions that a server would find, newest first."""
    if not served_dir.is_dir():
        return []
    versions = [path for path in served_dir.iterdir() if path.name.isdecimal()]
    complete = [path for path in versions if any((path / name).is_file() for name in _COMPLETE_FILES)]
    return sorted(complete, key=lambda path: int(path.name), reverse=True)


def digest_model(saved_model_dir: Path, *, make_hasher: MakeHasher = HASHERS[0]) -> str:
    """Digests a SavedModel without what a platform adds beside it.

    Args:
        saved_model_dir: Its folder.
        make_hasher: One of `HASHERS`.

    Returns:
        BLAKE3, 64 hex digits; of a model without additions the same as `digest_tree`.

    Raises:
        ServableError: A file cannot be read, or leads out of the directory.
    """
    files = [
        Path(parent, name)
        for parent, _, names in os.walk(saved_model_dir)
        if _ADDED_DIR not in Path(parent).relative_to(saved_model_dir).parts
        for name in names
    ]
    return digest_files(files, root=saved_model_dir, make_hasher=make_hasher)


def resolve_served(
    exec_properties: Mapping[str, Any], input_dict: Mapping[str, Sequence[Any]]
) -> ServedModel | None:
    """Finds the version that a node's new model is compared with.

    Args:
        exec_properties: `served_dir`, and what the driver added where it ran.
        input_dict: `model`, whose SavedModel lies in `Format-Serving`.

    Returns:
        The version, or that there is none; None where the node compares with nothing, or where the model is
        not known yet.

    Raises:
        CheckError: A pinned version is gone.
        ServableError: A version cannot be read.
    """
    served_dir = exec_properties.get(SERVED_DIR)
    if served_dir in (None, "", "None"):
        return None
    pinned = ServedModel.from_properties(exec_properties)
    if pinned is None:
        model = get_artifact(input_dict, "model")
        return None if model is None else find_served(Path(str(served_dir)), _read_digest(model))
    if pinned.version_dir is not None and not pinned.version_dir.is_dir():
        raise CheckError(
            "The version to compare with is gone.",
            expected="the version that lay there when the run began",
            where=str(pinned.version_dir),
            advice="run again",
        )
    return pinned


def _read_digest(model: Any) -> str:
    # The converters write it down; a model of another component has to be read.
    if model.has_custom_property("saved_model_digest"):
        return str(model.get_string_custom_property("saved_model_digest"))
    try:
        return digest_model(find_serving_dir(model))
    except ServableError:
        return ""  # The checks will say what is wrong with it.
