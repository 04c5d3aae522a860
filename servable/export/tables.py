"""ROOM 2: keeps the files that lookup tables read, which a plain copy of a graph loses.

What passes through: nodes of a pruned graph come in; asset entries and the files to copy go out. The graph's
own paths point to the trainer's machine, so each file is looked for beside the checkpoint, among a
SavedModel's assets, or taken from the user, and re-pointed into `assets/`. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from servable.errors import BrokenSourceError
from servable.formats.protos import NodeDef
from servable.graphs.graph import read_edge, trace_back
from servable.graphs.graph_files import find_file_names, locate_file


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the graph reads while it initializes.

    Attributes:
        const_name: The node that holds its path, a Const or a placeholder; a server feeds the real path.
        file_path: Where the file is now.
        file_name: Its name in `assets/`.
    """

    const_name: str
    file_path: Path
    file_name: str


def find_assets(
    nodes: Mapping[str, Any],
    initializers: Iterable[str],
    declared: Iterable[Any],
    asset_dir: Path,
    given: Mapping[str, Path],
) -> list[Asset]:
    """Finds the file behind every text-file initializer, and behind every asset of a SavedModel.

    Args:
        nodes: Those that are exported, by name.
        initializers: Names of initializer nodes.
        declared: AssetFileDefs; of nodes that are not exported, too.
        asset_dir: Folder of the checkpoint. Only files inside it are taken without being asked.
        given: The user's own: file name (or whole path as in the graph) to file.

    Raises:
        BrokenSourceError: Files are missing; all are listed.
        ExportError: A path is computed in the graph, so that no file can be put in its place.
    """
    assets: list[Asset] = []
    missing: list[str] = []
    taken: dict[str, Path] = {}
    names = {read_edge(asset.tensor_info.name).node: asset.filename for asset in declared}
    names = {name: path for name, path in names.items() if name in nodes and path}
    undeclared = [
        name for name in initializers if trace_back(nodes, _read_second(nodes[name])).node not in names
    ]
    for const_name, graph_path in {**find_file_names(nodes, undeclared), **names}.items():
        file_path = locate_file(graph_path, asset_dir, given)
        if file_path is None:
            missing.append(graph_path)
            continue
        file_name = _free_file_name(file_path, taken)
        taken[file_name] = file_path
        assets.append(Asset(const_name, file_path, file_name))
    if missing:
        example = PurePosixPath(missing[0].replace("\\", "/")).name
        raise BrokenSourceError(
            "Files that the model's lookup tables read are missing.",
            expected="each beside the checkpoint, or given by name",
            received="not beside it (elsewhere nothing is taken unasked): " + ", ".join(sorted(set(missing))),
            where=str(asset_dir),
            advice=f"copy them beside the checkpoint, or add --asset {example}=/path/to/{example}",
        )
    return assets


def point_to_asset(node: Any, file_name: str) -> Any:
    """Returns the Const with the asset's bare name, so that no path of the trainer's machine is left."""
    if node.op != "Const":
        return node
    changed = NodeDef()
    changed.CopyFrom(node)
    tensor = changed.attr["value"].tensor
    del tensor.string_val[:]
    tensor.string_val.append(file_name.encode())
    return changed


def _read_second(node: Any) -> str:
    return node.input[1] if len(node.input) > 1 else ""


def _free_file_name(file_path: Path, taken: Mapping[str, Path]) -> str:
    name, number = file_path.name, 1
    while name in taken and taken[name] != file_path:
        name = f"{file_path.stem}_{number}{file_path.suffix}"
        number += 1
    return name
