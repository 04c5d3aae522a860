"""Texts, and rows of different length."""

import numpy as np
import pytest

from servable.errors import ExportError

pytestmark = pytest.mark.tensorflow

TEXTS = np.array([b"", b"Ab Z[\\]@`{", "Ünïcode ÀÉ straße".encode(), b"\xff\x00A\nB"], dtype=object)


@pytest.mark.parametrize("op", ["StringLower", "StringUpper"])
@pytest.mark.parametrize("place", ["graph", "function", "loop"])
def test_case_of_ascii_letters(agree, op, place):
    import tensorflow as tf

    agree(lambda x: getattr(tf.raw_ops, op)(input=x), TEXTS, place=place)
    agree(lambda x: getattr(tf.raw_ops, op)(input=x), TEXTS.reshape(2, 2), place=place)


def test_case_of_unicode_letters_is_refused(agree):
    import tensorflow as tf

    with pytest.raises(ExportError, match="StringLower"):
        agree(lambda x: tf.raw_ops.StringLower(input=x, encoding="utf-8"), TEXTS)


def _to_tensor(kinds, default, shape=(-1, -1), index="int64", shape_type="int64"):
    import tensorflow as tf

    def call(values, *partitions):
        return tf.raw_ops.RaggedTensorToTensor(
            shape=tf.constant(shape, shape_type),
            values=values,
            default_value=tf.constant(default, values.dtype),
            row_partition_tensors=[tf.cast(p, index) for p in partitions],
            row_partition_types=kinds,
        )

    return call


SPLITS = np.array([0, 2, 2, 5, 6], "int64")
ROWIDS = np.array([0, 0, 2, 2, 2, 3], "int64")
VALUES = np.arange(1, 7)


@pytest.mark.parametrize("shape", [-1, [-1, -1], [-1, 2], [-1, 5], [2, -1], [6, 4], [4, 0]])
@pytest.mark.parametrize("kind", ["splits", "rowids"])
def test_one_ragged_dimension(agree, shape, kind):
    given = ["ROW_SPLITS"] if kind == "splits" else ["FIRST_DIM_SIZE", "VALUE_ROWIDS"]
    partitions = [SPLITS] if kind == "splits" else [np.int64(4), ROWIDS]
    agree(
        _to_tensor(given, -7, shape),
        VALUES.astype("float32"),
        *partitions,
        version="1.12.3" if kind == "splits" else "1.14.0",
    )


@pytest.mark.parametrize("dtype", ["int32", "int64", "float64", "bool", "object"])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_types_of_values(agree, dtype, index):
    values = VALUES.astype("S").astype(object) if dtype == "object" else VALUES.astype(dtype)
    default = {"object": b"none", "bool": True}.get(dtype, 0)
    call = _to_tensor(["ROW_SPLITS"], default, index=index, shape_type="int32")
    agree(call, values, SPLITS)


@pytest.mark.parametrize("place", ["function", "loop"])
def test_rows_in_functions_and_loops(agree, place):
    call = _to_tensor(["FIRST_DIM_SIZE", "VALUE_ROWIDS"], b"")
    texts = VALUES.astype("S").astype(object)
    agree(call, texts, np.int64(4), ROWIDS, place=place)


@pytest.mark.parametrize("shape", [-1, [-1, -1, -1], [3, 2, 2], [-1, 5, 1]])
def test_two_ragged_dimensions(agree, shape):
    outer = np.array([0, 3, 3, 4], "int64")
    call = _to_tensor(["ROW_SPLITS", "ROW_SPLITS"], 9, shape)
    agree(call, VALUES.astype("int32"), outer, SPLITS)
    call = _to_tensor(["FIRST_DIM_SIZE", "VALUE_ROWIDS", "VALUE_ROWIDS"], 9, shape)
    rowids = np.array([0, 0, 0, 2], "int64")
    agree(call, VALUES.astype("int32"), np.int64(3), rowids, ROWIDS)


@pytest.mark.parametrize("default", [0.0, [1.0, 2.0]])
def test_values_that_are_vectors(agree, default):
    values = np.stack([VALUES, -VALUES], 1).astype("float32")
    agree(_to_tensor(["ROW_SPLITS"], default, -1), values, SPLITS)


def test_no_values_and_no_rows(agree):
    nothing = np.array([], dtype=object)
    for splits in ([0, 0, 0], [0]):
        for shape in ([-1, -1], [-1, 3]):
            agree(_to_tensor(["ROW_SPLITS"], b"x", shape), nothing, np.array(splits, "int64"))


def test_a_shape_that_comes_with_the_request(agree):
    import tensorflow as tf

    def call(shape, values, splits):
        return tf.RaggedTensor.from_row_splits(values, splits, validate=False).to_tensor(shape=shape)

    for shape in ([-1, -1], [3, 2], [5, -1]):
        agree(call, np.array(shape, "int64"), VALUES, SPLITS)


@pytest.mark.parametrize("widths", [[1], [2], [1, 2], [3, 1], [7]])
@pytest.mark.parametrize("splits_type", ["int32", "int64"])
def test_ngrams(agree, widths, splits_type):
    import tensorflow as tf

    def call(data, splits):
        return tf.raw_ops.StringNGrams(
            data=data,
            data_splits=splits,
            separator="-",
            ngram_widths=widths,
            left_pad="",
            right_pad="",
            pad_width=0,
            preserve_short_sequences=False,
        )

    words = np.array([b"a", b"bb", b"c", b"d", b"e", b"f"], dtype=object)
    agree(call, words, SPLITS.astype(splits_type))
    agree(call, words[:0], np.array([0, 0], splits_type))


def test_padded_ngrams_are_refused(agree):
    import tensorflow as tf

    with pytest.raises(ExportError, match="StringNGrams"):
        agree(
            lambda data: (
                tf.strings.ngrams(tf.RaggedTensor.from_row_splits(data, [0, 2]), 2, pad_values="#").values
            ),
            np.array([b"a", b"b"], dtype=object),
        )


NUMBERS = np.array([[0, 3, 3], [9, 1, 0]])
ROWS = np.array([[0, 0], [0, 2], [1, 1], [1, 2]], "int64")


@pytest.mark.parametrize("is_binary", [False, True])
@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("kind", ["vector", "matrix", "ragged", "sparse matrix", "sparse vector"])
@pytest.mark.parametrize(("index", "dtype"), [("int32", "float32"), ("int64", "int64")])
def test_counts(agree, kind, index, dtype, weighed, is_binary):
    import tensorflow as tf

    numbers = {"vector": NUMBERS[0], "matrix": NUMBERS}.get(kind, NUMBERS.ravel()[:4])
    weights = np.arange(1, numbers.size + 1, dtype=dtype).reshape(numbers.shape)

    def call(x, w):
        attrs = {"size": tf.constant(4, index), "binary_output": is_binary}
        w = w if weighed else tf.constant([], w.dtype)
        if kind == "ragged":
            return tf.raw_ops.RaggedBincount(splits=[0, 1, 1, 4], values=x, weights=w, **attrs)
        if kind.startswith("sparse"):
            indices, shape = (ROWS, [3, 3]) if kind == "sparse matrix" else (ROWS[:, 1:] * 0, [7])
            return tf.raw_ops.SparseBincount(indices=indices, values=x, dense_shape=shape, weights=w, **attrs)
        return tf.raw_ops.DenseBincount(input=x, weights=w, **attrs)

    agree(call, numbers.astype(index), weights, version="1.15.5" if is_binary else "1.12.3")


@pytest.mark.parametrize("place", ["function", "loop"])
def test_counts_in_functions_and_loops(agree, place):
    import tensorflow as tf

    agree(lambda x: tf.math.bincount(x, minlength=4, maxlength=4, axis=-1), NUMBERS, place=place)


def test_a_negative_number_is_refused_as_before(agree):
    import tensorflow as tf

    def call(x):
        return tf.raw_ops.DenseBincount(input=tf.abs(x) - 1, size=4, weights=tf.constant([], tf.int32))

    agree(call, np.array([1, 2], "int32"))
    with pytest.raises(tf.errors.InvalidArgumentError):
        agree(call, np.array([0, 2], "int32"))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("splits", ["int32", "int64"])
@pytest.mark.parametrize("place", ["graph", "function", "loop"])
def test_ranges_of_rows(agree, dtype, splits, place):
    import tensorflow as tf

    def call(starts, limits, deltas):
        return tf.raw_ops.RaggedRange(starts=starts, limits=limits, deltas=deltas, Tsplits=splits)

    rows = np.array([[0, 3, 5, 9, 2], [5, 3, 4, -2, 10], [2, 1, 1, -3, 3]], dtype)
    agree(call, *rows, place=place)
    agree(call, rows[0], np.array(7, dtype), np.array(2, dtype), place=place)


def test_ranges_of_fractions_are_refused(agree):
    import tensorflow as tf

    with pytest.raises(ExportError, match="RaggedRange"):
        agree(
            lambda x: tf.raw_ops.RaggedRange(starts=x, limits=x + 1, deltas=0.5).rt_dense_values,
            np.ones(2, "f"),
        )


@pytest.mark.parametrize("place", ["graph", "function", "loop"])
@pytest.mark.parametrize("chosen", [[2, 0, 2], [], [1]])
def test_chosen_rows(agree, chosen, place):
    import tensorflow as tf

    def call(values, outer, inner, rows):
        one = tf.RaggedTensor.from_row_splits(values, inner, validate=False)
        two = tf.RaggedTensor.from_row_splits(one, outer, validate=False)
        flat = [tf.gather(tensor, rows) for tensor in (one, two)]
        return [part for tensor in flat for part in (tensor.flat_values, *tensor.nested_row_splits)]

    texts = VALUES.astype("S").astype(object)
    agree(call, texts, np.array([0, 3, 3, 4], "int64"), SPLITS, np.array(chosen, "int32"), place=place)


@pytest.mark.parametrize("place", ["graph", "function", "loop"])
@pytest.mark.parametrize("inner", [(), (2,)])
@pytest.mark.parametrize("empty", [False, True])
def test_rows_as_a_sparse_tensor(agree, inner, empty, place):
    import tensorflow as tf

    def call(values, outer, splits):
        return tf.raw_ops.RaggedTensorToSparse(rt_nested_splits=[outer, splits], rt_dense_values=values)

    values = np.arange(0 if empty else 6 * 2).reshape(0 if empty else 6, -1 if inner and not empty else 2)
    values = values if inner else values[:, 0]
    splits = SPLITS * 0 if empty else SPLITS
    agree(call, values.astype("float32"), np.array([0, 3, 3, 4], "int64"), splits, place=place)
