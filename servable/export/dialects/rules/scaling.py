"""ROOM 2: images scaled and moved with one of several kernels.

TensorFlow 1.12 has no such op. How much each old row adds to each new one is written out as a matrix, the
same for columns, and the images are multiplied by both. Kernels and their reach are those of
`sampling_kernels.h` and `scale_and_translate_op.cc` of TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from servable.export.dialects.rules.resizing import evaluate
from servable.export.dialects.rules.shapes import (
    BOOL,
    FLOAT,
    INT32,
    cast,
    count_to,
    pick,
    read_shape,
    widen,
)
from servable.export.dialects.site import Site

# Below it, TensorFlow does not make the weights' sum 1.
_LEAST_SUM = 1000 * 1.17549435e-38


def replace_scale_and_translate(site: Site) -> list[str] | None:
    """Says ScaleAndTranslate as products with a matrix for rows and one for columns."""
    images, sizes, scales, shifts = site.inputs
    dtype, kind = site.read("T").type, site.read("kernel_type").s.decode()
    if kind not in _KERNELS:
        return None
    shape = read_shape(site, images, dtype)
    factors = []
    for axis in (0, 1):
        scale, shift = (pick(site, vector, axis, dtype=FLOAT) for vector in (scales, shifts))
        factors.append(_weigh(site, kind, pick(site, shape, axis + 1), pick(site, sizes, axis), scale, shift))
    result = cast(site, images, dtype, FLOAT)
    for factor, equation in zip(factors, ("ab,cbde->cade", "ab,cdbe->cdae"), strict=True):
        result = site.add("Einsum", [factor, result], equation=equation, N=2, T=FLOAT)
    return [result]


def _weigh(site: Site, kind: str, old: str, new: str, scale: str, shift: str) -> str:
    """Adds the weight of each old pixel in each new one: float32 [new, old]."""
    one = site.add_const(1.0, "float32")
    step = site.add("RealDiv", [one, scale], T=FLOAT)
    width = site.add("Maximum", [step, one], T=FLOAT) if site.read("antialias").b else one
    centres = _centre(site, new)
    at = site.add("Mul", [site.add("Sub", [centres, shift], T=FLOAT), step], T=FLOAT)
    at = widen(site, at, 1, FLOAT)
    distance = site.add("Abs", [site.add("Sub", [_centre(site, old), at], T=FLOAT)], T=FLOAT)
    distance = site.add("RealDiv", [distance, width], T=FLOAT)
    radius, evaluate_kernel = _KERNELS[kind]
    is_near = site.add("Less", [distance, site.add_const(radius, "float32")], T=FLOAT)
    weights = site.add("Mul", [evaluate_kernel(site, distance), cast(site, is_near, BOOL, FLOAT)], T=FLOAT)

    axis = site.add_const([1], "int32")
    total = site.add("Sum", [weights, axis], T=FLOAT, Tidx=INT32, keep_dims=True)
    least = site.add_const(_LEAST_SUM, "float32")
    is_some = site.add("GreaterEqual", [site.add("Abs", [total], T=FLOAT), least], T=FLOAT)
    total = site.add("Select", [is_some, total, site.add("OnesLike", [total], T=FLOAT)], T=FLOAT)
    weights = site.add("RealDiv", [weights, total], T=FLOAT)
    # A new pixel whose centre lies outside of the old image is black.
    end = cast(site, old, INT32, FLOAT)
    start = site.add_const(0.0, "float32")
    for op, border in (("GreaterEqual", start), ("LessEqual", end)):
        weights = site.add(
            "Mul", [weights, cast(site, site.add(op, [at, border], T=FLOAT), BOOL, FLOAT)], T=FLOAT
        )
    return weights


def _centre(site: Site, size: str) -> str:
    pixels = cast(site, count_to(site, size), INT32, FLOAT)
    return site.add("Add", [pixels, site.add_const(0.5, "float32")], T=FLOAT)


def _lanczos(radius: float) -> Callable[[Site, str], str]:
    def evaluate_kernel(site: Site, x: str) -> str:
        # Next to 0, where the quotient has no value, the kernel is 1 to the last bit but a few.
        x = site.add("Maximum", [x, site.add_const(1e-3, "float32")], T=FLOAT)
        angle = site.add("Mul", [x, site.add_const(math.pi, "float32")], T=FLOAT)
        slow = site.add("RealDiv", [angle, site.add_const(radius, "float32")], T=FLOAT)
        waves = [site.add("RealDiv", [site.add("Sin", [a], T=FLOAT), a], T=FLOAT) for a in (angle, slow)]
        return site.add("Mul", waves, T=FLOAT)

    return evaluate_kernel


def _gaussian(site: Site, x: str) -> str:
    square = site.add("Square", [x], T=FLOAT)
    return site.add("Exp", [site.add("Mul", [square, site.add_const(-2.0, "float32")], T=FLOAT)], T=FLOAT)


def _box(site: Site, x: str) -> str:
    half = site.add_const(0.5, "float32")
    inside, within = (
        cast(site, site.add(op, [x, half], T=FLOAT), BOOL, FLOAT) for op in ("Less", "LessEqual")
    )
    return site.add("Mul", [site.add("Add", [inside, within], T=FLOAT), half], T=FLOAT)


def _triangle(site: Site, x: str) -> str:
    return site.add("Sub", [site.add_const(1.0, "float32"), x], T=FLOAT)


def _cubic(near: tuple[float, ...], far: tuple[float, ...]) -> Callable[[Site, str], str]:
    def evaluate_kernel(site: Site, x: str) -> str:
        is_near = site.add("Less", [x, site.add_const(1.0, "float32")], T=FLOAT)
        return site.add("Select", [is_near, evaluate(site, near, x), evaluate(site, far, x)], T=FLOAT)

    return evaluate_kernel


# The kernel's reach, and its value at a distance.
_KERNELS: dict[str, tuple[float, Callable[[Site, str], str]]] = {
    "lanczos1": (1.0, _lanczos(1.0)),
    "lanczos3": (3.0, _lanczos(3.0)),
    "lanczos5": (5.0, _lanczos(5.0)),
    "gaussian": (1.5, _gaussian),
    "box": (1.0, _box),
    "triangle": (1.0, _triangle),
    "keyscubic": (2.0, _cubic((1.5, -2.5, 0.0, 1.0), (-0.5, 2.5, -4.0, 2.0))),
    "mitchellcubic": (2.0, _cubic((7 / 6, -2.0, 0.0, 8 / 9), (-7 / 18, 2.0, -10 / 3, 16 / 9))),
}
