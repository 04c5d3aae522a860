import numpy as np

from servable.checks.rows import find_expense, join_rows, make_neighbour
from servable.checks.visits import Visit, find_first_name, sort_sizes
from servable.signature import Signature, TensorSpec


def make(name="s", tensor="x:0"):
    spec = TensorSpec("float32", (None, 2), tensor)
    return Signature(name, {"x": spec}, {"y": spec})


def test_fewer_rows_are_never_too_expensive():
    huge = {"x": np.broadcast_to(np.float32(0), (4, 1 << 28))}
    assert find_expense(huge, {}, 100.0, 0.25) == ""
    assert find_expense(huge, {}, 0.0, 1.0) == ""


def test_bytes_and_time_of_more_rows():
    small, large = {"x": np.zeros((1, 1024))}, {"y": np.zeros((1, 1 << 20))}  # 8 KB, 8 MB
    assert find_expense(small, small, 0.001, 64.0) == ""
    assert find_expense(small, large, 0.001, 64.0) == "request and answer would take 512 MB"
    assert find_expense(small, small, 0.5, 64.0) == "the request would take 32 s"


def test_sizes_are_told_apart():
    visit = Visit({"x": np.zeros((2, 2), np.float32)}, {}, False, 1.0)
    tried, left_out = sort_sizes(make(), visit, (1, 2, 7, 64))
    assert tried == [1, 2, 7]
    assert left_out == {64: "the request would take 32 s"}


def test_a_neighbour_is_another_row():
    row = {"x": np.array([[1.0, -2.0]], np.float32)}
    other = make_neighbour(row, make())
    assert other["x"].tolist() == [[0.75, -0.75]]
    assert other["x"].dtype == np.float32
    assert join_rows(row, other, make())["x"].tolist() == [[1.0, -2.0], [0.75, -0.75]]
    words = {"x": np.array([b"a"], object)}
    assert make_neighbour(words, Signature("s", {"x": TensorSpec("string", (None,))}, {})) == words


def test_doubles_of_a_signature():
    inputs = {"x": np.zeros((1, 2), np.float32)}
    signatures = {"a": make("a"), "b": make("b"), "c": make("c", "z:0")}
    same = {name: Visit(inputs, {}, False) for name in signatures}
    assert [find_first_name(name, same, signatures) for name in signatures] == ["a", "a", "c"]
    others = same | {"b": Visit({"x": inputs["x"] + 1}, {}, False)}
    assert find_first_name("b", others, signatures) == "b"
