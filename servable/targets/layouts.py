"""Targets: which ops a CPU computes with channels last only, which no registry tells. No TensorFlow here.

What passes through: a node and a version come in, a sentence goes out. Models that were trained on a GPU
often have their channels first. What stands here was measured: each op, run in the runtimes of eleven
versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_Series = tuple[int, int]

# First version whose kernels for a CPU take channels first, or say themselves that they do not.
_CHANNELS_FIRST_FROM: Final[Mapping[str, _Series]] = MappingProxyType(
    {
        "AvgPool": (2, 11),
        "AvgPool3D": (2, 11),
        "Conv2D": (2, 11),
        "Conv2DBackpropInput": (2, 11),
        "Conv3D": (2, 11),
        "Conv3DBackpropInputV2": (2, 11),
        "DepthToSpace": (2, 3),
        "DepthwiseConv2dNative": (2, 11),
        "MaxPool": (2, 11),
        "MaxPool3D": (2, 11),
        "SpaceToDepth": (2, 3),
    }
)
# These only where they compute the averages themselves, as a layer that normalizes each example does.
_TRAINING_FROM: Final[Mapping[str, _Series]] = MappingProxyType(
    {"FusedBatchNorm": (2, 3), "FusedBatchNormV2": (2, 3), "FusedBatchNormV3": (2, 3)}
)
_LAYOUTS_FIRST: Final = frozenset({b"NCHW", b"NCDHW"})


def has_channels_first(node: Any) -> bool:
    """Says whether a node computes with channels first."""
    return "data_format" in node.attr and node.attr["data_format"].s in _LAYOUTS_FIRST


def needs_channels_last(node: Any, version: str) -> bool:
    """Says whether a version's kernel for a CPU refuses this node for its layout.

    Args:
        node: A NodeDef.
        version: Of TensorFlow, such as "1.15.5".
    """
    if not has_channels_first(node):
        return False
    table = _CHANNELS_FIRST_FROM
    if node.op in _TRAINING_FROM and ("is_training" not in node.attr or node.attr["is_training"].b):
        table = _TRAINING_FROM
    if node.op not in table:
        return False
    major, minor, *_ = version.split(".")
    return (int(major), int(minor)) < table[node.op]
