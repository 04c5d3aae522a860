"""Products of matrices, diagonals, choices and scattered updates."""

import numpy as np
import pytest

from servable.errors import ExportError

pytestmark = pytest.mark.tensorflow


def _draw(*shape, dtype="float32"):
    values = np.random.default_rng(0).integers(-4, 5, shape)
    return (values + 1j * values[::-1] if dtype.startswith("complex") else values).astype(dtype)


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
