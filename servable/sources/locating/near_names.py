"""ROOM 1: what lies near a path at which nothing is. No TensorFlow here.

What passes through: a path that does not exist comes in, words for an error go out.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

from servable.errors import ServableError
from servable.sources.locating.checkpoint_spelling import list_checkpoints

_MAX_NAMED: Final = 10


def suggest_near(path: Path) -> str:
    """Names what is nearest to a path: names like it in its folder, or how far the path leads."""
    parent = path.parent
    if not parent.is_dir():
        there = next((p for p in parent.parents if p.is_dir()), Path(path.anchor or "."))
        missing = parent.relative_to(there).parts[0] if parent.is_relative_to(there) else parent.name
        return f"no folder {missing} in {there}; {_name_nearest(missing, there, only_folders=True)}"
    return _name_nearest(path.name, parent)


def _name_nearest(name: str, folder: Path, *, only_folders: bool = False) -> str:
    try:
        # What is hidden is nobody's answer: temporary folders of running conversions, for example.
        shown = (p for p in folder.iterdir() if not p.name.startswith("."))
        names = {p.name for p in shown if p.is_dir() or not only_folders}
        if not only_folders:
            names |= {prefix.name for prefix in list_checkpoints(folder)}
    except (OSError, ServableError) as error:
        return str(error)
    near = difflib.get_close_matches(name, sorted(names), n=_MAX_NAMED)
    if near:
        return "near it: " + ", ".join(near)
    return "beside it: " + ", ".join(sorted(names)[:_MAX_NAMED]) if names else "an empty folder"
