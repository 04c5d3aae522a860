"""ROOM 2: channels last, where a CPU computes with no other layout.

Models that were trained on a GPU often have their channels first. The images are turned before the op and
turned back behind it.
"""

from __future__ import annotations

from typing import Final

from servable.export.dialects.rules.shapes import INT32, gather
from servable.export.dialects.site import Site, output
from servable.targets.fitting import MisfitKind, find_misfits
from servable.targets.layouts import has_channels_first

# Attributes with one number, or two in a row, for each axis.
_AXIS_ATTRS: Final = ("strides", "ksize", "dilations", "explicit_paddings")
# Input with the images, where it is not the first, and the one with their sizes.
_IMAGES: Final = {"Conv2DBackpropInput": 2, "Conv3DBackpropInputV2": 2}
_SIZES: Final = {"Conv2DBackpropInput": 0, "Conv3DBackpropInputV2": 0}
# The only outputs that are images; of all others the first one is, and there is no other.
_NORM_OUTPUTS: Final = {"FusedBatchNorm": 5, "FusedBatchNormV2": 5, "FusedBatchNormV3": 6}


def put_channels_last(site: Site) -> list[str] | None:
    """Says an op with channels first as the same op between two Transposes."""
    if not has_channels_first(site.node) or not _is_refused(site):
        return None
    axes = len(site.read("data_format").s)
    to_last = [0, *range(2, axes), 1]
    to_first = [0, axes - 1, *range(1, axes - 1)]
    inputs = site.inputs
    images = _IMAGES.get(site.node.op, 0)
    inputs[images] = _turn(site, inputs[images], to_last)
    if site.node.op in _SIZES:
        places = site.add_const(to_last, "int32")
        size_type = site.read("Tshape").type if site.node.op == "Conv3DBackpropInputV2" else INT32
        inputs[0] = gather(site, inputs[0], places, size_type, places_type=INT32)
    attrs = dict(site.node.attr) | {"data_format": "NHWC" if axes == 4 else "NDHWC"}
    for name in _AXIS_ATTRS:
        if name in attrs and attrs[name].list.i:
            numbers = list(attrs[name].list.i)
            width = len(numbers) // axes
            attrs[name] = [n for axis in to_last for n in numbers[axis * width : (axis + 1) * width]]
    node = site.add(site.node.op, inputs, **attrs)
    others = range(1, _NORM_OUTPUTS.get(site.node.op, 1))
    return [_turn(site, node, to_first), *(output(node, number) for number in others)]


def _is_refused(site: Site) -> bool:
    kinds = {misfit.kind for misfit in find_misfits(site.node, site.registry)}
    return bool(kinds & {MisfitKind.LAYOUT, MisfitKind.KERNEL})


def _turn(site: Site, tensor: str, order: list[int]) -> str:
    dtype = site.read("T").type
    return site.add("Transpose", [tensor, site.add_const(order, "int32")], T=dtype, Tperm=INT32)
