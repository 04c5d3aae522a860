"""What a SavedModel's graph carries beside its nodes: files that it needs, and ops that its loader runs.

What passes through: a MetaGraphDef comes in. TF1 keeps these things in collections, TF2 in fields and
signatures of their own; intake, workshop and inspection all ask here. No TensorFlow here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from servable.formats.protos import (
    AssetFileDef,
    SavedModel,
    decode_message,
    parse_message,
    parse_text_message,
)
from servable.graphs.graph import read_edge

# Names from tensorflow/cc/saved_model/constants.h and tag_constants.h.
SERVE_TAG: Final = "serve"
MODEL_FILE: Final = "saved_model.pb"
MODEL_FILES: Final = (MODEL_FILE, "saved_model.pbtxt")
ASSETS_COLLECTION: Final = "saved_model_assets"
MAIN_OP_COLLECTION: Final = "saved_model_main_op"
_INIT_SIGNATURE: Final = "__saved_model_init_op"
_INIT_COLLECTIONS: Final = (MAIN_OP_COLLECTION, "legacy_init_op")


def find_model_file(saved_model_dir: Path) -> Path:
    """Finds the file with the graphs; loaders take the binary form where both are there."""
    binary, text = (saved_model_dir / name for name in MODEL_FILES)
    return text if not binary.exists() and text.exists() else binary


def read_model_file(path: Path) -> Any:
    """Reads the SavedModel message, in the form that the file's name says.

    Raises:
        BrokenSourceError: The file is missing, damaged or too large.
    """
    return (parse_text_message if path.suffix == ".pbtxt" else parse_message)(SavedModel, path)


def read_assets(meta_graph: Any) -> list[Any]:
    """Lists the AssetFileDefs; TF1 exports keep them in a collection, and the loader takes either.

    Raises:
        BrokenSourceError: The collection holds something else.
    """
    if meta_graph.asset_file_def or ASSETS_COLLECTION not in meta_graph.collection_def:
        return list(meta_graph.asset_file_def)
    packed = meta_graph.collection_def[ASSETS_COLLECTION].any_list.value
    return [decode_message(AssetFileDef, item.value, where=ASSETS_COLLECTION) for item in packed]


def read_start_ops(meta_graph: Any) -> list[str]:
    """Names the ops that a loader runs once, after it has restored the variables."""
    names = []
    if _INIT_SIGNATURE in meta_graph.signature_def:
        names += [info.name for info in meta_graph.signature_def[_INIT_SIGNATURE].outputs.values()]
    for key in _INIT_COLLECTIONS:
        if key in meta_graph.collection_def:
            names += meta_graph.collection_def[key].node_list.value
    return [read_edge(name).node for name in names if name]
