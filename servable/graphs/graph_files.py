"""The files that a graph's lookup tables read, and where they lie now.

What passes through: nodes of a graph and the folder of its checkpoint, or of a SavedModel's assets. The path
in the graph is the trainer's; a file is taken from the user, or from that folder, never from anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from servable.errors import ExportError
from servable.graphs.graph import TEXT_FILE_INITIALIZER_OPS, read_const_strings, trace_back


def find_file_names(nodes: Mapping[str, Any], initializers: Iterable[str]) -> dict[str, str]:
    """Maps the Const node behind each text-file initializer to the path in it.

    Args:
        nodes: By name.
        initializers: Names of table initializers; those that read no file are passed over.

    Raises:
        ExportError: A path is computed in the graph, so that no file can be put in its place.
    """
    names: dict[str, str] = {}
    for name in initializers:
        if nodes[name].op not in TEXT_FILE_INITIALIZER_OPS:
            continue
        const_name = trace_back(nodes, nodes[name].input[1]).node if len(nodes[name].input) > 1 else ""
        values = read_const_strings(nodes[const_name]) if const_name in nodes else None
        if not values or len(values) != 1:
            raise ExportError(
                "A lookup table reads a file whose name the graph computes.",
                expected="a constant file name",
                where=name,
                advice="choose outputs that need no such table, or name its file with a constant",
            )
        names[const_name] = values[0].decode("utf-8", "replace")
    return names


def locate_file(graph_path: str, folder: Path, given: Mapping[str, Path]) -> Path | None:
    """Looks for a file that a graph names: the user's own first, then beside the checkpoint.

    A path from a model file is never followed out of `folder`: it could name any file of this machine,
    whose content would then be copied into the SavedModel.

    Args:
        graph_path: As the trainer wrote it, absolute or not.
        folder: The checkpoint's.
        given: The user's own, by file name or by the whole path in the graph.
    """
    name = PureWindowsPath(graph_path).name if "\\" in graph_path else PurePosixPath(graph_path).name
    for key in (graph_path, name):
        if key in given:
            return given[key]
    root = folder.resolve()
    for candidate in (folder / graph_path, folder / name):
        resolved = candidate.resolve()
        if name and resolved.is_relative_to(root) and resolved.is_file():
            return resolved
    return None
