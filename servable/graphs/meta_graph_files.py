"""The file with a checkpoint's graph, binary or text: where it lies and what is in it.

What passes through: a checkpoint's prefix comes in, the path of its `.meta` goes out; that path comes in, a
MetaGraphDef goes out. Which form it has is told by content: `Saver.export_meta_graph(as_text=True)` writes
text under any name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from servable.formats.checkpoints.checkpoint_names import strip_shards
from servable.formats.files import open_source_file
from servable.formats.protos import MetaGraphDef, parse_message, parse_text_message

# `.meta` is what a saver writes; the others are what people call a text that they have exported.
META_SUFFIXES: Final = (".meta", ".meta.txt", ".meta.pbtxt", ".pbtxt")

_HEAD_BYTES: Final = 4096
_TEXT_START: Final = re.compile(
    rb"(?:\s|#[^\n]*\n)*"
    rb"(?:meta_info_def|graph_def|saver_def|collection_def|signature_def|asset_file_def|object_graph_def)"
    rb"\s*:?\s*[{<]"
)


def find_meta_graph_file(prefix: Path) -> Path | None:
    """Finds the graph beside a checkpoint.

    Args:
        prefix: Of a checkpoint in either format; the shards of a V1 one share one `.meta`.

    Returns:
        The first of `META_SUFFIXES` that is there, whatever is in it; a plain `.pbtxt` only when it begins
        like a MetaGraphDef, since others write GraphDefs under such a name. None when there is no graph.
    """
    base = strip_shards(prefix)
    for suffix in META_SUFFIXES:
        path = base.with_name(base.name + suffix)
        if path.is_file() and (suffix != ".pbtxt" or is_meta_graph_text(path)):
            return path
    return None


def read_meta_graph_file(path: Path) -> Any:
    """Reads a MetaGraphDef, binary or text.

    Returns:
        A message of `servable.formats.protos`.

    Raises:
        BrokenSourceError: The file cannot be read, is too large, or holds something else.
    """
    return (
        parse_text_message(MetaGraphDef, path)
        if is_meta_graph_text(path)
        else parse_message(MetaGraphDef, path)
    )


def is_meta_graph_text(path: Path) -> bool:
    """Says whether a file begins like a MetaGraphDef in text form.

    Raises:
        BrokenSourceError: The file cannot be read.
    """
    with open_source_file(path) as file:
        return _TEXT_START.match(file.read(_HEAD_BYTES)) is not None
