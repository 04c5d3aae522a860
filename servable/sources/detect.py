"""ROOM 1: which format lies here? By content, never by suffix. No TensorFlow here.

What passes through: a path that exists comes in, a `Kind` goes out. Nothing is loaded.
"""

from __future__ import annotations

import zipfile
from enum import StrEnum
from pathlib import Path

from servable.errors import BrokenSourceError, UnknownSourceError
from servable.formats.checkpoints.bundle import OBJECT_GRAPH_KEY, open_bundle
from servable.graphs.graph_heads import begins_like_graph
from servable.graphs.saved_model_parts import MODEL_FILES

# The signature of an HDF5 file stands at 0, or after a user block at 512, 1024, 2048, ...
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_MAX_OFFSET = 2**20


class Kind(StrEnum):
    """The formats that trainers leave behind."""

    TF1_SAVER = "tf1-saver"
    TF2_OBJECTS = "tf2-objects"
    KERAS_HDF5 = "keras-hdf5"
    KERAS_HDF5_WEIGHTS = "keras-hdf5-weights"
    KERAS_ARCHIVE = "keras-archive"
    SAVED_MODEL = "saved-model"
    FROZEN_GRAPH = "frozen-graph"


def detect_file(path: Path) -> Kind:
    """Tells what one file is.

    Raises:
        UnknownSourceError: It is no model file that is known.
        BrokenSourceError: It begins like one, but cannot be read.
    """
    if path.stat().st_size == 0:
        raise UnknownSourceError(
            "The file is empty.",
            expected="HDF5, a .keras archive, a checkpoint or a SavedModel",
            where=str(path),
            advice="copy it again from where it was written",
        )
    with path.open("rb") as file:
        head = file.read(4)
    # Before HDF5, whose signature may lie at byte 1024 and so be that of a member.
    if head.startswith(b"PK"):
        return _detect_zip(path)
    if is_hdf5(path):
        return _detect_hdf5(path)
    if path.name in MODEL_FILES:
        return Kind.SAVED_MODEL
    if begins_like_graph(path):
        return Kind.FROZEN_GRAPH
    raise UnknownSourceError(
        "This is not a model file that is known.",
        expected="HDF5 (.h5), a Keras archive (.keras), a frozen graph (.pb), a checkpoint prefix or a "
        "SavedModel folder",
        received=f"a file that begins with {head!r}",
        where=str(path),
        advice="name the file or folder that the trainer saved",
    )


def detect_checkpoint(prefix: Path) -> Kind:
    """Tells a checkpoint of `tf.train.Saver` from one of `tf.train.Checkpoint`.

    Raises:
        BrokenSourceError: The index cannot be read.
        UnknownSourceError: There is no index.
    """
    return Kind.TF2_OBJECTS if OBJECT_GRAPH_KEY in open_bundle(prefix).entries else Kind.TF1_SAVER


def is_hdf5(path: Path) -> bool:
    """Says whether a file carries HDF5's signature."""
    size = path.stat().st_size
    with path.open("rb") as file:
        offset = 0
        while offset < min(size, _HDF5_MAX_OFFSET):
            file.seek(offset)
            if file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE:
                return True
            offset = 512 if offset == 0 else offset * 2
    return False


def _detect_hdf5(path: Path) -> Kind:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return Kind.KERAS_HDF5 if "model_config" in file.attrs else Kind.KERAS_HDF5_WEIGHTS
    # What h5py raises for damage depends on where it meets it.
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise BrokenSourceError(
            "The HDF5 file cannot be opened: it is cut short, damaged or still being written.",
            received=str(error),
            where=str(path),
            advice="copy it again from where it was written",
        ) from error


def _detect_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    # zipfile has no word of its own for versions that it does not read (NotImplementedError).
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BrokenSourceError(
            "The archive cannot be opened: it is cut short, damaged or still being written.",
            received=str(error),
            where=str(path),
            advice="copy it again from where it was written",
        ) from error
    if "config.json" in names:
        return Kind.KERAS_ARCHIVE
    raise UnknownSourceError(
        "This zip file is not a Keras archive.",
        expected="a member config.json",
        received=", ".join(sorted(names)[:5]) or "no members",
        where=str(path),
        advice="where it is an archive of a model, unpack it first",
    )
