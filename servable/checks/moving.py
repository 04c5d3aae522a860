"""A copy of the SavedModel somewhere else: what is served is never where it was made.

What passes through: a folder that `layout` has passed comes in, one with the same files in a place of its own
goes out, so that a model which needs its old place, or writes to it, is found. Small models are copied, large
ones linked file by file (hard links: symbolic ones would lead back), and never read twice.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path

_COPIED_BYTES = 64 << 20


class Moved(StrEnum):
    """How a model came to where it was run."""

    COPY = "a copy"
    LINKS = "hard links"
    IN_PLACE = "its own folder"


def move_model(saved_model_dir: Path, stack: ExitStack) -> tuple[Path, Moved]:
    """Puts a model's files into a temporary folder.

    Args:
        saved_model_dir: Of plain files and links that stay inside.
        stack: Takes the folder away when it is closed.

    Returns:
        Where the model is now, and how it came there. A large one that cannot be linked, such as one of
        another file system, stays in its own folder.
    """
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="servable-moved-")))
    target = home / "model"
    try:
        size_bytes = sum(path.stat().st_size for path in saved_model_dir.rglob("*") if path.is_file())
        how = Moved.COPY if size_bytes <= _COPIED_BYTES else Moved.LINKS
        for folder, _, files in os.walk(saved_model_dir, followlinks=True):
            here = target / Path(folder).relative_to(saved_model_dir)
            here.mkdir()
            for name in files:
                # What a link inside the folder names, under the link's name.
                source = Path(folder, name).resolve()
                if how is Moved.COPY:
                    shutil.copyfile(source, here / name)
                else:
                    os.link(source, here / name)
    except OSError:
        return saved_model_dir, Moved.IN_PLACE
    return target, how
