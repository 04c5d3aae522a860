"""Does a file begin like a GraphDef? By content, for trainers call it .pb, .pbtxt, .bytes or nothing at all.

What passes through: a path comes in, yes or no goes out; only the beginning is read. No TensorFlow here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from servable.formats.files import open_source_file

_HEAD_BYTES: Final = 65536
_TEXT: Final = re.compile(rb"(?:\s|#[^\n]*\n)*node\s*:?\s*[{<]\s*(?:#[^\n]*\n\s*)*name\s*:\s*[\"']")
# As tensorflow/core/framework/node_def_util.cc takes them; custom ops have ":" or ">" too.
_NAME: Final = re.compile(rb"[A-Za-z0-9._][A-Za-z0-9._/>\\-]*")
_OP: Final = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9._>:\\-]*")
_FIELD_1: Final = 0x0A  # length-delimited field number 1: GraphDef.node, and NodeDef.name in it
_FIELD_2: Final = 0x12  # NodeDef.op


def begins_like_graph(path: Path) -> bool:
    """Says whether a file begins with a node that has a name and an op, in binary or text.

    A SavedModel begins with the number of its schema, a MetaGraphDef with a message that names no node.

    Raises:
        BrokenSourceError: The file cannot be read.
    """
    with open_source_file(path) as file:
        head = file.read(_HEAD_BYTES)
    return _TEXT.match(head) is not None or _begins_with_node(head)


def _begins_with_node(head: bytes) -> bool:
    node = _read_field(head, 0, _FIELD_1)
    name = _read_field(head, node[0], _FIELD_1) if node else None
    op = _read_field(head, name[1], _FIELD_2) if name else None
    if node is None or name is None or op is None or op[1] > node[1]:
        return False
    return bool(_NAME.fullmatch(head, *name) and _OP.fullmatch(head, *op))


def _read_field(head: bytes, position: int, tag: int) -> tuple[int, int] | None:
    """Gives begin and end of a length-delimited field that stands at a position."""
    if position >= len(head) or head[position] != tag:
        return None
    length, shift = 0, 0
    for begin in range(position + 1, min(position + 6, len(head))):
        length |= (head[begin] & 0x7F) << shift
        shift += 7
        if head[begin] < 0x80:
            return begin + 1, begin + 1 + length
    return None
