"""A graph alone in a file: GraphDef or MetaGraphDef, binary or text, told by content.

What passes through: a file that a user names comes in, a MetaGraphDef goes out; of a GraphDef it holds the
graph and nothing else. Nothing of the graph is run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from servable.errors import BrokenSourceError
from servable.formats.files import open_source_file
from servable.formats.protos import GraphDef, MetaGraphDef, parse_message, parse_text_message
from servable.graphs.meta_graph_files import is_meta_graph_text, read_meta_graph_file

_HEAD_BYTES: Final = 65536
# The first field of a GraphDef in text.
_GRAPH_TEXT: Final = re.compile(rb"(?:\s|#[^\n]*\n)*(?:node|library|versions?)\s*(?:[{<]|:)")


def read_graph_definition(path: Path) -> Any:
    """Reads a graph, whichever of the four forms it has.

    Args:
        path: Such as an Estimator's `graph.pbtxt`, a `.pb` of `tf.io.write_graph`, or a `.meta`.

    Returns:
        A MetaGraphDef message with at least one node.

    Raises:
        BrokenSourceError: The file cannot be read, is too large, or holds no graph.
    """
    with open_source_file(path) as file:
        head = file.read(_HEAD_BYTES)
    if is_meta_graph_text(path):
        meta_graph = read_meta_graph_file(path)
    elif _GRAPH_TEXT.match(head):
        meta_graph = MetaGraphDef(graph_def=parse_text_message(GraphDef, path))
    else:
        meta_graph = _read_binary(path)
    if not meta_graph.graph_def.node:
        raise _no_graph(path, head)
    return meta_graph


def _read_binary(path: Path) -> Any:
    # Bytes of the one message may decode as the other; a graph whose nodes have names and ops decides.
    try:
        meta_graph = parse_message(MetaGraphDef, path)
        if _is_graph(meta_graph.graph_def):
            return meta_graph
    except BrokenSourceError as error:
        if not isinstance(error.__cause__, DecodeError):
            raise
    try:
        graph_def = parse_message(GraphDef, path)
    except BrokenSourceError as error:
        if not isinstance(error.__cause__, DecodeError):
            raise
        graph_def = GraphDef()
    return MetaGraphDef(graph_def=graph_def) if _is_graph(graph_def) else MetaGraphDef()


def _is_graph(graph_def: Any) -> bool:
    return bool(graph_def.node) and all(node.name and node.op for node in graph_def.node)


def _no_graph(path: Path, head: bytes) -> BrokenSourceError:
    return BrokenSourceError(
        "The file holds no graph.",
        expected="a GraphDef or a MetaGraphDef, binary or text: graph.pbtxt, a .pb or a .meta",
        received=f"a file that begins with {head[:16]!r}" if head else "an empty file",
        where=str(path),
        advice="write one with tf.io.write_graph(graph, FOLDER, NAME) where the model was trained",
    )
