"""TensorFlow's checkpoints without TensorFlow: the door to the modules behind it.

V2 (tensor bundles) and V1 (tables of slices) are opened alike; what is written is V2.

What passes through: `open_bundle` reads an index, `check_extents` looks whether the data files are whole,
`read_tensor` and `iter_values` give values, `copy_tensors` makes a new checkpoint out of an old one.
"""

from __future__ import annotations

from servable.formats.checkpoints.bundle_copying import copy_tensors
from servable.formats.checkpoints.bundle_entries import (
    OBJECT_GRAPH_KEY,
    BundleEntry,
    BundleSlice,
    TensorBundle,
)
from servable.formats.checkpoints.bundle_index import check_extents, open_bundle
from servable.formats.checkpoints.bundle_values import iter_values, read_tensor

__all__ = [
    "OBJECT_GRAPH_KEY",
    "BundleEntry",
    "BundleSlice",
    "TensorBundle",
    "check_extents",
    "copy_tensors",
    "iter_values",
    "open_bundle",
    "read_tensor",
]
