"""ROOM 2: convolutions and pools whose padding is given number by number.

Where a runtime does not know such paddings, the images are padded before, and the window takes no padding of
its own.
"""

from __future__ import annotations

import numpy as np

from servable.export.dialects.constants import find_numpy_dtype
from servable.export.dialects.rules.shapes import INT32
from servable.export.dialects.site import Site
from servable.signature import DTYPE_NAMES


def pad_before(site: Site) -> list[str] | None:
    """Says Conv2D, DepthwiseConv2dNative and MaxPool with paddings as a Pad and the same without."""
    paddings = _read_paddings(site)
    if paddings is None:
        return None
    images, *filters = site.inputs
    dtype = site.read("T").type
    if site.node.op == "MaxPool":
        lowest = _find_lowest(DTYPE_NAMES[dtype])
        if lowest is None:
            return None
        value = site.add_const(lowest, DTYPE_NAMES[dtype])
        images = site.add("PadV2", [images, paddings, value], T=dtype, Tpaddings=INT32)
    else:
        images = site.add("Pad", [images, paddings], T=dtype, Tpaddings=INT32)
    return [site.add(site.node.op, [images, *filters], **_keep_attrs(site))]


def cut_behind(site: Site) -> list[str] | None:
    """Says Conv2DBackpropInput with paddings as one of a padded size, from which the paddings are cut."""
    paddings = _read_paddings(site)
    if paddings is None:
        return None
    sizes, *others = site.inputs
    dtype = site.read("T").type
    total = site.add("Sum", [paddings, site.add_const([1], "int32")], T=INT32, Tidx=INT32)
    padded = site.add("Add", [sizes, total], T=INT32)
    images = site.add(site.node.op, [padded, *others], **_keep_attrs(site))
    begin = site.add_const(_list_paddings(site)[:, 0], "int32")
    return [site.add("Slice", [images, begin, sizes], T=dtype, Index=INT32)]


def _read_paddings(site: Site) -> str | None:
    if site.read("padding").s != b"EXPLICIT" or len(site.read("explicit_paddings").list.i) != 8:
        return None
    return site.add_const(_list_paddings(site), "int32")


def _list_paddings(site: Site) -> np.ndarray:
    return np.array(site.read("explicit_paddings").list.i).reshape(4, 2)


def _keep_attrs(site: Site) -> dict[str, object]:
    known = {attr.name for attr in site.registry.ops[site.node.op].attr}
    kept = {name: value for name, value in site.node.attr.items() if name in known - {"explicit_paddings"}}
    return kept | {"padding": "VALID"}


def _find_lowest(name: str) -> float | int | None:
    """Gives the number that no other is less than."""
    if name == "bfloat16" or name.startswith("float"):
        return float("-inf")
    return int(np.iinfo(find_numpy_dtype(name)).min) if "int" in name and name[0] != "q" else None
