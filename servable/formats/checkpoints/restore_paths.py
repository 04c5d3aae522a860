"""A checkpoint's path as TensorFlow's restore ops take it.

What passes through: an opened checkpoint comes in, a path goes out. The ops take any path for a pattern and
expand it, so that nothing is found in a folder called "run[1]", whatever the format.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from servable.formats.checkpoints.bundle_entries import TensorBundle
from servable.formats.checkpoints.checkpoint_names import strip_shards

_SPECIAL: Final = frozenset("*?[]\\")
_PLAIN_NAME: Final = "model"


@contextmanager
def spell_for_restore(bundle: TensorBundle) -> Iterator[str]:
    """Gives a path that a restore op can be fed with.

    Yields:
        The checkpoint's own prefix, or where that would be taken for a pattern, one of links to its files,
        which are gone after the block.
    """
    base = strip_shards(bundle.prefix)
    if not _SPECIAL & set(str(base)):
        yield str(bundle.prefix)
        return
    with tempfile.TemporaryDirectory(prefix="servable-") as folder:
        for path in bundle.files:
            Path(folder, _rename(path, base)).symlink_to(path.absolute())
        yield str(Path(folder, _rename(bundle.prefix, base)))


def _rename(path: Path, base: Path) -> str:
    return _PLAIN_NAME + path.name.removeprefix(base.name)
