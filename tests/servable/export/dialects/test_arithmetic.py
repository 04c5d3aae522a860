"""Functions of numbers, and numbers of half precision."""

import numpy as np
import pytest

from servable.errors import ExportError

pytestmark = pytest.mark.tensorflow

X = np.array([[0.0, -1.5, 2.0], [np.inf, np.nan, 0.25]], "float32")


Y = np.array([[np.inf, 3.0, 0.0], [0.0, 0.0, -0.5]], "float32")


def _draw(*shape, dtype="float32"):
    values = np.random.default_rng(0).integers(-4, 5, shape)
    return (values + 1j * values[::-1] if dtype.startswith("complex") else values).astype(dtype)


@pytest.mark.parametrize("place", ["graph", "function", "loop"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_leaky_relu(agree, dtype, place):
    import tensorflow as tf

    agree(lambda x: tf.nn.leaky_relu(x, 0.3), X.astype(dtype), place=place)


def test_leaky_relu_of_bfloat16(agree):
    import tensorflow as tf

    agree(lambda x: tf.cast(tf.nn.leaky_relu(tf.cast(x, tf.bfloat16), 0.3), tf.float32), X)


@pytest.mark.parametrize("place", ["graph", "function", "loop"])
@pytest.mark.parametrize(
    ("op", "version"), [("MulNoNan", "1.12.3"), ("Xlog1py", "1.15.5"), ("Xlog1py", "1.12.3")]
)
def test_products_with_zero(agree, op, version, place):
    import tensorflow as tf

    agree(lambda x, y: getattr(tf.raw_ops, op)(x=x, y=y), X, Y, version=version, place=place)
    agree(lambda x, y: getattr(tf.raw_ops, op)(x=x, y=y), X, Y[0], version=version, place=place)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("axis", [0, -1, [0, 2], []])
def test_euclidean_norm(agree, axis, dtype):
    import tensorflow as tf

    x = _draw(2, 3, 4, dtype=dtype)
    agree(lambda x: tf.math.reduce_euclidean_norm(x, tf.constant(axis, "int32"), keepdims=axis == 0), x)


def test_norms_of_whole_numbers_are_refused(agree):
    import tensorflow as tf

    with pytest.raises(ExportError, match="EuclideanNorm"):
        agree(lambda x: tf.math.reduce_euclidean_norm(x, 0), _draw(3, 2, dtype="int32"))


@pytest.mark.parametrize("op", ["BesselI0", "BesselI1"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bessel_functions(agree, op, dtype):
    import tensorflow as tf

    agree(lambda x: getattr(tf.raw_ops, op)(x=x), np.linspace(-9, 9, 20).astype(dtype), version="1.15.5")


@pytest.mark.parametrize(("k", "index"), [("int16", "int32"), ("int64", "int64"), ("int32", "int16")])
def test_top_k(agree, k, index):
    import tensorflow as tf

    def call(x):
        return tf.raw_ops.TopKV2(input=x, k=tf.constant(2, k), index_type=tf.as_dtype(index))

    agree(call, _draw(2, 5), version="2.6.5")


@pytest.mark.parametrize("op", ["SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN"])
@pytest.mark.parametrize(("rows", "segments"), [("int64", "int32"), ("int32", "int64"), ("int64", "int64")])
def test_sums_of_segments(agree, op, rows, segments):
    import tensorflow as tf

    def call(x):
        given = {
            "data": x,
            "indices": tf.constant([0, 2, 1], rows),
            "segment_ids": tf.constant([0, 0, 2], segments),
        }
        return getattr(tf.raw_ops, op)(**given), getattr(tf.raw_ops, f"{op}WithNumSegments")(
            **given, num_segments=4
        )

    agree(call, _draw(3, 2))


def test_checked_numbers(agree):
    import tensorflow as tf

    agree(lambda x: tf.raw_ops.CheckNumericsV2(tensor=x, message="wrong"), _draw(3), version="1.15.5")


HALVES = {
    "Conv2D": ("1.12.3", "bfloat16"),
    "Softmax": ("1.12.3", "bfloat16"),
    "Tanh": ("1.12.3", "bfloat16"),
    "Einsum": ("1.12.3", "bfloat16"),
    "BatchMatMulV2": ("1.12.3", "bfloat16"),
    "AvgPool3D": ("1.12.3", "bfloat16"),
    "DivNoNan": ("1.12.3", "float16"),
    "IsFinite": ("1.15.5", "bfloat16"),
    "MaxPool3D": ("2.7.4", "bfloat16"),
    "DepthwiseConv2dNative": ("2.4.4", "bfloat16"),
}


def _run_half(op, x):
    import tensorflow as tf

    window = {"ksize": [1, 2, 2, 2, 1], "strides": [1] * 5, "padding": "VALID"}
    square = {"strides": [1] * 4, "padding": "SAME"}
    calls = {
        "Conv2D": lambda: tf.raw_ops.Conv2D(input=x[0], filter=x[0, :2], **square),
        "DepthwiseConv2dNative": lambda: tf.raw_ops.DepthwiseConv2dNative(
            input=x[0], filter=x[0, :2], **square
        ),
        "Softmax": lambda: tf.nn.softmax(x),
        "Tanh": lambda: tf.tanh(x),
        "Einsum": lambda: tf.raw_ops.Einsum(inputs=[x, x], equation="...ab,...cb->...ac"),
        "BatchMatMulV2": lambda: tf.raw_ops.BatchMatMulV2(x=x, y=x[0, 0]),
        "AvgPool3D": lambda: tf.raw_ops.AvgPool3D(input=x, **window),
        "MaxPool3D": lambda: tf.raw_ops.MaxPool3D(input=x, **window),
        "DivNoNan": lambda: tf.math.divide_no_nan(x, tf.round(x)),
        "IsFinite": lambda: tf.math.is_finite(x),
    }
    return calls[op]()


@pytest.mark.parametrize("op", HALVES)
def test_numbers_of_half_precision(agree, op):
    import tensorflow as tf

    version, dtype = HALVES[op]

    def call(x):
        result = _run_half(op, tf.cast(x, dtype))
        return result if result.dtype == tf.bool else tf.cast(result, tf.float32)

    shapes = [[2, 3, 3, 3, 3]]  # what bfloat16 gives depends on how a sum is split
    agree(
        call,
        np.random.default_rng(0).normal(size=shapes[0]).astype("float32"),
        version=version,
        shapes=shapes,
        rtol=2e-2,
        atol=2e-2,
    )


def test_one_hot_of_small_numbers(agree):
    import tensorflow as tf

    agree(lambda x: tf.one_hot(x, 4, axis=0), _draw(2, 3, dtype="int8"), version="2.7.4")


@pytest.mark.parametrize("version", ["1.12.3", "2.3.4"])
def test_quantized_and_back(agree, version):
    import tensorflow as tf

    def call(x):
        return tf.quantization.quantize_and_dequantize_v2(x, -2.0, 3.0, num_bits=4)

    agree(call, np.linspace(-4, 4, 30).astype("float32"), version=version)


def test_quantizing_per_channel_is_refused_where_it_is_not_known(agree):
    import tensorflow as tf

    with pytest.raises(ExportError, match="QuantizeAndDequantizeV4"):
        agree(
            lambda x: tf.quantization.quantize_and_dequantize_v2(x, [0.0] * 3, [1.0] * 3, axis=1), _draw(2, 3)
        )
