"""Which variable lies under which key, where no saver says it."""

import pytest

from servable.formats.checkpoints.bundle import open_bundle
from servable.formats.checkpoints.bundle_entries import BundleEntry
from servable.formats.protos import GraphDef, MetaGraphDef, parse_message
from servable.graphs.saved_state import read_saved_state
from servable.model import VariableKey
from servable.sources.saver_checkpoints.variable_places import place_variables


def make_entries(shapes):
    return {key: BundleEntry(key, "float32", shape, 0, 0, 0, 0) for key, shape in shapes.items()}


def make_graph(shapes, **attrs):
    graph_def = GraphDef()
    for name, shape in shapes.items():
        node = graph_def.node.add(name=name, op="VarHandleOp")
        node.attr["dtype"].type = 1
        node.attr["shape"].shape.SetInParent()
        for size in shape:
            node.attr["shape"].shape.dim.add(size=size)
        for key, value in attrs.items():
            node.attr[key].s = value
    return MetaGraphDef(graph_def=graph_def)


@pytest.mark.parametrize("keeps_definitions", [True, False])
@pytest.mark.zoo("tf1.*-partitioned-?")
def test_slices_are_found_without_the_saver(zoo, case_name, keeps_definitions):
    case = zoo(case_name)
    meta_graph = parse_message(MetaGraphDef, case.source.with_name(case.source.name + ".meta"))
    wanted = read_saved_state(meta_graph).variable_keys
    assert any(key.slice_spec for key in wanted.values())
    meta_graph.ClearField("saver_def")
    if not keeps_definitions:
        meta_graph.ClearField("collection_def")
    assert place_variables(meta_graph, open_bundle(case.source).entries) == wanted


def test_a_variable_lies_under_its_own_name_or_the_one_it_shares():
    entries = make_entries({"W": (2,), "shared": (2,)})
    graph = make_graph({"W": (2,), "x": (2,)}, shared_name=b"shared")
    assert place_variables(graph, entries) == {"W": VariableKey("W"), "x": VariableKey("shared")}


def test_parts_that_lie_under_their_own_names_stay_there():
    shapes = {"emb/part_0": (3, 2), "emb/part_1": (2, 2)}
    assert place_variables(make_graph(shapes), make_entries({**shapes, "emb": (5, 2)})) == {
        name: VariableKey(name) for name in shapes
    }


def test_parts_are_cut_along_the_axis_that_adds_up():
    graph = make_graph({f"emb/part_{number}": (4, size) for number, size in enumerate((3, 3, 2))})
    found = place_variables(graph, make_entries({"emb": (4, 8)}))
    assert [key.slice_spec for _, key in sorted(found.items())] == [
        "4 8 0,4:0,3",
        "4 8 0,4:3,3",
        "4 8 0,4:6,2",
    ]


@pytest.mark.parametrize(
    "shapes",
    [
        {"emb/part_0": (3, 2), "emb/part_1": (3, 2)},  # six rows of five
        {"emb/part_0": (3, 2), "emb/part_2": (2, 2)},  # the second part is missing
        {"emb/part_0": (3, 2), "emb/part_1": (2,)},
        {"emb/part_0": (5, 1), "emb/part_1": (5, 2)},
    ],
)
def test_parts_that_do_not_make_up_the_whole_are_left_out(shapes):
    assert place_variables(make_graph(shapes), make_entries({"emb": (5, 2)})) == {}
