"""Tensors as JSON text: shapes, floats that are told apart, words for what is no number, base64."""

from __future__ import annotations

import json

import numpy as np
import pytest

from servable.formats.json_tensors import is_text, write_rows, write_tensor


def test_shapes():
    array = np.arange(6).reshape(1, 2, 3)
    assert json.loads(write_tensor(array)) == array.tolist()
    assert [json.loads(row) for row in write_rows(array[0])] == [[0, 1, 2], [3, 4, 5]]
    assert write_tensor(np.zeros([2, 0], bool)) == "[[], []]"
    assert write_tensor(np.array(True)) == "true"
    with pytest.raises(ValueError, match="no first axis"):
        write_rows(np.array(1))


def test_floats_are_short_and_the_same():
    known = np.array([0.1, 1 / 3, 1e-10, 16777216.0, 3.0, -2.5e30, 1e-42, 0.0, 123456790.0], np.float32)
    texts = write_tensor(known)[1:-1].split(", ")
    assert texts[:5] == ["0.1", "0.33333334", "1e-10", "16777216.0", "3.0"]
    assert np.array([np.float32(text) for text in texts]).tolist() == known.tolist()
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint32)
    floats = bits.view(np.float32)
    floats = floats[np.isfinite(floats)]
    again = np.array(json.loads(write_tensor(floats)), np.float32)
    assert again.view(np.uint32).tolist() == floats.view(np.uint32).tolist()
    usual = np.random.default_rng(0).random(2000, np.float32)
    assert max(len(text) for text in write_tensor(usual)[1:-1].split(", ")) <= 14
    assert write_tensor(np.array(0.1)) == "0.1"


def test_words():
    array = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert write_tensor(array) == "[NaN, Infinity, -Infinity]"
    assert write_tensor(array.astype(np.float64)) == "[NaN, Infinity, -Infinity]"


def test_texts():
    array = np.array([[b"a\xc3\xa9", "b"]], dtype=object)
    assert json.loads(write_tensor(array)) == [["a\xe9", "b"]]
    assert json.loads(write_tensor(array, as_base64=True)) == [[{"b64": "YcOp"}, {"b64": "Yg=="}]]
    assert is_text(array.ravel().tolist())
    assert not is_text([b"\xff"])
    with pytest.raises(ValueError, match="decode"):
        write_tensor(np.array(b"\xff", dtype=object))


def test_types_without_a_form():
    with pytest.raises(ValueError, match="no form for float16"):
        write_tensor(np.zeros(1, np.float16))
