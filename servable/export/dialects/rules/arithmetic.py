"""ROOM 2: functions of numbers that have become ops of their own."""

from __future__ import annotations

from servable.export.dialects.rules.shapes import INT32, cast, stretch_to_common_shape
from servable.export.dialects.site import Site
from servable.signature import DTYPE_NAMES

_COMPLEX = ("complex64", "complex128")
_FLOATS = ("float16", "float32", "float64", "bfloat16")


def replace_mul_no_nan(site: Site) -> list[str] | None:
    """Says MulNoNan as a product that is 0 where the second factor is, whatever the first."""
    dtype = site.read("T").type
    return [_zero_where_zero(site, site.inputs[1], site.add("Mul", site.inputs, T=dtype))]


def replace_xlog1py(site: Site) -> list[str] | None:
    """Says Xlog1py as a product that is 0 where the first factor is, whatever the second."""
    dtype = site.read("T").type
    x, y = site.inputs
    product = site.add("Mul", [x, site.add("Log1p", [y], T=dtype)], T=dtype)
    return [_zero_where_zero(site, x, product)]


def replace_euclidean_norm(site: Site) -> list[str] | None:
    """Says EuclideanNorm of fractions as the root of a sum of squares; of whole numbers it stays unsaid."""
    x, axes = site.inputs
    dtype = site.read("T").type
    name = DTYPE_NAMES[dtype]
    if name not in _FLOATS + _COMPLEX:
        return None
    other = site.add("Conj", [x], T=dtype) if name in _COMPLEX else x
    square = site.add("Mul", [x, other], T=dtype)
    total = site.add(
        "Sum", [square, axes], T=dtype, Tidx=site.read("Tidx").type, keep_dims=site.read("keep_dims").b
    )
    return [site.add("Sqrt", [total], T=dtype)]


def replace_bessel(site: Site) -> list[str] | None:
    """Says BesselI0 and BesselI1 by their scaled forms."""
    dtype = site.read("T").type
    (x,) = site.inputs
    scaled = site.add(f"{site.node.op}e", [x], T=dtype)
    growth = site.add("Exp", [site.add("Abs", [x], T=dtype)], T=dtype)
    return [site.add("Mul", [scaled, growth], T=dtype)]


def replace_top_k(site: Site) -> list[str] | None:
    """Says TopKV2 with other types of numbers and indices than int32 with casts."""
    x, k = site.inputs
    dtype = site.read("T").type
    k = cast(site, k, site.read("Tk").type, INT32)
    values = site.add("TopKV2", [x, k], T=dtype, sorted=site.read("sorted").b)
    return [values, cast(site, f"{values}:1", INT32, site.read("index_type").type)]


def replace_one_hot(site: Site) -> list[str] | None:
    """Says OneHot of int8 as OneHot of int32."""
    numbers, *others = site.inputs
    attrs = {name: site.read(name) for name in ("axis", "T")}
    return [
        site.add("OneHot", [cast(site, numbers, site.read("TI").type, INT32), *others], TI=INT32, **attrs)
    ]


def replace_quantizing(site: Site) -> list[str] | None:
    """Says QuantizeAndDequantizeV4 as V2, of which only the gradient is another."""
    return [site.add("QuantizeAndDequantizeV2", site.inputs, **site.node.attr)]


def replace_segment_ids(site: Site) -> list[str] | None:
    """Says sums of segments of sparse rows with int32 for both rows and segments."""
    attrs = {attr.name for attr in site.registry.ops[site.node.op].attr} & {"T", "Tnumsegments"}
    data, rows, segments, *others = site.inputs
    rows = cast(site, rows, site.read("Tidx").type, INT32)
    segments = cast(site, segments, site.read("Tsegmentids").type, INT32)
    kept = {name: site.read(name) for name in attrs}
    return [site.add(site.node.op, [data, rows, segments, *others], Tidx=INT32, **kept)]


def check_numerics(site: Site) -> list[str] | None:
    """Says CheckNumericsV2, which tells infinities apart by their sign, as CheckNumerics."""
    return [site.add("CheckNumerics", site.inputs, T=site.read("T").type, message=site.read("message").s)]


def _zero_where_zero(site: Site, factor: str, product: str) -> str:
    dtype = site.read("T").type
    factor, product = stretch_to_common_shape(site, [factor, product], [dtype, dtype])
    nothing = site.add("ZerosLike", [factor], T=dtype)
    is_zero = site.add("Equal", [factor, nothing], T=dtype)
    return site.add("Select", [is_zero, nothing, product], T=dtype)
