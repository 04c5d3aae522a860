"""ROOM 2: activation functions that have become ops of their own."""

from __future__ import annotations

from servable.export.dialects.site import Site
from servable.signature import DTYPE_NAMES


def replace_leaky_relu(site: Site) -> list[str] | None:
    """Says LeakyRelu as Select: x where it is more than 0, alpha times x elsewhere."""
    (x,) = site.inputs
    dtype = site.read("T").type
    alpha = site.add_const(site.read("alpha").f, DTYPE_NAMES[dtype])
    small = site.add("Mul", [x, alpha], T=dtype)
    zero = site.add("ZerosLike", [x], T=dtype)
    return [site.add("Select", [site.add("Greater", [x, zero], T=dtype), x, small], T=dtype)]
