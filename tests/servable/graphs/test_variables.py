"""Variables of a graph against a checkpoint: what fits, what does not, and how it is said."""

import pytest

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle_entries import BundleEntry
from servable.formats.protos import NodeDef
from servable.graphs.training_tensors import split_training_tensors
from servable.graphs.variables import describe_leftovers, find_leftovers, match_variables
from servable.model import VariableKey

FLOAT, DOUBLE = 1, 2


def make_nodes(shapes, *, op="VariableV2", dtype=FLOAT):
    nodes = {}
    for name, shape in shapes.items():
        node = nodes[name] = NodeDef(name=name, op=op)
        node.attr["dtype"].type = dtype
        node.attr["shape"].shape.SetInParent()
        if shape is None:
            node.attr["shape"].shape.unknown_rank = True
        for size in shape or ():
            node.attr["shape"].shape.dim.add(size=size)
    return nodes


def make_entries(shapes, dtype="float32"):
    return {
        key: BundleEntry(key, dtype, shape, shard=0, offset=0, size_bytes=0, crc32c=0)
        for key, shape in shapes.items()
    }


def match(nodes, entries, keys=None):
    return match_variables(nodes, sorted(nodes), keys or {}, entries, where="model.ckpt")


def test_everything_that_does_not_fit_is_listed_both_ways():
    nodes = make_nodes({"W": (4, 3), "b": (3,), "c": (3,), "gone": (2, -1)})
    entries = make_entries(
        {"W": (3, 4), "b": (3,), "weights": (4, 3), "weights/Adam": (4, 3), "c": (3,), "global_step": ()}
    )
    entries["c"] = make_entries({"c": (3,)}, "float64")["c"]
    with pytest.raises(
        BrokenSourceError, match=r"1 of 4 variables .* not in the checkpoint and 2 of 4"
    ) as caught:
        match(nodes, entries)
    assert caught.value.expected == "gone float32 [2, ?]; W float32 [4, 3]; c float32 [3]"
    assert caught.value.received == (
        "W float32 [3, 4]; c float64 [3]; in the checkpoint and in no variable of the graph: "
        "weights float32 [4, 3] and 2 optimizer slots, steps and averages"
    )


def test_unknown_sizes_fit_any():
    nodes = make_nodes({"a": None, "b": (-1, 3)})
    entries = make_entries({"a": (7, 7), "b": (5, 3)})
    assert match(nodes, entries) == {"a": VariableKey("a"), "b": VariableKey("b")}


def test_the_first_variable_op_says_nothing_with_a_scalar():
    entries = make_entries({"a": (7, 7)})
    assert match(make_nodes({"a": ()}, op="Variable"), entries) == {"a": VariableKey("a")}
    with pytest.raises(BrokenSourceError, match="1 of 1 have another type or shape"):
        match(make_nodes({"a": ()}), entries)


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ("20 5 0,10:0,5", True),
        ("20 5 10,10:-", True),
        ("20 5 0,12:0,5", False),  # the part is larger than the variable
        ("40 5 0,10:0,5", False),  # the whole is larger than what is stored
        ("20 5 0,10", False),
        ("garbage", False),
    ],
)
def test_a_slice_is_compared_with_the_whole_and_with_the_variable(spec, fits):
    nodes, entries = make_nodes({"emb/part_0": (10, 5)}), make_entries({"emb": (20, 5)})
    keys = {"emb/part_0": VariableKey("emb", spec)}
    if fits:
        assert match(nodes, entries, keys) == keys
    else:
        with pytest.raises(BrokenSourceError, match="another type or shape") as caught:
            match(nodes, entries, keys)
        assert spec in caught.value.received


def test_long_lists_are_cut_and_counted():
    entries = make_entries({f"v{number:02}": (1,) for number in range(25)})
    text = describe_leftovers({}, {}, entries)
    assert "v19 float32 [1], and 5 more" in text
    assert "v20" not in text


def test_leftovers_are_what_no_variable_takes_under_its_key():
    nodes = make_nodes({"W": (1,), "b": (1,)})
    entries = make_entries({"weights": (1,), "b": (1,), "more": (1,)})
    assert find_leftovers(nodes, {"W": VariableKey("weights")}, entries) == {"more"}


def test_training_tensors_are_told_by_name_and_by_form():
    entries = make_entries(
        {
            "W": (4, 3),
            "W/Adam": (4, 3),
            "train/W/Momentum_1": (4, 3),
            "W/of_an_unknown_optimizer": (4, 3),
            "W/scale": (3,),
            "beta1_power": (),
            "global_step": (),
            "bn/moving_mean": (3,),
            "W/ExponentialMovingAverage": (4, 3),
        }
    )
    _, others = split_training_tensors(entries, entries)
    assert others == ["W", "W/scale", "bn/moving_mean"]
