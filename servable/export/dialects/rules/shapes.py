"""ROOM 2: shapes that are known only when a request comes, as rules need them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from servable.export.dialects.site import Site
from servable.signature import DTYPE_NAMES, DTYPE_NUMBERS

BOOL = DTYPE_NUMBERS["bool"]
FLOAT = DTYPE_NUMBERS["float32"]
INT32 = DTYPE_NUMBERS["int32"]
INT64 = DTYPE_NUMBERS["int64"]
STRING = DTYPE_NUMBERS["string"]

# What Tile repeats in the oldest runtimes, whose registries do not tell.
_TILED = frozenset(
    {
        "bool",
        "complex128",
        "complex64",
        "float16",
        "float32",
        "float64",
        "int16",
        "int32",
        "int64",
        "string",
        "uint8",
    }
)


def read_shape(site: Site, tensor: str, dtype: int, *, out_type: int = INT32) -> str:
    """Adds the shape of a tensor: int32 [rank]."""
    return site.add("Shape", [tensor], T=dtype, out_type=out_type)


def stretch_to_common_shape(site: Site, tensors: Sequence[str], dtypes: Sequence[int]) -> list[str]:
    """Stretches tensors to the one shape that broadcasting gives them all.

    Args:
        site: Where.
        tensors: Edges.
        dtypes: Of each.
    """
    shapes = [read_shape(site, tensor, dtype) for tensor, dtype in zip(tensors, dtypes, strict=True)]
    shape = reduce(lambda a, b: site.add("BroadcastArgs", [a, b], T=INT32), shapes)
    return [stretch(site, tensor, shape, dtype) for tensor, dtype in zip(tensors, dtypes, strict=True)]


def stretch(site: Site, tensor: str, shape: str, dtype: int, *, shape_type: int = INT32) -> str:
    """Adds a tensor in a larger shape, its sizes of 1 repeated."""
    if DTYPE_NAMES[dtype] not in _TILED:
        return site.add("BroadcastTo", [tensor, shape], T=dtype, Tidx=shape_type)
    # BroadcastTo of TensorFlow 1.12 ends at five dimensions, Tile at seven.
    own = read_shape(site, tensor, dtype, out_type=shape_type)
    lacking = [read_shape(site, vector, shape_type) for vector in (shape, own)]
    one = site.add_const(1, DTYPE_NAMES[shape_type])
    lead = site.add("Fill", [site.add("Sub", lacking, T=INT32), one], T=shape_type, index_type=INT32)
    own = join(site, [lead, own], dtype=shape_type)
    is_there = site.add("Equal", [own, shape], T=shape_type)
    times = site.add("Select", [is_there, site.add("OnesLike", [own], T=shape_type), shape], T=shape_type)
    spread = reshape(site, tensor, own, dtype, shape_type=shape_type)
    return site.add("Tile", [spread, times], T=dtype, Tmultiples=shape_type)


def reshape(site: Site, tensor: str, shape: str, dtype: int, *, shape_type: int = INT32) -> str:
    """Adds a tensor in another shape of as many elements."""
    return site.add("Reshape", [tensor, shape], T=dtype, Tshape=shape_type)


def cut(
    site: Site, vector: str, begin: int | str | None, end: int | str | None, *, dtype: int = INT32
) -> str:
    """Adds ``vector[begin:end]``, with Python's meaning of negative numbers and None.

    Args:
        site: Where.
        vector: Edge; of a tensor of more dimensions, the first is cut.
        begin: A number, or the edge of an int32 [1].
        end: As `begin`.
        dtype: Of the vector.
    """
    edges = [p if isinstance(p, str) else site.add_const([p or 0], "int32") for p in (begin, end)]
    return site.add(
        "StridedSlice",
        [vector, *edges, site.add_const([1], "int32")],
        T=dtype,
        Index=INT32,
        begin_mask=int(begin is None),
        end_mask=int(end is None),
    )


def pick(site: Site, vector: str, place: int, *, dtype: int = INT32) -> str:
    """Adds ``vector[place]``, one dimension less."""
    edges = [site.add_const([number], "int32") for number in (place, place + 1, 1)]
    return site.add(
        "StridedSlice",
        [vector, *edges],
        T=dtype,
        Index=INT32,
        shrink_axis_mask=1,
        end_mask=int(place == -1),
    )


def join(site: Site, vectors: Sequence[str], *, dtype: int = INT32, axis: int = 0) -> str:
    """Adds vectors one after another: [a] and [b] become [a + b]."""
    if len(vectors) == 1:
        return vectors[0]
    edge = site.add_const(axis, "int32")
    return site.add("ConcatV2", [*vectors, edge], N=len(vectors), T=dtype, Tidx=INT32)


def multiply_up(site: Site, sizes: str, *, dtype: int = INT32) -> str:
    """Adds the product of a vector of sizes, as a vector of one; 1 for no sizes."""
    axis = site.add_const([0], "int32")
    return site.add("Prod", [sizes, axis], T=dtype, Tidx=INT32, keep_dims=True)


def count_to(site: Site, limit: str, *, dtype: int = INT32) -> str:
    """Adds 0, 1, ... up to a scalar, that one left out."""
    name = DTYPE_NAMES[dtype]
    return site.add("Range", [site.add_const(0, name), limit, site.add_const(1, name)], Tidx=dtype)


def gather(site: Site, values: str, places: str, dtype: int, *, places_type: int, axis: int = 0) -> str:
    """Adds the elements of a tensor that lie at some places of one of its dimensions."""
    return site.add(
        "GatherV2",
        [values, places, site.add_const(axis, "int32")],
        Tparams=dtype,
        Tindices=places_type,
        Taxis=INT32,
    )


def widen(site: Site, tensor: str, axis: int, dtype: int) -> str:
    """Adds a tensor with one more dimension, of size 1."""
    return site.add("ExpandDims", [tensor, site.add_const(axis, "int32")], T=dtype, Tdim=INT32)


def cast(site: Site, tensor: str, source: int, wanted: int) -> str:
    """Adds a tensor in another type; itself where it has it already."""
    return tensor if source == wanted else site.add("Cast", [tensor], SrcT=source, DstT=wanted)
