"""tf.Examples as columns: kinds, missing and ragged features, rows that are none."""

from __future__ import annotations

import numpy as np
import pytest

from servable.formats.protos import Example
from servable.formats.tf_examples import OTHER_KIND, batch_records, parse_examples


def make_row(**features) -> bytes:
    example = Example()
    for name, values in features.items():
        feature = example.features.feature[name]
        kind = {float: "float_list", int: "int64_list", bytes: "bytes_list"}[type(values[0])]
        getattr(feature, kind).value.extend(values)
    return example.SerializeToString()


def test_kinds_become_columns():
    rows = [make_row(x=[0.5, 1.5], n=[7], s=[b"a", b""]), make_row(x=[2.5, 3.5], n=[-1], s=[b"b", b"c"])]
    batch = parse_examples(rows, ("x", "n", "s"), origin="f", first=40)
    assert (batch.size, batch.origin, batch.first, batch.broken) == (2, "f", 40, frozenset())
    assert batch.columns["x"].values.dtype == np.float32
    assert batch.columns["x"].values.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert batch.columns["n"].values.tolist() == [7, -1]
    assert batch.columns["n"].values.dtype == np.int64
    assert batch.columns["s"].values.tolist() == [b"a", b"", b"b", b"c"]
    assert batch.columns["s"].lengths.tolist() == [2, 2]


def test_missing_ragged_and_other_kinds_are_told_apart():
    rows = [make_row(x=[1.0]), make_row(y=[1.0]), make_row(x=[2.0, 3.0]), make_row(x=[4])]
    batch = parse_examples(rows, ("x", "z"))
    assert batch.columns["x"].lengths.tolist() == [1, 0, 2, OTHER_KIND]
    assert batch.columns["x"].values.tolist() == [1.0, 2.0, 3.0]
    assert "z" not in batch.columns


def test_rows_that_are_no_examples_are_named():
    batch = parse_examples([make_row(x=[1.0]), b"\xff\xff\xff", make_row(x=[2.0])], ("x",))
    assert batch.broken == {1}
    assert batch.columns["x"].lengths.tolist() == [1, 0, 1]


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (2, [2]), (3, [3]), (7, [3, 3, 1])])
def test_batches_know_their_first_row(count, sizes):
    batches = list(batch_records((bytes([i]) for i in range(count)), 3))
    assert [len(rows) for _, rows in batches] == sizes
    assert [first for first, _ in batches] == [0, 3, 6][: len(sizes)]


@pytest.mark.tensorflow
def test_tensorflows_own_examples_are_read():
    import tensorflow as tf

    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[0.25, -1.0]))
    example = tf.train.Example(features=tf.train.Features(feature={"x": feature}))
    batch = parse_examples([example.SerializeToString()], ("x",))
    assert batch.columns["x"].values.tolist() == [0.25, -1.0]
