"""ROOM 2: writes the files of a SavedModel, and publishes a finished folder in one move.

What passes through: a MetaGraphDef and asset files, then a folder that is complete beside its destination.
`saved_model.pb` is written last, because its presence is what a server takes for "finished".
No TensorFlow here.
"""

from __future__ import annotations

import errno
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from servable.errors import ExportError
from servable.formats.files import sync_path
from servable.formats.protos import SavedModel
from servable.graphs.saved_model_parts import MODEL_FILE

_SCHEMA_VERSION = 1  # kSavedModelSchemaVersion of tensorflow/cc/saved_model


def write_saved_model(out_dir: Path, meta_graph: Any, assets: Mapping[str, Path]) -> None:
    """Writes `assets/`, then `saved_model.pb`; `variables/` is there already.

    Args:
        out_dir: The SavedModel's folder.
        meta_graph: MetaGraphDef tagged `serve`.
        assets: Name in `assets/` to the file to copy.
    """
    if assets:
        (out_dir / "assets").mkdir()
    for name, source in assets.items():
        shutil.copyfile(source, out_dir / "assets" / name)
        sync_path(out_dir / "assets" / name)
    saved_model = SavedModel(saved_model_schema_version=_SCHEMA_VERSION)
    saved_model.meta_graphs.add().CopyFrom(meta_graph)
    path = out_dir / MODEL_FILE
    # Deterministic, so that the same source gives the same bytes and the same digest.
    path.write_bytes(saved_model.SerializePartialToString(deterministic=True))
    sync_path(path)


@contextmanager
def publish_dir(destination: Path) -> Iterator[Path]:
    """Gives a path beside the destination to write to, and moves it there when all went well.

    Args:
        destination: Must not exist, or be an empty folder.

    Yields:
        A path that does not exist yet, in a folder that does. What is there is removed when the block fails.

    Raises:
        ExportError: The destination holds something, or writing or moving failed.
    """
    with receive_dir(destination) as path:
        path.parent.mkdir(parents=True)
        yield path


@contextmanager
def receive_dir(destination: Path) -> Iterator[Path]:
    """The same for a block in which another process makes all folders, if it comes so far.

    Args:
        destination: Must not exist, or be an empty folder.

    Yields:
        A path that does not exist yet, nor does its folder.

    Raises:
        ExportError: The destination holds something, or writing or moving failed.
    """
    _refuse_occupied(destination)
    missing = [folder for folder in destination.parents if not folder.exists()]
    scratch = destination.parent / f".{destination.name}.{secrets.token_hex(8)}.tmp"
    try:
        yield scratch / "saved_model"
        _move_dir(scratch / "saved_model", destination)
    except OSError as error:
        raise _explain_os_error(error, destination) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        for folder in missing:
            with suppress(OSError):  # it holds the finished model, or what somebody else put there
                folder.rmdir()


def _move_dir(finished: Path, destination: Path) -> None:
    for folder in (*(path for path in finished.rglob("*") if path.is_dir()), finished):
        sync_path(folder)
    try:
        finished.rename(destination)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP):
            raise
        _copy_dir(finished, destination)
    sync_path(destination.parent)


def _copy_dir(finished: Path, destination: Path) -> None:
    """Copies where a folder cannot be renamed (object stores mounted as folders), saved_model.pb last."""
    try:
        shutil.copytree(finished, destination, ignore=shutil.ignore_patterns(MODEL_FILE), dirs_exist_ok=True)
        shutil.copyfile(finished / MODEL_FILE, destination / MODEL_FILE)
    except OSError:
        shutil.rmtree(destination, ignore_errors=True)
        raise


def _refuse_occupied(destination: Path) -> None:
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise ExportError(
            "The destination is not a folder.",
            expected="a new folder",
            where=str(destination),
            advice="choose another folder, such as the next version number",
        )
    if destination.is_dir() and any(destination.iterdir()):
        raise ExportError(
            "The destination is not empty, and nothing is ever overwritten.",
            expected="a new or empty folder",
            received=", ".join(sorted(path.name for path in destination.iterdir())[:5]),
            where=str(destination),
            advice="choose another folder, such as the next version number",
        )


def _explain_os_error(error: OSError, destination: Path) -> ExportError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ExportError(
            "There is not enough disk space for the SavedModel; nothing was left behind.",
            received=f"{error.strerror}",
            where=str(destination.parent),
            advice="free some space or choose a folder on another disk",
        )
    return ExportError(
        "The SavedModel could not be written; nothing was left behind.",
        received=str(error),
        where=str(destination),
        advice="check that the folder may be written to, or choose another",
    )
