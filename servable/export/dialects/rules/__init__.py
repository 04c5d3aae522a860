"""ROOM 2: newer ops said in older ones, one family a file.

A rule takes the `Site` of a node and gives back the edges that stand for its outputs, or None where the node
uses something that the older ops cannot say; it then stays, and the verdict tells. What a rule adds may be
new itself: a rule for that is asked in turn, and where there is none, nothing is changed.
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
    einsum,
    gathering,
    layouts,
    matrix_diagonals,
    matrix_products,
    ngrams,
    paddings,
    parsing,
    projections,
    ragged,
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


def _first_of(*rules: Rule) -> Rule:
    def replace(site: Site) -> list[str] | None:
        return next((outputs for rule in rules if (outputs := rule(site)) is not None), None)

    return replace


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "AvgPool": layouts.put_channels_last,
        "AvgPool3D": layouts.put_channels_last,
        "BatchMatMulV2": matrix_products.replace_batch_matmul,
        "BatchMatMulV3": matrix_products.replace_batch_matmul,
        "BesselI0": arithmetic.replace_bessel,
        "BesselI1": arithmetic.replace_bessel,
        "CheckNumericsV2": arithmetic.check_numerics,
        "Conv2D": _first_of(layouts.put_channels_last, paddings.pad_before),
        "Conv2DBackpropInput": _first_of(layouts.put_channels_last, paddings.cut_behind),
        "Conv3D": layouts.put_channels_last,
        "Conv3DBackpropInputV2": layouts.put_channels_last,
        "DenseBincount": counting.replace_dense_bincount,
        "DepthToSpace": layouts.put_channels_last,
        "DepthwiseConv2dNative": _first_of(layouts.put_channels_last, paddings.pad_before),
        "DisableCopyOnRead": saving.drop_copy_on_read,
        "Einsum": einsum.replace_einsum,
        "EuclideanNorm": arithmetic.replace_euclidean_norm,
        "FusedBatchNorm": layouts.put_channels_last,
        "FusedBatchNormV2": layouts.put_channels_last,
        "FusedBatchNormV3": _first_of(layouts.put_channels_last, batch_norm.replace_batch_norm),
        "GatherV2": gathering.replace_gather,
        "ImageProjectiveTransformV3": projections.replace_projection,
        "LeakyRelu": activations.replace_leaky_relu,
        "MatrixDiagPartV2": matrix_diagonals.replace_diagonal,
        "MatrixDiagPartV3": matrix_diagonals.replace_diagonal,
        "MatrixDiagV2": matrix_diagonals.replace_diagonal,
        "MatrixDiagV3": matrix_diagonals.replace_diagonal,
        "MatrixSetDiagV2": matrix_diagonals.replace_diagonal,
        "MatrixSetDiagV3": matrix_diagonals.replace_diagonal,
        "MaxPool": _first_of(layouts.put_channels_last, paddings.pad_before),
        "MaxPool3D": layouts.put_channels_last,
        "MulNoNan": arithmetic.replace_mul_no_nan,
        "ParseExampleV2": parsing.replace_parse_example,
        "RaggedBincount": counting.replace_ragged_bincount,
        "RaggedTensorToTensor": ragged.replace_ragged_to_tensor,
        "ResizeBicubic": resizing.replace_bicubic,
        "ResizeBilinear": resizing.replace_bilinear,
        "ResizeNearestNeighbor": resizing.replace_nearest,
        "ResourceGather": gathering.replace_resource_gather,
        "ScaleAndTranslate": scaling.replace_scale_and_translate,
        "SelectV2": selection.replace_select,
        "SpaceToDepth": layouts.put_channels_last,
        "SparseBincount": counting.replace_sparse_bincount,
        "SparseSegmentMean": arithmetic.replace_segment_ids,
        "SparseSegmentMeanWithNumSegments": arithmetic.replace_segment_ids,
        "SparseSegmentSqrtN": arithmetic.replace_segment_ids,
        "SparseSegmentSqrtNWithNumSegments": arithmetic.replace_segment_ids,
        "SparseSegmentSum": arithmetic.replace_segment_ids,
        "SparseSegmentSumWithNumSegments": arithmetic.replace_segment_ids,
        "StatelessCase": branches.replace_stateless_case,
        "StringLower": strings.replace_case,
        "StringNGrams": ngrams.replace_ngrams,
        "StringUpper": strings.replace_case,
        "TensorListGetItem": tensor_lists.drop_element_shape,
        "TensorListStack": tensor_lists.drop_element_shape,
        "TensorScatterAdd": scattering.scatter_into_variable,
        "TensorScatterSub": scattering.scatter_into_variable,
        "TensorScatterUpdate": scattering.scatter_into_variable,
        "TopKV2": arithmetic.replace_top_k,
        "Xlog1py": arithmetic.replace_xlog1py,
        "_SwitchN": branches.replace_switch_of_many,
    }
)
