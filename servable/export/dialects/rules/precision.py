"""ROOM 2: numbers of half precision.

Models that were trained in mixed precision compute with them, which older runtimes do in few ops on a CPU.
The others are computed in float32 and rounded, as newer runtimes do inside of most of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from servable.export.dialects.rules.shapes import FLOAT, cast
from servable.export.dialects.site import Site, output
from servable.signature import DTYPE_NUMBERS
from servable.targets.registry import CURRENT_VERSION, load_registry

_HALVES: Final = frozenset({DTYPE_NUMBERS["bfloat16"], DTYPE_NUMBERS["float16"]})
# Ops that compute each result from their inputs alone. Whatever only moves values has a kernel for any type.
_NAMES: Final = """
    Abs Acos Acosh AddN AddV2 Add Asin Asinh Atan Atan2 Atanh AvgPool AvgPool3D BatchMatMul BatchMatMulV2
    BesselI0e BesselI1e BiasAdd BiasAddV1 Ceil ClipByValue Conv2D Conv2DBackpropInput Conv3D
    Conv3DBackpropInputV2 Cos Cosh Cumprod Cumsum CumulativeLogsumexp DepthwiseConv2dNative
    DepthwiseConv2dNativeBackpropInput Digamma Div DivNoNan Einsum Elu Erf Erfc Erfinv EuclideanNorm Exp Expm1
    Floor FloorDiv FloorMod Greater GreaterEqual Inv InTopKV2 IsFinite IsInf IsNan L2Loss LRN LeakyRelu Less
    LessEqual Lgamma LinSpace Log Log1p LogSoftmax MatMul Max MaxPool MaxPool3D Maximum Mean Min Minimum Mod
    Mul MulNoNan Ndtri Neg Pow Prod RealDiv Reciprocal Relu Relu6 Rint Round Rsqrt Selu Sigmoid Sign Sin Sinh
    Softmax Softplus Softsign SparseSegmentMean SparseSegmentSqrtN SparseSegmentSum Sqrt Square
    SquaredDifference Sub Sum Tan Tanh TopKV2 UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
    UnsortedSegmentSum Xdivy Xlog1py Xlogy
"""
WIDENED_OPS: Final = frozenset(_NAMES.split())


def compute_in_float32(site: Site) -> list[str] | None:
    """Says an op of half precision as the same op between casts."""
    node, definition = site.node, load_registry(CURRENT_VERSION).ops[site.node.op]
    halves = {
        attr.name: site.read(attr.name).type
        for attr in definition.attr
        if attr.type == "type" and site.read(attr.name).type in _HALVES
    }
    if node.op not in WIDENED_OPS or not halves:
        return None
    inputs = [
        cast(site, edge, halves[name], FLOAT) if name in halves else edge
        for edge, name in zip(site.inputs, _list_type_attrs(site, definition.input_arg), strict=True)
    ]
    wide = site.add(node.op, inputs, **dict(node.attr) | dict.fromkeys(halves, FLOAT))
    return [
        cast(site, output(wide, number), FLOAT, halves[name]) if name in halves else output(wide, number)
        for number, name in enumerate(_list_type_attrs(site, definition.output_arg))
    ]


def _list_type_attrs(site: Site, args: Iterable[Any]) -> list[str]:
    """Names, for each tensor, the attribute that says its type; "" where the type is always the same."""
    return [
        arg.type_attr for arg in args for _ in range(site.read(arg.number_attr).i if arg.number_attr else 1)
    ]
