"""ROOM 1: from whatever path a user has to the exact files of one complete source. No TensorFlow here.

What passes through: a folder, a prefix, a state file or any file of a checkpoint comes in; a `Source` goes
out. What is chosen is complete: a checkpoint that a trainer is still writing is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from servable.errors import BrokenSourceError, UnknownSourceError
from servable.formats.checkpoints.checkpoint_names import split_step
from servable.formats.files import require_inside
from servable.graphs.graph_definitions import read_graph_definition
from servable.graphs.graph_heads import begins_like_graph
from servable.graphs.meta_graph_files import find_meta_graph_file
from servable.graphs.saved_model_parts import MODEL_FILES
from servable.model import Origin
from servable.report import Finding, Severity
from servable.sources.detect import Kind, detect_checkpoint, detect_file
from servable.sources.locating.checkpoint_dir import (
    choose_checkpoint,
    find_vocabularies,
    list_checkpoint_files,
)
from servable.sources.locating.checkpoint_spelling import find_prefix, list_checkpoints, read_step
from servable.sources.locating.checkpoint_state import STATE_FILE, is_state_file
from servable.sources.locating.near_names import suggest_near

MODEL_SUFFIXES = frozenset({".h5", ".hdf5", ".keras"})
_GRAPH_SUFFIXES = frozenset({".pb", ".pbtxt"})  # of much else too, so that the content decides

# What a SavedModel keeps beside its graph: no models of their own.
SAVED_MODEL_DIRS = frozenset({"variables", "assets", "assets.extra"})
_MAX_NAMED = 10


@dataclass(frozen=True, slots=True)
class Source:
    """One complete source.

    Attributes:
        path: The exact file, SavedModel folder or checkpoint prefix.
        kind: Its format.
        files: Every file that belongs to it, sorted; vocabularies beside a checkpoint too.
        root: The folder that all of them lie in.
        step: Training step, where the name carries one.
        notes: Why this one was chosen, where there was a choice.
    """

    path: Path
    kind: Kind
    files: tuple[Path, ...]
    root: Path
    step: int | None = None
    notes: tuple[Finding, ...] = ()


def describe_origin(source: Source, *, framework: str, framework_version: str) -> Origin:
    """Says where a model comes from; the digest of its files is read beside the work, see `open_source`.

    Args:
        source: As it was resolved.
        framework: "tensorflow" or "keras".
        framework_version: As the file says, or "".
    """
    return Origin(
        path=source.path,
        kind=source.kind.value,
        framework=framework,
        framework_version=framework_version,
        files=source.files,
        step=source.step,
        digest="",
    )


def resolve_source(path: Path, *, step: int | None = None) -> Source:
    """Finds the exact source that a path means.

    Args:
        path: A model file, a checkpoint's prefix or any of its files, a `checkpoint` state file, or a folder
            that holds one of these, itself or one level down.
        step: Which checkpoint of a folder, or of those that go by the same name; the latest complete one by
            default.

    Raises:
        UnknownSourceError: Nothing known is there.
        BrokenSourceError: What is there is damaged or incomplete.
    """
    path = _expand_home(path)
    saved_model_dir = _find_saved_model_around(path)
    if saved_model_dir is not None:
        return _resolve_saved_model(saved_model_dir, _note_part(saved_model_dir, path))
    if path.is_dir():
        return _resolve_dir(path, step)
    if is_state_file(path):
        return _resolve_checkpoint_dir(path.parent, step, state_path=path)
    prefix = find_prefix(path)
    if prefix is not None:
        return _resolve_prefix(path, prefix, step)
    if not path.exists():
        name, own_step = split_step(path)
        if (step is not None or own_step is None) and _has_checkpoint(path.parent, name):
            return _resolve_checkpoint_dir(path.parent, step, name=name)
        raise UnknownSourceError(
            "Nothing is at this path.",
            expected="a model file, a folder, or the prefix of a checkpoint",
            received=suggest_near(path),
            where=str(path),
        )
    try:
        kind = detect_file(path)
    except UnknownSourceError:
        if find_meta_graph_file(path) is None:
            raise
        return _describe_prefix(path, ())  # An old checkpoint that is cut off: opening it says so.
    if kind is Kind.SAVED_MODEL:
        return _resolve_saved_model(path.parent, _note_part(path.parent, path))
    if kind is Kind.FROZEN_GRAPH:
        vocabularies = find_vocabularies(read_graph_definition(path).graph_def, path.parent)
        return Source(path, kind, tuple(sorted({path, *vocabularies})), path.parent)
    return Source(path, kind, (path,), path.parent)


def _resolve_dir(path: Path, step: int | None) -> Source:
    if _holds_saved_model(path):
        return _resolve_saved_model(path)
    if (path / STATE_FILE).is_file() or list_checkpoints(path):
        return _resolve_checkpoint_dir(path, step)
    models = _list_model_files(path)
    if len(models) == 1:
        return resolve_source(models[0])
    if models:
        raise UnknownSourceError(
            "The folder holds several model files.",
            expected="one of them",
            received=", ".join(model.name for model in models),
            where=str(path),
            advice=f"name one, such as {models[0]}",
        )
    child = _find_model_dir_below(path)
    if child is not None:
        source = _resolve_dir(child, step)
        return replace(source, notes=(*_note(f"looked into the folder {child.name}", child), *source.notes))
    inside = ", ".join(sorted(child.name for child in path.iterdir())[:10])
    raise UnknownSourceError(
        "The folder holds no model.",
        expected="a checkpoint (*.index and *.data-*), a .h5 or .keras file, or saved_model.pb",
        received=inside or "an empty folder",
        where=str(path),
        advice="name the folder or file that the trainer saved",
    )


def _resolve_checkpoint_dir(
    path: Path, step: int | None, *, name: str | None = None, state_path: Path | None = None
) -> Source:
    choice = choose_checkpoint(path, step, name=name, state_path=state_path)
    return _describe_prefix(choice.prefix, _note(choice.reason, choice.prefix))


def _resolve_prefix(path: Path, prefix: Path, step: int | None) -> Source:
    if step is not None and read_step(prefix) != step:
        return _resolve_checkpoint_dir(prefix.parent, step, name=split_step(prefix)[0])
    return _describe_prefix(prefix, () if path == prefix else _note_part(prefix, path))


def _describe_prefix(prefix: Path, notes: Sequence[Finding]) -> Source:
    try:
        kind = detect_checkpoint(prefix)
    except UnknownSourceError as error:
        raise BrokenSourceError(
            "The checkpoint has no index.",
            expected=f"{prefix.name}.index, or in the format before TensorFlow 0.12 a file {prefix.name}",
            received=suggest_near(prefix),
            where=str(prefix),
            advice="copy all of its files: .index, .data-* and .meta",
        ) from error
    files = list_checkpoint_files(prefix)
    return Source(prefix, kind, tuple(sorted(files)), prefix.parent, read_step(prefix), tuple(notes))


def _resolve_saved_model(path: Path, notes: tuple[Finding, ...] = ()) -> Source:
    for name in sorted(SAVED_MODEL_DIRS):
        require_inside(path / name, path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return Source(path, Kind.SAVED_MODEL, tuple(files), path, notes=notes)


def _find_saved_model_around(path: Path) -> Path | None:
    """The variables of a SavedModel are a checkpoint too, but nobody means them without their graph."""
    variables_dir = path if path.is_dir() else path.parent
    is_inside = variables_dir.name == "variables" and variables_dir.is_dir()
    saved_model_dir = variables_dir.parent
    return saved_model_dir if is_inside and _holds_saved_model(saved_model_dir) else None


def _find_model_dir_below(path: Path) -> Path | None:
    """Finds the one folder in this one that holds a model, such as `checkpoints/`."""
    found = [child for child in sorted(path.iterdir()) if child.is_dir() and _may_hold_model(child)]
    if len(found) > 1:
        raise UnknownSourceError(
            "Several folders in this one hold models.",
            expected="one of them",
            received=", ".join(child.name for child in found[:_MAX_NAMED]),
            where=str(path),
            advice=f"name one, such as {found[-1]}",
        )
    return found[0] if found else None


def _may_hold_model(path: Path) -> bool:
    if path.name.startswith(".") or path.name in SAVED_MODEL_DIRS or path.is_symlink():
        return False
    is_checkpoint_dir = (path / STATE_FILE).is_file() or bool(list_checkpoints(path))
    return is_checkpoint_dir or _holds_saved_model(path) or bool(_list_model_files(path))


def _has_checkpoint(folder: Path, name: str) -> bool:
    return folder.is_dir() and any(split_step(prefix)[0] == name for prefix in list_checkpoints(folder))


def _holds_saved_model(path: Path) -> bool:
    return any((path / name).is_file() for name in MODEL_FILES)


def _list_model_files(path: Path) -> list[Path]:
    files = [p for p in path.iterdir() if p.is_file()]
    models = [p for p in files if p.suffix.lower() in MODEL_SUFFIXES]
    return sorted(models + [p for p in files if p.suffix.lower() in _GRAPH_SUFFIXES and begins_like_graph(p)])


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # No such user: a file may begin with "~" all the same.
        return path


def _note_part(chosen: Path, part: Path) -> tuple[Finding, ...]:
    return _note(f"took {chosen.name}, which {part.name} belongs to", chosen)


def _note(message: str, where: Path) -> tuple[Finding, ...]:
    return (Finding("source", Severity.INFO, message, where=str(where)),)
