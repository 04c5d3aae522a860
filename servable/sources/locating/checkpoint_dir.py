"""ROOM 1: folders of checkpoints: which are there, which are complete, which one is meant.

What passes through: a training folder comes in, one prefix goes out. A trainer writes shards, then `.index`,
then `.meta`, then the `checkpoint` state file; whatever lacks its part is not finished. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servable.errors import BrokenSourceError, ServableError, UnknownSourceError
from servable.formats.checkpoints.bundle import check_extents, open_bundle
from servable.formats.checkpoints.checkpoint_names import split_step
from servable.graphs.graph import TEXT_FILE_INITIALIZER_OPS, index_nodes
from servable.graphs.graph_files import find_file_names, locate_file
from servable.graphs.meta_graph_files import find_meta_graph_file, read_meta_graph_file
from servable.sources.locating.checkpoint_spelling import list_checkpoints, read_step
from servable.sources.locating.checkpoint_state import STATE_FILE, find_latest


@dataclass(frozen=True, slots=True)
class Choice:
    """The checkpoint that is meant, and why."""

    prefix: Path
    reason: str


def list_checkpoint_files(prefix: Path) -> list[Path]:
    """Lists index, shards, meta graph and the vocabularies beside them."""
    files = list(open_bundle(prefix).files)
    meta_path = find_meta_graph_file(prefix)
    if meta_path is not None:
        files.append(meta_path)
        files += find_vocabularies(read_meta_graph_file(meta_path).graph_def, meta_path.parent)
    return files


def choose_checkpoint(
    folder: Path, step: int | None, *, name: str | None = None, state_path: Path | None = None
) -> Choice:
    """Picks one checkpoint of a folder.

    Args:
        folder: Where a trainer keeps its checkpoints.
        step: The one to take; None for the latest that is complete.
        name: Only those that go by this name, such as "model.ckpt"; all by default.
        state_path: The state file; the folder's own by default.

    Raises:
        UnknownSourceError: The step, or the checkpoint that the state file names, is not there.
        BrokenSourceError: None is complete.
    """
    state_path = state_path or folder / STATE_FILE
    latest = find_latest(state_path)
    if latest is not None:
        folder = latest.parent  # A state file may name a subfolder of its own.
    everything = list_checkpoints(folder)
    prefixes = [prefix for prefix in everything if name is None or split_step(prefix)[0] == name]
    if step is not None:
        return _choose_step(folder, prefixes, step)
    if latest is not None and latest not in everything and name is None:
        raise UnknownSourceError(
            f"The `{state_path.name}` state file names a checkpoint that is not there.",
            expected=latest.name,
            received=_name_all(prefixes),
            where=str(state_path),
            advice=_advise(prefixes),
        )
    if latest not in prefixes:
        _refuse_mixture(folder, prefixes)
        latest = None
    candidates = [prefix for prefix in reversed(prefixes) if prefix != latest]
    if latest is not None:
        candidates.insert(0, latest)
    wants_meta = any(find_meta_graph_file(prefix) is not None for prefix in prefixes)
    passed_over: list[str] = []
    for prefix in candidates:
        problem = find_incompleteness(prefix, wants_meta=wants_meta)
        if problem is None:
            source = "named by the state file" if prefix == latest else "the newest complete one"
            skipped = f"; passed over {'; '.join(passed_over)}" if passed_over else ""
            return Choice(prefix, f"took {prefix.name} of {len(prefixes)}, {source}{skipped}")
        passed_over.append(f"{prefix.name}: {problem}")
    raise BrokenSourceError(
        "No checkpoint in the folder is complete.",
        expected="an .index whose shards are all there in full length",
        received="; ".join(passed_over) or "none",
        where=str(folder),
        advice="copy one with all of its files, or wait until the trainer has written it",
    )


def find_incompleteness(prefix: Path, *, wants_meta: bool = False) -> str | None:
    """Says what a checkpoint lacks; None when it is complete.

    Args:
        prefix: Of the checkpoint.
        wants_meta: Whether its neighbours have a `.meta`, so that a missing one means "not yet written".
    """
    try:
        problems = check_extents(open_bundle(prefix))
    except ServableError as error:
        return f"{error.problem} {error.received}".strip()
    if problems:
        return problems[0]
    if wants_meta and find_meta_graph_file(prefix) is None:
        return "its .meta is not there yet"
    return None


def _choose_step(folder: Path, prefixes: Sequence[Path], step: int) -> Choice:
    matching = [prefix for prefix in prefixes if read_step(prefix) == step]
    if len(matching) == 1:
        return Choice(matching[0], f"took {matching[0].name} of {len(prefixes)}, as asked")
    raise UnknownSourceError(
        f"Step {step} is not there." if not matching else f"Step {step} is there more than once.",
        expected=f"a checkpoint whose name ends in -{step}",
        received=_name_all(prefixes),
        where=str(folder),
        advice=f"name one, such as '{matching[-1]}'" if matching else _advise(prefixes),
    )


def _refuse_mixture(folder: Path, prefixes: Sequence[Path]) -> None:
    names_and_steps = [split_step(prefix) for prefix in prefixes]
    is_doubled = len(set(names_and_steps)) < len(names_and_steps)
    if is_doubled or len({name for name, _ in names_and_steps}) > 1:
        raise UnknownSourceError(
            "The folder holds the same step more than once and no state file that picks one."
            if is_doubled
            else "The folder holds checkpoints of different names and no state file that picks one.",
            expected="the prefix of one of them",
            received=_name_all(prefixes),
            where=str(folder),
            advice=f"name one, such as '{prefixes[-1]}'",
        )


def find_vocabularies(graph_def: Any, folder: Path) -> list[Path]:
    """Lists the files in a folder that a graph's lookup tables read."""
    nodes = index_nodes(graph_def)
    readers = [name for name, node in nodes.items() if node.op in TEXT_FILE_INITIALIZER_OPS]
    try:
        names = find_file_names(nodes, readers)
    except ServableError:
        return []  # the export says it, if the table is needed at all
    found = (locate_file(name, folder, {}) for name in names.values())
    return sorted({path for path in found if path is not None})


def _name_all(prefixes: Sequence[Path]) -> str:
    return ", ".join(prefix.name for prefix in prefixes) or "no checkpoint"


def _advise(prefixes: Sequence[Path]) -> str:
    steps = [str(step) for step in map(read_step, prefixes) if step is not None]
    if steps:
        return "--step N with one of " + ", ".join(steps)
    return f"name it: '{prefixes[-1]}'" if prefixes else "check the path"
