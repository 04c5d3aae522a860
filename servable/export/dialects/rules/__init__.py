"""ROOM 2: newer ops said in older ones, one family a file.

A rule takes the `Site` of a node and gives back the edges that stand for its outputs, or None where the node
uses something that the older ops cannot say; it then stays, and the verdict tells. What a rule adds may be
new itself: a rule for that is asked in turn, and where there is none, nothing is changed. Of several rules
for an op, the first counts whose result the runtime can run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from servable.export.dialects.rules import (
    activations,
    arithmetic,
    batch_norm,
    branches,
    counting,
    decoding,
    einsum,
    gathering,
    layouts,
    matrix_diagonals,
    matrix_products,
    ngrams,
    paddings,
    parsing,
    precision,
    projections,
    ragged,
    ragged_ops,
    resizing,
    saving,
    scaling,
    scattering,
    selection,
    strings,
    tensor_lists,
)
from servable.export.dialects.site import Site

Rule = Callable[[Site], list[str] | None]


RULES: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {
        "AvgPool": (layouts.put_channels_last,),
        "AvgPool3D": (layouts.put_channels_last,),
        "BatchMatMulV2": (matrix_products.stretch_stacks,),
        "BatchMatMulV3": (matrix_products.widen_batch_matmul,),
        "BesselI0": (arithmetic.replace_bessel,),
        "BesselI1": (arithmetic.replace_bessel,),
        "CTCGreedyDecoder": (decoding.put_blank_last,),
        "CheckNumericsV2": (arithmetic.check_numerics,),
        "Conv2D": (layouts.put_channels_last, paddings.pad_before),
        "Conv2DBackpropInput": (layouts.put_channels_last, paddings.cut_behind),
        "Conv3D": (layouts.put_channels_last,),
        "Conv3DBackpropInputV2": (layouts.put_channels_last,),
        "DecodeImage": (decoding.decode_by_kind,),
        "DenseBincount": (counting.replace_dense_bincount,),
        "DepthToSpace": (layouts.put_channels_last,),
        "DepthwiseConv2dNative": (layouts.put_channels_last, paddings.pad_before),
        "DisableCopyOnRead": (saving.drop_copy_on_read,),
        "Einsum": (einsum.replace_einsum,),
        "EuclideanNorm": (arithmetic.replace_euclidean_norm,),
        "FusedBatchNorm": (layouts.put_channels_last,),
        "FusedBatchNormV2": (layouts.put_channels_last,),
        "FusedBatchNormV3": (layouts.put_channels_last, batch_norm.replace_batch_norm),
        "GatherV2": (gathering.replace_gather,),
        "ImageProjectiveTransformV3": (projections.replace_projection,),
        "LeakyRelu": (activations.replace_leaky_relu,),
        "MatrixDiagPartV2": (matrix_diagonals.replace_diagonal,),
        "MatrixDiagPartV3": (matrix_diagonals.replace_diagonal,),
        "MatrixDiagV2": (matrix_diagonals.replace_diagonal,),
        "MatrixDiagV3": (matrix_diagonals.replace_diagonal,),
        "MatrixSetDiagV2": (matrix_diagonals.replace_diagonal,),
        "MatrixSetDiagV3": (matrix_diagonals.replace_diagonal,),
        "MaxPool": (layouts.put_channels_last, paddings.pad_before),
        "MaxPool3D": (layouts.put_channels_last,),
        "MulNoNan": (arithmetic.replace_mul_no_nan,),
        "OneHot": (arithmetic.replace_one_hot,),
        "ParseExampleV2": (parsing.replace_parse_example,),
        "QuantizeAndDequantizeV4": (arithmetic.replace_quantizing,),
        "RaggedBincount": (counting.replace_ragged_bincount,),
        "RaggedGather": (ragged_ops.replace_ragged_gather,),
        "RaggedRange": (ragged_ops.replace_ragged_range,),
        "RaggedTensorToSparse": (ragged_ops.replace_ragged_to_sparse,),
        "RaggedTensorToTensor": (ragged.replace_ragged_to_tensor,),
        "ResizeBicubic": (resizing.replace_bicubic,),
        "ResizeBilinear": (resizing.replace_bilinear,),
        "ResizeNearestNeighbor": (resizing.replace_nearest,),
        "ResourceGather": (gathering.replace_resource_gather,),
        "ScaleAndTranslate": (scaling.replace_scale_and_translate,),
        "SelectV2": (selection.replace_select,),
        "SpaceToDepth": (layouts.put_channels_last,),
        "SparseBincount": (counting.replace_sparse_bincount,),
        "SparseSegmentMean": (arithmetic.replace_segment_ids,),
        "SparseSegmentMeanWithNumSegments": (arithmetic.replace_segment_ids,),
        "SparseSegmentSqrtN": (arithmetic.replace_segment_ids,),
        "SparseSegmentSqrtNWithNumSegments": (arithmetic.replace_segment_ids,),
        "SparseSegmentSum": (arithmetic.replace_segment_ids,),
        "SparseSegmentSumWithNumSegments": (arithmetic.replace_segment_ids,),
        "StatelessCase": (branches.replace_stateless_case,),
        "StringLower": (strings.replace_case,),
        "StringNGrams": (ngrams.replace_ngrams,),
        "StringUpper": (strings.replace_case,),
        "TensorListGetItem": (tensor_lists.drop_element_shape,),
        "TensorListSetItem": (tensor_lists.grow_before,),
        "TensorListStack": (tensor_lists.drop_element_shape,),
        "TensorScatterAdd": (scattering.scatter_into_variable,),
        "TensorScatterSub": (scattering.scatter_into_variable,),
        "TensorScatterUpdate": (scattering.scatter_into_variable,),
        "TopKV2": (arithmetic.replace_top_k,),
        "Xlog1py": (arithmetic.replace_xlog1py,),
        "_SwitchN": (branches.replace_switch_of_many,),
    }
)


def find_rules(op: str) -> tuple[Rule, ...]:
    """Lists the rules for an op, best first."""
    general = (precision.compute_in_float32,) if op in precision.WIDENED_OPS else ()
    return RULES.get(op, ()) + general
