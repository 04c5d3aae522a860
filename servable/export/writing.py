"""ROOM 2: writes the files of a SavedModel.

What passes through: a MetaGraphDef and asset files. `saved_model.pb` is written last, because its presence is
what a server takes for "finished". No TensorFlow here.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from servable.formats.files import sync_path
from servable.formats.protos import SavedModel
from servable.graphs.saved_model_parts import MODEL_FILE

_SCHEMA_VERSION = 1  # kSavedModelSchemaVersion of tensorflow/cc/saved_model


def write_saved_model(out_dir: Path, meta_graph: Any, assets: Mapping[str, Path]) -> None:
    """Writes `assets/`, then `saved_model.pb`; `variables/` is there already.

    Args:
        out_dir: The SavedModel's folder.
        meta_graph: MetaGraphDef tagged `serve`.
        assets: Name in `assets/` to the file to copy.
    """
    if assets:
        (out_dir / "assets").mkdir()
    for name, source in assets.items():
        shutil.copyfile(source, out_dir / "assets" / name)
        sync_path(out_dir / "assets" / name)
    saved_model = SavedModel(saved_model_schema_version=_SCHEMA_VERSION)
    saved_model.meta_graphs.add().CopyFrom(meta_graph)
    path = out_dir / MODEL_FILE
    # Deterministic, so that the same source gives the same bytes and the same digest.
    path.write_bytes(saved_model.SerializePartialToString(deterministic=True))
    sync_path(path)
