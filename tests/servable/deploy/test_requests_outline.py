"""The form of a request, as a page shows it."""

from __future__ import annotations

import json

import pytest

from servable.deploy.requests.outline import outline_request


def test_small_request_is_a_body_that_a_server_takes():
    inputs = {
        "a": {"dtype": "float32", "shape": [None, 2]},
        "b\u202e": {"dtype": "string", "shape": [None]},
        "c": {"dtype": "bool", "shape": []},
        "d": {"dtype": "int64", "shape": None},
    }
    body, remark = outline_request("s", "predict", inputs)
    assert json.loads(body) == {
        "signature_name": "s",
        "inputs": {"a": [[0.5, 0.5]], "b\u202e": ["text"], "c": True, "d": [1]},
    }
    assert body.isascii()
    assert remark == ""


def test_large_request_is_cut_and_says_so():
    body, remark = outline_request("s", "predict", {"x": {"dtype": "float32", "shape": [None, 28, 28, 3]}})
    assert '"x": [[[[0.5, 0.5, 0.5], ...], ...]]' in body
    assert "..." in remark


@pytest.mark.parametrize(
    ("method", "dtype", "said"), [("predict", "bfloat16", "gRPC"), ("classify", "string", "tf.Examples")]
)
def test_requests_that_rest_has_no_form_for(method, dtype, said):
    body, remark = outline_request("s", method, {"inputs": {"dtype": dtype, "shape": [None]}})
    assert body == ""
    assert said in remark
