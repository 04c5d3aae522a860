"""Artifacts as executors need them: a local directory to read or to fill, and custom properties.

What passes through: executors hand in TFX's artifacts, which are only asked for their URI and told their
properties; TFX is needed only to say where in a Model its SavedModel lies. It is the one place where a URI
becomes a `Path`.
"""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servable.baseline import Baseline, load_baseline
from servable.errors import SettingsError
from servable.formats.publishing import collect_unpublished

# The one file of a baseline artifact.
BASELINE_FILE = "baseline.npz"
# Older ones were looked at by the runs before.
_MAX_ATTEMPTS = 20


def find_local_dir(uri: str) -> Path:
    """Turns an artifact's URI into a local path.

    Raises:
        SettingsError: It lies in an object store; files are mapped into memory and renamed, which needs a
            file system.
    """
    if "://" in uri:
        raise SettingsError(
            "The artifact does not lie on a local file system.",
            expected="a local or mounted path",
            received=uri,
            advice="give the pipeline a pipeline root on a mounted path",
        )
    return Path(uri)


def find_serving_dir(model: Any) -> Path:
    """Finds the SavedModel of a Model artifact: the very path that TFX's Pusher takes.

    Raises:
        SettingsError: It does not lie on a local file system.
    """
    from tfx.utils import path_utils

    return find_local_dir(path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model)))


def get_artifact(artifacts: Mapping[str, Sequence[Any]], key: str) -> Any:
    """Gets the only artifact under a key, None when the key is not there or empty.

    Raises:
        SettingsError: There is more than one.
    """
    found = artifacts.get(key) or []
    if len(found) > 1:
        raise SettingsError(
            f"There is more than one artifact for {key!r}.",
            expected="1",
            received=str(len(found)),
            advice="resolve to one, such as with a Resolver for the latest",
        )
    return found[0] if found else None


def read_baseline(artifact: Any | None) -> Baseline | None:
    """Reads a converter's baseline.

    Returns:
        None where there is no artifact, or where it has no samples: then there is nothing to compare with.
    """
    answers = None if artifact is None else load_baseline(find_local_dir(artifact.uri) / BASELINE_FILE)
    return answers if answers is not None and answers.samples else None


def set_properties(artifact: Any, properties: Mapping[str, str | int]) -> None:
    """Sets custom properties on an artifact by their type."""
    for key, value in properties.items():
        if isinstance(value, int):
            artifact.set_int_custom_property(key, value)
        else:
            artifact.set_string_custom_property(key, value)


def read_properties(artifact: Any, names: Sequence[str]) -> dict[str, str | int]:
    """Reads those custom properties that an artifact has, of the given names."""
    found: dict[str, str | int] = {}
    for name in names:
        text, number = artifact.get_string_custom_property(name), artifact.get_int_custom_property(name)
        if text or number:
            found[name] = text or number
    return found


@contextmanager
def fresh_output_dirs(output_dict: Mapping[str, Sequence[Any]]) -> Iterator[None]:
    """Gives every output artifact an empty directory, and empties them again when the work fails.

    Some runners make the directories and some do not, some clean them after a failure and some reuse the
    leftovers on a retry; so an executor trusts none of them. SystemExit is turned into an error because TFX
    would otherwise leave the execution RUNNING for ever.

    Raises:
        RuntimeError: The work called `sys.exit`.
    """
    dirs = [find_local_dir(artifact.uri) for artifacts in output_dict.values() for artifact in artifacts]
    for path in dirs:
        _empty_dir(path)
        _clear_killed_attempts(path.parent)
    try:
        yield
    except BaseException as error:
        for path in dirs:
            _empty_dir(path)
        if isinstance(error, SystemExit):
            raise RuntimeError(f"The work ended the process: exit code {error.code}") from error
        raise


def _clear_killed_attempts(folder: Path) -> None:
    """Removes what killed attempts have left half-written, each in a folder that nobody looks at."""
    attempts = [path for path in folder.iterdir() if path.name.isdecimal()]
    for path in heapq.nlargest(_MAX_ATTEMPTS, attempts, key=lambda path: int(path.name)):
        collect_unpublished(path)


def _empty_dir(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
