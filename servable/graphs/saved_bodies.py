"""What a SavedModel is made of, in the form that graphs are exported from. No TensorFlow here.

What passes through: a folder and one of its MetaGraphDefs come in, a `GraphBody` goes out: which variable
lies under which key, which node takes which asset, what a loader runs at start-up. Intake reads others'
SavedModels so, the workshop its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from servable.graphs.graph import index_nodes, read_edge
from servable.graphs.saved_model_parts import read_assets, read_start_ops
from servable.graphs.saved_state import add_variable_names, read_saved_state
from servable.model import GraphBody


def read_graph_body(
    saved_model_dir: Path,
    meta_graph: Any,
    checkpoint_prefix: Path | None,
    *,
    assets: Mapping[str, Path],
    allowed_ops: frozenset[str],
    keep_training_ops: bool,
) -> GraphBody:
    """Brings one graph of a SavedModel into the form that graphs are exported from.

    Args:
        saved_model_dir: Its folder.
        meta_graph: The MetaGraphDef; names of variables and assets are written into it.
        checkpoint_prefix: Its variables; None where it has none.
        assets: Files of the user's, in the place of its own.
        allowed_ops: Ops that do more than compute and that the user lets in all the same.
        keep_training_ops: Whether dropout and batch statistics that are built into the graph are left in.

    Raises:
        BrokenSourceError: A collection holds something else than it should.
    """
    state = read_saved_state(meta_graph)
    add_variable_names(meta_graph, state.variable_keys)
    _name_assets(meta_graph)
    return GraphBody(
        meta_graph=meta_graph,
        checkpoint_prefix=checkpoint_prefix,
        variable_keys=state.variable_keys,
        table_keys=state.table_keys,
        asset_dir=saved_model_dir / "assets",
        assets=assets,
        initializers=tuple(read_start_ops(meta_graph)),
        allowed_ops=allowed_ops,
        keep_training_ops=keep_training_ops,
    )


def _name_assets(meta_graph: Any) -> None:
    """Writes the name of each asset where the graph has a path of the trainer's, or a word in its place."""
    nodes = index_nodes(meta_graph.graph_def)
    for asset in read_assets(meta_graph):
        node = nodes.get(read_edge(asset.tensor_info.name).node)
        if node is not None and node.op == "Const" and node.attr["value"].tensor.string_val:
            node.attr["value"].tensor.string_val[0] = asset.filename.encode()
