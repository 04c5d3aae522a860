"""ROOM 2: newer ops said in older ones, one family a file.

A rule takes the `Site` of a node and gives back the edges that stand for its outputs, or None where the node
uses something that the older ops cannot say; it then stays, and the verdict tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from servable.export.dialects.rules.activations import replace_leaky_relu
from servable.export.dialects.rules.batch_norm import replace_batch_norm
from servable.export.dialects.rules.branches import replace_switch_of_many
from servable.export.dialects.rules.matrix_products import replace_batch_matmul
from servable.export.dialects.rules.saving import drop_copy_on_read
from servable.export.dialects.rules.selection import replace_select
from servable.export.dialects.rules.tensor_lists import drop_element_shape
from servable.export.dialects.site import Site

Rule = Callable[[Site], list[str] | None]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "BatchMatMulV2": replace_batch_matmul,
        "BatchMatMulV3": replace_batch_matmul,
        "DisableCopyOnRead": drop_copy_on_read,
        "FusedBatchNormV3": replace_batch_norm,
        "LeakyRelu": replace_leaky_relu,
        "SelectV2": replace_select,
        "TensorListGetItem": drop_element_shape,
        "TensorListStack": drop_element_shape,
        "_SwitchN": replace_switch_of_many,
    }
)
