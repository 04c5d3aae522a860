"""Training switches that a served model still has: placeholders with a default that no client feeds.

What passes through: the path of one signature; findings for `inference_mode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from servable.checks.context import Context, make_warning
from servable.graphs.graph import read_edge
from servable.report import Finding

_DT_BOOL, _DT_FLOATS = 10, (1, 2, 19)
_RAW_DTYPES: dict[int, Any] = {10: np.bool_, 1: "<f4", 2: "<f8", 19: "<f2"}


def find_switches(check: str, signature_name: str, context: Context) -> Iterator[Finding]:
    """Finds defaults that are a training value: True for a flag, or a share such as a dropout's keep_prob.

    Args:
        check: Name to put into the findings.
        signature_name: Whose path is walked.
        context: The SavedModel.
    """
    for placed in context.reach.iterate_nodes(signature_name):
        if placed.node.op != "PlaceholderWithDefault" or placed.place or not placed.node.input:
            continue
        origin = context.reach.nodes.get(read_edge(placed.node.input[0]).node)
        default = _read_scalar(origin) if origin is not None and origin.op == "Const" else None
        is_flag_on = default is True
        is_share = isinstance(default, float) and 0.0 < default < 1.0
        if is_flag_on or is_share:
            yield make_warning(
                check,
                f"signature {signature_name} depends on a switch that no client feeds; its default {default} "
                "looks like a training value",
                where=placed.where,
                advice=f"Freeze it to its inference value (--set {placed.node.name}:0=VALUE).",
            )


def _read_scalar(node: Any) -> Any:
    """Reads a bool or a float; None for anything else."""
    tensor = node.attr["value"].tensor
    if tensor.tensor_shape.dim:
        return None
    # Writers choose freely between the raw bytes and the list of values.
    if tensor.tensor_content and tensor.dtype in _RAW_DTYPES:
        values = np.frombuffer(tensor.tensor_content, _RAW_DTYPES[tensor.dtype])
        return None if values.size != 1 else values[0].item()
    if tensor.dtype == _DT_BOOL:
        return bool(tensor.bool_val and tensor.bool_val[0])
    if tensor.dtype in _DT_FLOATS and (tensor.float_val or tensor.double_val):
        return float([*tensor.float_val, *tensor.double_val][0])
    return None
