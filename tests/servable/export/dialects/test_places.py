"""Values by their places, branches, and lists that grow."""

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


def _draw(*shape, dtype="float32"):
    return np.random.default_rng(0).integers(-4, 5, shape).astype(dtype)


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize(
    ("shape", "places", "batch", "axis"),
    [
        ((3, 5), (3, 2), 1, 1),
        ((3, 5, 2), (3,), 1, 1),
        ((3, 5, 2), (3, 4), 1, 2),
        ((3, 5, 2), (3, 4), 1, -1),
        ((3, 5, 2), (3, 4), 1, -2),
        ((2, 3, 4, 5), (2, 3, 2, 2), 2, 2),
        ((2, 3, 4, 5, 2), (2, 3), 2, 3),
        ((2, 3, 4, 5), (2, 6), 1, 2),
        ((0, 5), (0, 2), 1, 1),
        ((3, 5), (3, 0), 1, 1),
        ((2, 3, 4), (2, 3, 2), -1, -1),
        ((2, 3, 4), (2, 3), -1, 2),
    ],
)
def test_gathers_of_a_batch(agree, shape, places, batch, axis, index):
    import tensorflow as tf

    chosen = np.abs(_draw(*places)) % 2
    agree(
        lambda x, i: tf.gather(x, i, batch_dims=batch, axis=axis),
        _draw(*shape),
        chosen.astype(index),
    )


@pytest.mark.parametrize("place", ["function", "loop"])
@pytest.mark.parametrize("dtype", ["object", "bool", "float64"])
def test_gathers_in_functions_and_loops(agree, dtype, place):
    import tensorflow as tf

    values = (
        np.arange(6).reshape(2, 3).astype("S").astype(object)
        if dtype == "object"
        else _draw(2, 3, dtype=dtype)
    )
    agree(lambda x, i: tf.gather(x, i, batch_dims=1), values, np.array([[2, 0], [1, 1]]), place=place)


@pytest.mark.parametrize("place", [-1, 3])
def test_a_place_outside_of_its_row_is_refused_as_before(agree, place):
    import tensorflow as tf

    def call(x, i):
        return tf.gather(x, tf.where(i == 9, place, i), batch_dims=1)

    agree(call, _draw(2, 3), np.array([[2], [0]], "int32"))
    with pytest.raises(tf.errors.InvalidArgumentError):
        agree(call, _draw(2, 3), np.array([[2], [9]], "int32"))


def test_gathers_from_a_variable(agree):
    import tensorflow as tf

    def call(x, i):
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[2, 3], shared_name="v")
        with tf.control_dependencies([tf.raw_ops.AssignVariableOp(resource=handle, value=x)]):
            return tf.raw_ops.ResourceGather(resource=handle, indices=i, dtype=tf.float32, batch_dims=1)

    agree(call, _draw(2, 3), np.array([[2, 0], [1, 1]], "int32"))


def test_branches_without_a_state(agree):
    import tensorflow as tf

    def call(x, number):
        return tf.switch_case(number, [lambda: x + 1, lambda: x * 2, lambda: -x])

    for number in (0, 1, 2, 7):
        agree(call, _draw(3), np.int32(number), version="2.3.4")


def test_comparisons_of_any_shapes(agree):
    # Only an attribute goes, which is not told.
    with pytest.raises(AssertionError, match="nothing was replaced"):
        agree(lambda x, y: (x == y, x != y), _draw(2, 3), _draw(3), version="1.14.0")


@pytest.mark.parametrize("version", ["2.3.4", "2.11.1"])
@pytest.mark.parametrize("place", ["graph", "function"])
def test_lists_that_grow(agree, version, place):
    import tensorflow as tf

    def call(x):
        items = tf.TensorArray(tf.float32, 1, dynamic_size=True, element_shape=[2])
        items = tf.while_loop(lambda i, _: i < 3, lambda i, a: (i + 1, a.write(i, x[i])), (0, items))[1]
        return items.write(1, x[0]).stack(), items.write(5, x[1]).size()

    agree(call, _draw(3, 2), version=version, place=place)
