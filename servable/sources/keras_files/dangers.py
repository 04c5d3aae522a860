"""Room 1, intake: what single parts of a Keras configuration would do besides computing. No TensorFlow here.

What passes through: one dict of a configuration comes in, what speaks against it goes out in words. Names are
compared without the package or module that stands before them, since loaders accept them with it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from servable.sources.keras_files.ops import find_op_danger

# Layers that run another model's code: a SavedModel, TorchScript pickles, JAX or Flax functions.
_FOREIGN_LAYERS = frozenset({"TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})
_FOREIGN_NAMES = frozenset(
    {"enable_unsafe_deserialization", "get_file", "load_model", "load_weights", "func_load", "import_module"}
)
_FILE_LAYERS = frozenset({"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"})
_FILE_KEYS = ("vocabulary", "idf_weights")
# Of feature columns (tensorflow/python/feature_column/feature_column_v2.py): a text file, a checkpoint. No
# other class of Keras has keys of these names.
_PATH_KEYS = ("vocabulary_file", "ckpt_to_load_from")


def find_dangers(entry: dict[str, Any]) -> Iterator[str]:
    """Names what building this part would do besides computing.

    Args:
        entry: Any dict of a configuration.
    """
    kind = entry.get("class_name")
    config = entry.get("config")
    if not isinstance(kind, str):
        return
    # A loader may look under either name.
    registered = entry.get("registered_name")
    names = {strip_places(name) for name in (kind, registered) if isinstance(name, str)}
    if names & _FOREIGN_LAYERS:
        yield f"layer {kind} runs a model of another framework or another file"
    if names & _FOREIGN_NAMES:
        yield f"{kind} is not part of a model"
    if isinstance(config, str) and config.rpartition(".")[2] in _FOREIGN_NAMES:
        yield f"{config} is not part of a model"
    if not isinstance(config, dict):
        return
    for key in (*(_FILE_KEYS if names & _FILE_LAYERS else ()), *_PATH_KEYS):
        if isinstance(config.get(key), str):
            yield f"{key} is read from the file {config[key]!r}"
    danger = find_op_danger(strip_places(kind), config)
    if danger:
        yield danger


def strip_places(name: str) -> str:
    """Takes package and module from the name of a class: "lab>Scale" and "layers.Scale" are a Scale."""
    return name.rpartition(">")[2].rpartition(".")[2]
