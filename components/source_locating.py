"""Where a conversion's source lies: at a path outside, or in the artifact of an upstream component.

What passes through: execution properties and input artifacts come in, one local path goes out. Artifacts are
only asked for their URI, so this needs neither TensorFlow nor TFX.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from components.artifacts import find_local_dir, get_artifact
from components.options import read_text
from servable.errors import SettingsError, SourceError, UnknownSourceError
from servable.formats.remote import is_remote, read_local_path
from servable.sources.resolving import resolve_source
from servable.sources.staging import Staged, stage_source

SOURCE = "source"
SOURCE_MODEL = "source_model"
SOURCE_SUBPATH = "source_subpath"

# TFX's standard layout of a Model artifact (tfx/utils/path_constants.py, SERVING_MODEL_DIR).
_SERVING_DIR = "Format-Serving"


def locate_source(
    exec_properties: Mapping[str, Any],
    input_dict: Mapping[str, Sequence[Any]],
    *,
    step: int | None = None,
) -> Path | None:
    """Finds the path that a conversion starts from.

    An upstream Model is looked through in its `Format-Serving` directory first, then at its root; the first
    of the two that holds a known, complete model is taken.

    Args:
        exec_properties: With `source`, or with `source_subpath` for a `source_model`.
        input_dict: Resolved input artifacts.
        step: Wanted training step of a checkpoint.

    Returns:
        A local path; None when the source is an artifact that is not resolved yet.

    Raises:
        SettingsError: There is neither source nor artifact, the sub-path leaves the artifact, or the artifact
            is not on a local file system.
        SourceError: No place in the artifact holds a known model.
    """
    source = read_text(exec_properties, SOURCE)
    if source:
        return read_local_path(source)
    if not input_dict.get(SOURCE_MODEL):
        return None
    base_dir = find_local_dir(get_artifact(input_dict, SOURCE_MODEL).uri)
    subpath = check_subpath(read_text(exec_properties, SOURCE_SUBPATH))
    return _choose_place([base_dir / _SERVING_DIR / subpath, base_dir / subpath], step=step)


@contextmanager
def open_located(
    exec_properties: Mapping[str, Any],
    input_dict: Mapping[str, Sequence[Any]],
    *,
    step: int | None = None,
) -> Iterator[Staged | None]:
    """Finds the source as `locate_source` does, and fetches it where it lies on another machine.

    Yields:
        Path and address; None when the source is an artifact that is not resolved yet. A copy is removed with
        the block.

    Raises:
        SettingsError: As `locate_source`, or the driver for the address is not installed.
        SourceError: No known model is there, or it cannot be fetched.
    """
    source = read_text(exec_properties, SOURCE)
    if is_remote(source):
        with stage_source(source, step=step) as staged:
            yield staged
        return
    path = locate_source(exec_properties, input_dict, step=step)
    yield None if path is None else Staged(path)


def check_subpath(subpath: str) -> PurePosixPath:
    """Makes sure that a sub-path stays inside the artifact.

    Raises:
        SettingsError: It is absolute or climbs out.
    """
    path = PurePosixPath(subpath)
    if path.is_absolute() or ".." in path.parts:
        raise SettingsError(
            "The sub-path leaves the artifact.",
            expected="a relative path without ..",
            received=subpath,
            where=SOURCE_SUBPATH,
            advice="name the place below the artifact, such as checkpoints/model.ckpt",
        )
    return path


def _choose_place(places: Sequence[Path], *, step: int | None) -> Path:
    faults: list[SourceError] = []
    for place in places:
        try:
            resolve_source(place, step=step)
        except SourceError as error:
            faults.append(error)
        else:
            return place
    # A broken model says more than an empty directory.
    known = [fault for fault in faults if not isinstance(fault, UnknownSourceError)]
    raise (known or faults)[0]
