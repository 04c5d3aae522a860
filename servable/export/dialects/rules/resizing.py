"""ROOM 2: images in another size.

TensorFlow 1.12 takes the corner of a pixel for its place. Newer models take its centre, for which only the
attribute is missing there: rows, then columns, are gathered and weighed instead. Places and weights are those
of `image_resizer_state.h` and the kernels of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from servable.export.dialects.rules.shapes import (
    BOOL,
    FLOAT,
    INT32,
    cast,
    count_to,
    gather,
    pick,
    read_shape,
    reshape,
)
from servable.export.dialects.site import Site

# Images are [batch, rows, columns, channels].
_AXES = (1, 2)
# Of the cubic kernel in resize_bicubic_op.cc: its weights come from a table of so many steps.
_STEPS = 1024.0
_KEYS = -0.5


def replace_nearest(site: Site) -> list[str] | None:
    """Says ResizeNearestNeighbor with centres as two gathers."""
    if not _takes_centres(site):
        return None
    dtype = site.read("T").type
    result = site.inputs[0]
    for axis in _measure(site, dtype):
        places = cast(site, site.add("Floor", [axis.scale_centres()], T=FLOAT), FLOAT, INT32)
        result = gather(site, result, axis.limit(places), dtype, places_type=INT32, axis=axis.number)
    return [result]


def replace_bilinear(site: Site) -> list[str] | None:
    """Says ResizeBilinear with centres as gathers of two neighbours, rows first."""
    if not _takes_centres(site):
        return None
    dtype = site.read("T").type
    result = cast(site, site.inputs[0], dtype, FLOAT)
    for axis in _measure(site, dtype):
        at = axis.find_between()
        below = site.add("Floor", [at], T=FLOAT)
        above = site.add("Ceil", [at], T=FLOAT)
        weight = axis.spread(site.add("Sub", [at, below], T=FLOAT))
        one, other = (axis.take(result, cast(site, place, FLOAT, INT32)) for place in (below, above))
        change = site.add("Mul", [site.add("Sub", [other, one], T=FLOAT), weight], T=FLOAT)
        result = site.add("Add", [one, change], T=FLOAT)
    return [result]


def replace_bicubic(site: Site) -> list[str] | None:
    """Says ResizeBicubic with centres as weighed sums of four neighbours, rows first."""
    if not _takes_centres(site):
        return None
    dtype = site.read("T").type
    result = cast(site, site.inputs[0], dtype, FLOAT)
    for axis in _measure(site, dtype):
        at = axis.find_between()
        below = site.add("Floor", [at], T=FLOAT)
        weights = _weigh_cubic(site, site.add("Sub", [at, below], T=FLOAT))
        below = cast(site, below, FLOAT, INT32)
        places = [
            site.add("Add", [below, site.add_const(shift, "int32")], T=INT32) for shift in (-1, 0, 1, 2)
        ]
        inside = [cast(site, axis.is_inside(place), BOOL, FLOAT) for place in places]
        weights = [site.add("Mul", pair, T=FLOAT) for pair in zip(weights, inside, strict=True)]
        total = site.add("AddN", weights, N=4, T=FLOAT)
        weights = [axis.spread(site.add("RealDiv", [weight, total], T=FLOAT)) for weight in weights]
        terms = [
            site.add("Mul", [axis.take(result, place), weight], T=FLOAT)
            for place, weight in zip(places, weights, strict=True)
        ]
        result = site.add("AddN", terms, N=4, T=FLOAT)
    return [result]


def _takes_centres(site: Site) -> bool:
    # Both at once is refused by TensorFlow itself.
    return bool(site.read("half_pixel_centers").b and not site.read("align_corners").b)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Rows or columns.

    Attributes:
        site: Where.
        number: Of the dimension.
        last: Place of the last pixel before: int32 [].
        scale: Old by new size: float32 [].
        centres: Of the new pixels, in new pixels: float32 [new size].
    """

    site: Site
    number: int
    last: str
    scale: str
    centres: str

    def scale_centres(self) -> str:
        """Adds the centres in old pixels."""
        return self.site.add("Mul", [self.centres, self.scale], T=FLOAT)

    def find_between(self) -> str:
        """Adds the places of the centres, where an old pixel's own centre has its number for a place."""
        half = self.site.add_const(0.5, "float32")
        return self.site.add("Sub", [self.scale_centres(), half], T=FLOAT)

    def limit(self, places: str) -> str:
        """Adds places, those outside of the image moved to its edge."""
        lowest = self.site.add_const(0, "int32")
        return self.site.add(
            "Minimum", [self.site.add("Maximum", [places, lowest], T=INT32), self.last], T=INT32
        )

    def is_inside(self, places: str) -> str:
        """Adds which places are within the image."""
        return self.site.add("Equal", [places, self.limit(places)], T=INT32)

    def take(self, images: str, places: str) -> str:
        """Adds float32 images that are made of some rows or columns, the nearest for those outside."""
        return gather(self.site, images, self.limit(places), FLOAT, places_type=INT32, axis=self.number)

    def spread(self, weights: str) -> str:
        """Adds weights in a shape in which they are those of rows or columns."""
        shape = [1, 1, 1, 1]
        shape[self.number] = -1
        return reshape(self.site, weights, self.site.add_const(shape, "int32"), FLOAT)


def _measure(site: Site, dtype: int) -> list[_Axis]:
    images, sizes = site.inputs
    shape = read_shape(site, images, dtype)
    half, one = site.add_const(0.5, "float32"), site.add_const(1, "int32")
    axes = []
    for number in _AXES:
        old, new = pick(site, shape, number), pick(site, sizes, number - 1)
        scale = site.add("RealDiv", [cast(site, size, INT32, FLOAT) for size in (old, new)], T=FLOAT)
        pixels = cast(site, count_to(site, new), INT32, FLOAT)
        centres = site.add("Add", [pixels, half], T=FLOAT)
        axes.append(_Axis(site, number, site.add("Sub", [old, one], T=INT32), scale, centres))
    return axes


def _weigh_cubic(site: Site, distance: str) -> list[str]:
    """Weighs the pixels at -1, 0, 1 and 2, for a place at a distance from 0, of 0 to 1."""
    steps = site.add_const(_STEPS, "float32")
    rounded = site.add("Round", [site.add("Mul", [distance, steps], T=FLOAT)], T=FLOAT)
    behind = site.add("RealDiv", [rounded, steps], T=FLOAT)
    ahead = site.add("Sub", [site.add_const(1.0, "float32"), behind], T=FLOAT)
    near = (_KEYS + 2, -(_KEYS + 3), 0.0, 1.0)
    far = (_KEYS, -5 * _KEYS, 8 * _KEYS, -4 * _KEYS)
    one = site.add_const(1.0, "float32")
    farther = [site.add("Add", [place, one], T=FLOAT) for place in (behind, ahead)]
    return [
        evaluate(site, far, farther[0]),
        evaluate(site, near, behind),
        evaluate(site, near, ahead),
        evaluate(site, far, farther[1]),
    ]


def evaluate(site: Site, factors: Sequence[float], x: str) -> str:
    """Adds a polynomial, the factor of the highest power first."""
    value = site.add_const(factors[0], "float32")
    for factor in factors[1:]:
        value = site.add("Mul", [value, x], T=FLOAT)
        if factor:
            value = site.add("Add", [value, site.add_const(factor, "float32")], T=FLOAT)
    return value
