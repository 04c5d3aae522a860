"""ROOM 2: products of stacks of matrices.

BatchMatMulV2 stretches the stacks to one shape, BatchMatMul wants them alike. BatchMatMulV3 may give another
type than it takes, which nothing older does.
"""

from __future__ import annotations

from servable.export.dialects.rules.shapes import INT32, cut, join, read_shape
from servable.export.dialects.site import Site


def replace_batch_matmul(site: Site) -> list[str] | None:
    """Says BatchMatMulV3 and BatchMatMulV2 as the newest of their kind that the runtime has."""
    if site.node.op == "BatchMatMulV3":
        dtype = site.read("Ta").type
        if not site.read("Tb").type == site.read("Tout").type == dtype:
            return None
        if site.knows("BatchMatMulV2"):
            return [_multiply(site, "BatchMatMulV2", site.inputs, dtype)]
    else:
        dtype = site.read("T").type
    if not site.knows("BatchMatMul", "BroadcastTo", "BroadcastArgs"):
        return None
    shapes = [read_shape(site, tensor, dtype) for tensor in site.inputs]
    stack = site.add("BroadcastArgs", [cut(site, shape, None, -2) for shape in shapes], T=INT32)
    stretched = [
        site.add(
            "BroadcastTo",
            [tensor, join(site, [stack, cut(site, shape, -2, None)])],
            T=dtype,
            Tidx=INT32,
        )
        for tensor, shape in zip(site.inputs, shapes, strict=True)
    ]
    return [_multiply(site, "BatchMatMul", stretched, dtype)]


def _multiply(site: Site, op: str, inputs: list[str], dtype: int) -> str:
    return site.add(op, inputs, T=dtype, adj_x=site.read("adj_x").b, adj_y=site.read("adj_y").b)
