"""ROOM 2: shapes that are known only when a request comes, as rules need them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from servable.export.dialects.site import Site
from servable.signature import DTYPE_NUMBERS

INT32 = DTYPE_NUMBERS["int32"]


def read_shape(site: Site, tensor: str, dtype: int) -> str:
    """Adds the shape of a tensor: int32 [rank]."""
    return site.add("Shape", [tensor], T=dtype, out_type=INT32)


def stretch_to_common_shape(site: Site, tensors: Sequence[str], dtypes: Sequence[int]) -> list[str]:
    """Stretches tensors to the one shape that broadcasting gives them all.

    Args:
        site: Where.
        tensors: Edges.
        dtypes: Of each.
    """
    shapes = [read_shape(site, tensor, dtype) for tensor, dtype in zip(tensors, dtypes, strict=True)]
    shape = reduce(lambda a, b: site.add("BroadcastArgs", [a, b], T=INT32), shapes)
    return [
        site.add("BroadcastTo", [tensor, shape], T=dtype, Tidx=INT32)
        for tensor, dtype in zip(tensors, dtypes, strict=True)
    ]


def cut(site: Site, vector: str, begin: int | None, end: int | None, *, dtype: int = INT32) -> str:
    """Adds ``vector[begin:end]``, with Python's meaning of negative numbers and None."""
    edges = [site.add_const([place or 0], "int32") for place in (begin, end)]
    return site.add(
        "StridedSlice",
        [vector, *edges, site.add_const([1], "int32")],
        T=dtype,
        Index=INT32,
        begin_mask=int(begin is None),
        end_mask=int(end is None),
    )


def join(site: Site, vectors: Sequence[str], *, dtype: int = INT32) -> str:
    """Adds vectors one after another: [a] and [b] become [a + b]."""
    axis = site.add_const(0, "int32")
    return site.add("ConcatV2", [*vectors, axis], N=len(vectors), T=dtype, Tidx=INT32)
