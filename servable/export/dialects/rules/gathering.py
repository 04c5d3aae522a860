"""ROOM 2: values by their places, where each row of a batch has places of its own.

Older runtimes gather from one tensor for all. With rows laid end to end, a place in a row is a place in that.
"""

from __future__ import annotations

from servable.export.dialects.rules.shapes import (
    BOOL,
    INT32,
    cast,
    count_to,
    cut,
    gather,
    join,
    multiply_up,
    pick,
    read_shape,
    reshape,
    widen,
)
from servable.export.dialects.site import Site
from servable.signature import DTYPE_NAMES, DTYPE_NUMBERS

_INT16 = DTYPE_NUMBERS["int16"]


def replace_gather(site: Site) -> list[str] | None:
    """Says GatherV2 of a batch as one gather; with an axis that is not constant it stays unsaid."""
    values, places, axis_edge = site.inputs
    axis = site.read_const(axis_edge)
    if axis is None:
        return None
    return _gather(
        site,
        values,
        places,
        dtype=site.read("Tparams").type,
        places_type=site.read("Tindices").type,
        axis=int(axis.item()),
    )


def replace_resource_gather(site: Site) -> list[str] | None:
    """Says ResourceGather of a batch as a read of the variable, and a gather."""
    variable, places = site.inputs
    dtype, places_type = site.read("dtype").type, site.read("Tindices").type
    values = site.add("ReadVariableOp", [variable], dtype=dtype)
    batch = int(site.read("batch_dims").i)
    return _gather(site, values, places, dtype=dtype, places_type=places_type, axis=batch)


def _gather(
    site: Site, values: str, places: str, *, dtype: int, places_type: int, axis: int
) -> list[str] | None:
    batch = int(site.read("batch_dims").i)
    if places_type == _INT16:
        places, places_type = cast(site, places, places_type, INT32), INT32
    if batch == 0:
        return [gather(site, values, places, dtype, places_type=places_type, axis=axis)]
    shape, place_shape = read_shape(site, values, dtype), read_shape(site, places, places_type)
    after = None if axis == -1 else axis + 1
    lead = cut(site, place_shape, None, batch)
    # A negative number of dimensions counts from the end of the places' own.
    begin = batch if batch > 0 else read_shape(site, lead, INT32)
    middle = cut(site, shape, begin, axis)
    width = cut(site, shape, axis, after)
    rest = cut(site, shape, after, None) if after is not None else site.add_const([], "int32")
    wanted = cut(site, place_shape, batch, None)
    rows, between, behind, count = (multiply_up(site, sizes) for sizes in (lead, middle, rest, wanted))

    swap = site.add_const([0, 2, 1, 3], "int32")
    is_apart = axis != batch
    if is_apart:
        # [rows, between, width, behind]: the width is moved beside the rows.
        values = reshape(site, values, join(site, [rows, between, width, behind]), dtype)
        values = site.add("Transpose", [values, swap], T=dtype, Tperm=INT32)
    laid = [site.add("Mul", [rows, width], T=INT32), *([between] if is_apart else []), behind]
    values = reshape(site, values, join(site, laid), dtype)
    places = reshape(site, places, join(site, [rows, count]), places_type)
    places = _shift(site, places, pick(site, rows, 0), width, places_type)
    found = gather(site, values, places, dtype, places_type=places_type)
    if is_apart:
        found = site.add("Transpose", [found, swap], T=dtype, Tperm=INT32)
    return [reshape(site, found, join(site, [lead, middle, wanted, rest]), dtype)]


def _shift(site: Site, places: str, rows: str, width: str, dtype: int) -> str:
    """Adds places in rows laid end to end; -1, which no runtime takes, for those outside of their row."""
    begins = site.add("Mul", [count_to(site, rows), width], T=INT32)
    begins = cast(site, widen(site, begins, 1, INT32), INT32, dtype)
    width = cast(site, width, INT32, dtype)
    one = site.add_const(1, DTYPE_NAMES[dtype])
    is_small = site.add("Less", [places, width], T=dtype)
    is_positive = site.add("GreaterEqual", [places, site.add_const(0, DTYPE_NAMES[dtype])], T=dtype)
    fits = cast(site, site.add("LogicalAnd", [is_small, is_positive]), BOOL, dtype)
    counted = site.add("Add", [site.add("Add", [places, begins], T=dtype), one], T=dtype)
    return site.add("Sub", [site.add("Mul", [counted, fits], T=dtype), one], T=dtype)
