"""Functions of numbers, products of matrices, diagonals and choices."""

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


@pytest.mark.parametrize("place", ["graph", "function", "loop"])
@pytest.mark.parametrize(("x", "y"), [((2, 1, 3, 4), (5, 4, 2)), ((3, 4), (4, 2)), ((0, 3, 4), (1, 4, 2))])
def test_products_of_stretched_stacks(agree, x, y, place):
    import tensorflow as tf

    agree(lambda a, b: tf.raw_ops.BatchMatMulV2(x=a, y=b), _draw(*x), _draw(*y), place=place)


@pytest.mark.parametrize("dtype", ["int32", "float64", "complex64"])
def test_products_of_turned_matrices(agree, dtype):
    import tensorflow as tf

    x, y = _draw(2, 4, 3, dtype=dtype), _draw(2, 4, dtype=dtype)
    agree(lambda a, b: tf.raw_ops.BatchMatMulV2(x=a, y=b, adj_x=True, adj_y=True), x, y)
    agree(
        lambda a, b: tf.raw_ops.BatchMatMulV3(x=a, y=b, Tout=a.dtype, adj_x=True, adj_y=True),
        x,
        y,
        version="2.3.4",
    )


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [("int8", "int8", "int32"), ("uint8", "int8", "int32"), ("int8", "bfloat16", "bfloat16")],
)
@pytest.mark.parametrize("version", ["1.12.3", "2.4.4"])
def test_products_of_another_type(agree, one, other, wanted, version):
    import tensorflow as tf

    def call(x, y):
        product = tf.raw_ops.BatchMatMulV3(x=tf.cast(x, one), y=tf.cast(y, other), Tout=wanted)
        return tf.cast(product, tf.float32) if wanted == "bfloat16" else product

    # -128 times -128, several times, is no int8.
    x, y = _draw(2, 3, 4) * 32, _draw(4, 2) * 32
    agree(call, np.abs(x) if one == "uint8" else x, y, version=version, rtol=1e-2)


@pytest.mark.parametrize("place", ["graph", "function", "loop"])
@pytest.mark.parametrize(
    "shapes",
    [
        [(), (2, 3), (3,)],
        [(2, 1), (3,), (4, 1, 1)],
        [(3,), (), ()],
        [(0,), (0,), (1,)],
        [(2, 1, 2, 1, 2, 1), (), (3, 1, 3, 1, 3)],
    ],
)
def test_choices_of_stretched_tensors(agree, shapes, place):
    import tensorflow as tf

    condition, one, other = (_draw(*shape) for shape in shapes)
    agree(lambda c, t, e: tf.raw_ops.SelectV2(condition=c > 0, t=t, e=e), condition, one, other, place=place)


@pytest.mark.parametrize("version", ["1.12.3", "1.15.5"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_diagonals(agree, dtype, version):
    import tensorflow as tf

    def call(vectors, matrices):
        return (
            tf.linalg.diag(vectors),
            tf.linalg.diag_part(matrices),
            tf.linalg.set_diag(matrices, vectors),
            tf.raw_ops.MatrixDiagPartV3(input=matrices, k=[0, 0], padding_value=tf.constant(7, dtype)),
        )

    agree(call, _draw(2, 3, dtype=dtype), _draw(2, 3, 5, dtype=dtype), version=version)


def test_a_diagonal_beside_the_main_one(agree):
    import tensorflow as tf

    def call(vectors, matrices):
        filled = tf.linalg.diag(vectors, k=1, num_rows=4, num_cols=4, padding_value=3.0)
        return filled, tf.linalg.diag_part(matrices, k=-1), tf.linalg.set_diag(matrices, vectors, k=1)

    feeds = _draw(2, 3), _draw(2, 3, 4)
    shapes = [feed.shape for feed in feeds]
    agree(call, *feeds, version="1.15.5", shapes=shapes)
    with pytest.raises(ExportError, match="MatrixDiagV3"):
        agree(call, *feeds, version="1.14.0", shapes=shapes)


@pytest.mark.parametrize("align", ["LEFT_LEFT", "RIGHT_LEFT"])
def test_bands_only_as_the_older_op_aligns_them(agree, align):
    import tensorflow as tf

    def call(x):
        return tf.linalg.diag_part(x, k=(-1, 2), align=align, padding_value=5.0)

    if align == "LEFT_LEFT":
        agree(call, _draw(2, 3, 4), version="1.15.5")
    else:
        with pytest.raises(ExportError, match="MatrixDiagPartV3"):
            agree(call, _draw(2, 3, 4), version="1.15.5")


@pytest.mark.parametrize("op", ["TensorScatterUpdate", "TensorScatterAdd", "TensorScatterSub"])
@pytest.mark.parametrize("place", ["graph", "loop"])
def test_scattered_updates(agree, op, place):
    import tensorflow as tf

    def call(x):
        # One place twice: the last update counts, or both do.
        raw = getattr(tf.raw_ops, op)
        rows = raw(tensor=x, indices=[[2], [0], [2]], updates=tf.constant([[1.0, 2], [3, 4], [5, 6]]))
        return raw(tensor=rows, indices=tf.constant([[1, 1], [0, 0]], "int64"), updates=[7.0, 8.0])

    agree(call, _draw(3, 2), place=place)


def test_choices_of_types_that_are_not_tiled(agree):
    import tensorflow as tf

    agree(lambda c, x: tf.raw_ops.SelectV2(condition=c > 0, t=x, e=x[0]), _draw(3), _draw(2, 3, dtype="int8"))


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
