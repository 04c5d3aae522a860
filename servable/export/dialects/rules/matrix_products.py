"""ROOM 2: products of stacks of matrices.

BatchMatMulV2 stretches the stacks to one shape, BatchMatMul wants them alike. BatchMatMulV3 may give a larger
type than it takes, in which it computes.
"""

from __future__ import annotations

from servable.export.dialects.rules.shapes import INT32, cast, cut, join, read_shape, stretch
from servable.export.dialects.site import Site


def widen_batch_matmul(site: Site) -> list[str] | None:
    """Says BatchMatMulV3 as BatchMatMulV2 of what it takes, in the type that it gives."""
    dtype = site.read("Tout").type
    types = [site.read(name).type for name in ("Ta", "Tb")]
    inputs = [cast(site, edge, own, dtype) for edge, own in zip(site.inputs, types, strict=True)]
    return [_multiply(site, "BatchMatMulV2", inputs, dtype)]


def stretch_stacks(site: Site) -> list[str] | None:
    """Says BatchMatMulV2 as BatchMatMul of stacks that are stretched before."""
    dtype = site.read("T").type
    shapes = [read_shape(site, tensor, dtype) for tensor in site.inputs]
    stack = site.add("BroadcastArgs", [cut(site, shape, None, -2) for shape in shapes], T=INT32)
    stretched = [
        stretch(site, tensor, join(site, [stack, cut(site, shape, -2, None)]), dtype)
        for tensor, shape in zip(site.inputs, shapes, strict=True)
    ]
    return [_multiply(site, "BatchMatMul", stretched, dtype)]


def _multiply(site: Site, op: str, inputs: list[str], dtype: int) -> str:
    return site.add(op, inputs, T=dtype, adj_x=site.read("adj_x").b, adj_y=site.read("adj_y").b)
