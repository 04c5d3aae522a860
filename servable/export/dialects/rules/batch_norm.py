"""ROOM 2: batch norm.

FusedBatchNormV3 is FusedBatchNormV2 with one more output, which only the gradient reads. With stored averages
it is also no more than a factor and an offset for each channel, which runs on any type and layout.
"""

from __future__ import annotations

from servable.export.dialects.rules.shapes import cast, reshape
from servable.export.dialects.site import Site, output
from servable.signature import DTYPE_NAMES

_LAYOUTS = (b"NHWC", b"NCHW")


def replace_batch_norm(site: Site) -> list[str] | None:
    """Says FusedBatchNormV3 as FusedBatchNormV2, or in arithmetic."""
    types = {name: site.read(name).type for name in ("T", "U")}
    is_training = site.read("is_training").b
    if site.read("data_format").s in _LAYOUTS and site.can_run("FusedBatchNormV2", **types):
        inputs = site.inputs
        if is_training:
            if site.read("exponential_avg_factor").f != 1.0:
                return None  # mixes the averages of before with those of the batch
            empty = site.add_const([], DTYPE_NAMES[types["U"]])
            inputs = [*inputs[:3], empty, empty]
        attrs = {name: site.read(name) for name in ("epsilon", "data_format", "is_training")}
        node = site.add("FusedBatchNormV2", inputs, **types, **attrs)
        # Only a gradient reads the sixth: the fifth has its type and stands in for it.
        return [output(node, number) for number in (0, 1, 2, 3, 4, 4)]
    return None if is_training else _compute(site, types["T"], types["U"])


def _compute(site: Site, dtype: int, stored: int) -> list[str]:
    x, scale, offset, mean, variance = site.inputs
    epsilon = site.add_const(site.read("epsilon").f, DTYPE_NAMES[stored])
    root = site.add("Rsqrt", [site.add("Add", [variance, epsilon], T=stored)], T=stored)
    factor = site.add("Mul", [scale, root], T=stored)
    shift = site.add("Sub", [offset, site.add("Mul", [mean, factor], T=stored)], T=stored)
    layout = site.read("data_format").s.decode()
    if not layout.endswith("C"):
        # Channels come before what is after them in the layout.
        shape = site.add_const([-1] + [1] * (len(layout) - 2), "int32")
        factor, shift = (reshape(site, vector, shape, stored) for vector in (factor, shift))
    y = site.add("Mul", [cast(site, x, dtype, stored), factor], T=stored)
    y = cast(site, site.add("Add", [y, shift], T=stored), stored, dtype)
    return [y, mean, variance, mean, variance, variance]
