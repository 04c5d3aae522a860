"""Moving averages that are found by name alone, and the names under which they are stored. No TensorFlow."""

import pytest

from servable.errors import SignatureError
from servable.formats.checkpoints.bundle_entries import BundleEntry
from servable.formats.protos import GraphDef, MetaGraphDef
from servable.model import VariableKey
from servable.sources.saver_checkpoints.averages import take_averages

SUFFIX = "/ExponentialMovingAverage"


def make_graph(*names, shape=(2,)):
    graph_def = GraphDef()
    for name in names:
        node = graph_def.node.add(name=name, op="VariableV2")
        node.attr["dtype"].type = 1
        for size in shape:
            node.attr["shape"].shape.dim.add(size=size)
    return MetaGraphDef(graph_def=graph_def)


def make_entries(*keys, shape=(2,)):
    return {key: BundleEntry(key, "float32", shape, 0, 0, 0, 0) for key in keys}


def take(graph, entries, keys=None):
    return take_averages(graph, keys or {}, entries, where="model.ckpt")


def test_a_variable_without_an_average_keeps_its_own_value():
    found = take(make_graph("a", "b"), make_entries("a", "b", "a" + SUFFIX))
    assert found == {"a": VariableKey("a" + SUFFIX, average_of="a"), "b": VariableKey("b")}


def test_the_savers_name_goes_before_the_variables():
    keys = {"net/a": VariableKey("a")}
    found = take(make_graph("net/a"), make_entries("a", "a" + SUFFIX, "net/a" + SUFFIX), keys)
    assert found["net/a"].key == "a" + SUFFIX


def test_the_average_of_a_longer_name_is_not_taken():
    entries = make_entries("a", "b", "net/b", "net/b" + SUFFIX, "a" + SUFFIX)
    assert take(make_graph("a", "b", "net/b"), entries)["b"] == VariableKey("b")


def test_an_average_of_another_shape_is_not_taken():
    entries = {**make_entries("a"), **make_entries("a" + SUFFIX, shape=(3,))}
    with pytest.raises(SignatureError, match="No variable of the graph has a moving average") as caught:
        take(make_graph("a"), entries)
    assert "a/ExponentialMovingAverage float32 [3]" in caught.value.received


def test_a_saver_of_an_evaluation_has_taken_the_average_already():
    keys = {"a": VariableKey("a" + SUFFIX)}
    found = take(make_graph("a"), make_entries("a", "a" + SUFFIX), keys)
    assert found == {"a": VariableKey("a" + SUFFIX, average_of="a")}


def test_parts_take_parts_of_the_average_under_one_name():
    keys = {f"emb/part_{n}": VariableKey("emb", f"4 {n * 2},2") for n in range(2)}
    graph = make_graph(*keys)
    found = take(graph, make_entries("emb", "emb" + SUFFIX, shape=(4,)), keys)
    assert {key.exported_key for key in found.values()} == {"emb"}
    assert [key.slice_spec for key in found.values()] == ["4 0,2", "4 2,2"]


def test_names_that_would_meet_are_kept_apart():
    keys = {"a": VariableKey("b"), "b": VariableKey("a")}  # a saver that names them crosswise
    found = take(make_graph("a", "b"), make_entries("a", "b", "b" + SUFFIX), keys)
    assert found["a"].key == "b" + SUFFIX
    assert found["b"] == VariableKey("a")
    assert found["a"].exported_key != found["b"].exported_key
