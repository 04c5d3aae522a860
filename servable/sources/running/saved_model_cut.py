"""ROOM 1: a SavedModel whose training ops are cut, for a runtime that can only load whole folders.

What passes through: the original and its changed nodes come in; a folder of its own goes out, with a new
graph and links to the original's variables and assets, for as long as it is needed. No TensorFlow here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servable.formats.protos import SavedModel
from servable.graphs.saved_model_parts import MODEL_FILE

_LINKED = ("variables", "assets")


@contextmanager
def write_cut_model(saved_model_dir: Path, meta_graph: Any, nodes: Iterable[Any]) -> Iterator[Path]:
    """Writes a SavedModel with other nodes.

    Args:
        saved_model_dir: The original; it is not changed.
        meta_graph: Its graph as it was read.
        nodes: What stands in the place of the graph's nodes.

    Yields:
        The folder; it is removed with the block.
    """
    saved_model = SavedModel(saved_model_schema_version=1)
    written = saved_model.meta_graphs.add()
    written.CopyFrom(meta_graph)
    del written.graph_def.node[:]
    written.graph_def.node.extend(nodes)
    with tempfile.TemporaryDirectory(prefix="servable-") as scratch:
        folder = Path(scratch) / saved_model_dir.name
        folder.mkdir()
        (folder / MODEL_FILE).write_bytes(saved_model.SerializePartialToString())
        for name in _LINKED:
            if (saved_model_dir / name).is_dir():
                (folder / name).symlink_to((saved_model_dir / name).resolve(), target_is_directory=True)
        yield folder
