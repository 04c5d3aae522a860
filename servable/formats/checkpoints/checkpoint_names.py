"""How the files of a checkpoint are named, in the format of TensorFlow 0.12 and later (V2) and before (V1).

What passes through: names alone. A checkpoint goes by one path everywhere in the house, its prefix, which is
also what TensorFlow's own restore ops take:

    V2            model.ckpt-200                     .index and .data-00000-of-00001 beside it
    V1, one file  model.ckpt-200                     a file of that very name
    V1, shards    model.ckpt-200-?????-of-00002      model.ckpt-200-00000-of-00002 and its like

Sources: tensorflow/core/util/tensor_bundle/naming.h, `ShardedFilename` and `ShardedFilespec` of
tensorflow/core/kernels/save_restore_tensor.cc, `meta_graph_filename` of
tensorflow/python/framework/meta_graph.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

# A name that ends in V2's parts; what a trainer is still writing (".tempstate123") is none.
_V2_PART: Final = re.compile(r"\.(?:index|data-\d{5}-of-\d{5})$")
_V1_SHARDS: Final = re.compile(r"-(?:\d{5}|\?{5}|\*)-of-(\d{5})$")
_STEP: Final = re.compile(r"-(\d+)$")


def index_path(prefix: Path) -> Path:
    """Names the index of a V2 checkpoint."""
    return prefix.with_name(f"{prefix.name}.index")


def shard_path(prefix: Path, number: int, count: int) -> Path:
    """Names a data file of a V2 checkpoint."""
    return prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{count:05d}")


def strip_v2_part(path: Path) -> Path | None:
    """Turns the path of an index or data file into its prefix; None for any other name."""
    name = _V2_PART.sub("", path.name)
    return path.with_name(name) if name and name != path.name else None


def join_v1_shards(path: Path) -> Path | None:
    """Turns the path of one shard of a V1 checkpoint into the pattern of all; None for any other name."""
    match = _V1_SHARDS.search(path.name)
    if match is None or not match.start() or strip_v2_part(path) is not None:
        return None
    return path.with_name(f"{path.name[: match.start()]}-?????-of-{match[1]}")


def list_v1_paths(prefix: Path) -> tuple[Path, ...]:
    """Names the files of a V1 checkpoint: all shards of a pattern, or the one file; they need not exist."""
    match = _V1_SHARDS.search(prefix.name)
    if match is None or "?" not in match[0]:
        return (prefix,)
    base, count = prefix.name[: match.start()], int(match[1])
    return tuple(prefix.with_name(f"{base}-{number:05d}-of-{count:05d}") for number in range(count))


def strip_shards(prefix: Path) -> Path:
    """Takes the shards off a prefix: its `.meta` and its step go by what is left."""
    return prefix.with_name(_V1_SHARDS.sub("", prefix.name) or prefix.name)


def split_step(prefix: Path) -> tuple[str, int | None]:
    """Splits a prefix into the trainer's name for it and the step: "model.ckpt-200" is "model.ckpt", 200."""
    name = strip_shards(prefix).name
    match = _STEP.search(name)
    if match is None or not match.start():
        return name, None
    return name[: match.start()], int(match[1])
