"""ROOM 1: every way to name a checkpoint, turned into its prefix. No TensorFlow here.

What passes through: a path that somebody typed comes in: a prefix, an index, a data file, a meta graph, one
shard of the old format or the pattern of all. The prefix that `open_bundle` takes goes out. Names decide only
what to look for; what is there, and what is in it, decides what it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from servable.errors import UnknownSourceError
from servable.formats.checkpoints.checkpoint_names import (
    index_path,
    join_v1_shards,
    list_v1_paths,
    split_step,
    strip_shards,
    strip_v2_part,
)
from servable.formats.checkpoints.v1_index import is_v1_file
from servable.graphs.meta_graph_files import META_SUFFIXES, find_meta_graph_file, is_meta_graph_text

# What a saver renames when it is whole.
_UNFINISHED: Final = re.compile(r"\.tempstate\d+$")


def find_prefix(path: Path) -> Path | None:
    """Turns any spelling of a checkpoint into its prefix.

    Args:
        path: As typed; need not exist.

    Returns:
        The prefix, also of a checkpoint that lacks files, so that its opening can name them. None when the
        path is something else.

    Raises:
        UnknownSourceError: Several checkpoints go by the name.
    """
    if os.path.lexists(index_path(path)):
        return path
    base = strip_v2_part(path)
    if base is not None:
        return base if _has_v2_part(base) else None
    joined = join_v1_shards(path)
    if joined is not None and any(_is_v1_part(part) for part in list_v1_paths(joined)):
        return joined
    base = _strip_meta(path)
    if base is not None:
        return _find_weights(base) or base
    if path.is_file():
        return path if is_v1_file(path) else None
    return None if path.exists() else _find_weights(path)


def list_checkpoints(folder: Path) -> list[Path]:
    """Lists the prefixes in a folder, by step and then by name; complete or not."""
    prefixes = set()
    for path in folder.iterdir():
        prefix = strip_v2_part(path)
        if prefix is None and _is_v1_part(path):
            prefix = join_v1_shards(path) or path
        if prefix is not None and not path.is_dir():
            prefixes.add(prefix)
    return sorted(prefixes, key=_order)


def read_step(prefix: Path) -> int | None:
    """Reads the training step at the end of a prefix ("model.ckpt-200" is 200)."""
    return split_step(prefix)[1]


def _order(prefix: Path) -> tuple[int, str]:
    step = read_step(prefix)
    return -1 if step is None else step, prefix.name


def _strip_meta(path: Path) -> Path | None:
    """A longer suffix goes first: `.meta.pbtxt` is also a `.pbtxt`."""
    for suffix in sorted(META_SUFFIXES, key=len, reverse=True):
        name = path.name.removesuffix(suffix)
        if name and name != path.name and path.is_file():
            return path.with_name(name) if suffix != ".pbtxt" or is_meta_graph_text(path) else None
    return None


def _find_weights(base: Path) -> Path | None:
    """Finds the prefix whose files go by a name without shards."""
    if _has_v2_part(base) or _is_v1_part(base):
        return base
    if not base.parent.is_dir():
        return None
    patterns = {
        pattern
        for pattern in map(join_v1_shards, base.parent.iterdir())
        if pattern is not None and strip_shards(pattern) == base
    }
    found = sorted(p for p in patterns if any(_is_v1_part(part) for part in list_v1_paths(p)))
    if len(found) > 1:
        raise UnknownSourceError(
            "Several checkpoints go by this name.",
            expected="one set of shards",
            received=", ".join(pattern.name for pattern in found),
            where=str(base),
            advice=f"name one, such as '{found[-1]}'",
        )
    return found[0] if found else None


def _has_v2_part(base: Path) -> bool:
    if os.path.lexists(index_path(base)):
        return True
    return base.parent.is_dir() and any(strip_v2_part(path) == base for path in base.parent.iterdir())


def _is_v1_part(path: Path) -> bool:
    """A file that is no table, but has a `.meta`, was one before it was cut off."""
    if _UNFINISHED.search(path.name) or not path.is_file():
        return False
    return is_v1_file(path) or find_meta_graph_file(path) is not None
