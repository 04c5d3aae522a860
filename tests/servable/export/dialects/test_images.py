"""Images in another size and seen from elsewhere."""

import numpy as np
import pytest

from servable.errors import ExportError

pytestmark = pytest.mark.tensorflow

SIZES = [((5, 7), (10, 14)), ((5, 7), (3, 4)), ((4, 4), (4, 4)), ((1, 6), (3, 1)), ((3, 5), (17, 2))]
KERNELS = ["lanczos1", "lanczos3", "lanczos5", "gaussian", "box", "triangle", "keyscubic", "mitchellcubic"]


def _draw(size, dtype="float32", channels=3):
    values = np.random.default_rng(0).uniform(0, 255, (2, *size, channels))
    return values.astype(dtype)


@pytest.mark.parametrize("op", ["ResizeNearestNeighbor", "ResizeBilinear", "ResizeBicubic"])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_centres_of_pixels(agree, op, old, new):
    import tensorflow as tf

    def call(images, size):
        return getattr(tf.raw_ops, op)(images=images, size=size, half_pixel_centers=True)

    agree(call, _draw(old), np.array(new, "int32"), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("op", ["ResizeNearestNeighbor", "ResizeBilinear", "ResizeBicubic"])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float64"])
def test_types_of_images(agree, op, dtype):
    import tensorflow as tf

    def call(images):
        return getattr(tf.raw_ops, op)(images=images, size=[9, 4], half_pixel_centers=True)

    agree(call, _draw((5, 7), dtype), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    "op", ["ResizeNearestNeighbor", "ResizeBilinear", "ResizeBicubic", "ScaleAndTranslate"]
)
@pytest.mark.parametrize("place", ["function", "loop"])
def test_in_functions_and_loops(agree, op, place):
    import tensorflow as tf

    def call(images):
        if op == "ScaleAndTranslate":
            return tf.raw_ops.ScaleAndTranslate(
                images=images, size=[9, 4], scale=[9 / 5, 4 / 7], translation=[0.0, 0.0]
            )
        return getattr(tf.raw_ops, op)(images=images, size=[9, 4], half_pixel_centers=True)

    agree(call, _draw((5, 7)), place=place, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("antialias", [False, True])
def test_kernels(agree, kernel, antialias):
    import tensorflow as tf

    def call(images, size, scale, translation):
        return tf.raw_ops.ScaleAndTranslate(
            images=images,
            size=size,
            scale=scale,
            translation=translation,
            kernel_type=kernel,
            antialias=antialias,
        )

    for old, new in SIZES[:2]:
        scale = np.array(new, "float32") / np.array(old, "float32")
        agree(call, _draw(old), np.array(new, "int32"), scale, np.zeros(2, "float32"), atol=2e-3)
    shift = np.array([2.3, -1.6], "float32")
    agree(
        call,
        _draw((5, 7), "uint8"),
        np.array([9, 8], "int32"),
        np.array([1.5, 0.7], "float32"),
        shift,
        atol=2e-3,
    )


def test_projections(agree):
    import tensorflow as tf

    def call(images, transforms):
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=transforms,
            output_shape=[6, 5],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )

    turn = np.array([[0.8, -0.6, 1.0, 0.6, 0.8, 0.5, 0.0, 0.0]], "float32")
    agree(call, _draw((5, 7)), turn, version="2.3.4", atol=1e-3)


@pytest.mark.parametrize(("mode", "value"), [("NEAREST", 0.0), ("REFLECT", 0.0), ("CONSTANT", 1.0)])
def test_projections_that_fill_otherwise_are_refused(agree, mode, value):
    import tensorflow as tf

    def call(images):
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=[[1.0, 0, 0, 0, 1.0, 0, 0, 0]],
            output_shape=[6, 5],
            fill_value=value,
            interpolation="NEAREST",
            fill_mode=mode,
        )

    with pytest.raises(ExportError, match="ImageProjectiveTransformV3"):
        agree(call, _draw((5, 7)), version="2.3.4")
