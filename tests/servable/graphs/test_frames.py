"""Values followed through calls, on graphs written by hand."""

import pytest

from servable.errors import UnsafeSourceError
from servable.formats.protos import GraphDef
from servable.graphs.frames import find_nodes, open_frame


def add_function(graph, name, inputs, outputs, nodes):
    """`nodes` as (name, op, inputs), `outputs` as result name to what it is."""
    function = graph.library.function.add()
    function.signature.name = name
    for argument in inputs:
        function.signature.input_arg.add(name=argument)
    for result, text in outputs.items():
        function.signature.output_arg.add(name=result)
        function.ret[result] = text
    for node_name, op, node_inputs in nodes:
        function.node_def.add(name=node_name, op=op, input=node_inputs)


def call(place, name, function, inputs):
    node = place.add(name=name, op="StatefulPartitionedCall", input=inputs)
    node.attr["f"].func.name = function


@pytest.fixture
def graph():
    """The main graph hands two constants through an outer function to an inner one, which swaps them."""
    graph = GraphDef()
    graph.node.add(name="a", op="Const")
    graph.node.add(name="b", op="Const")
    graph.node.add(name="a_again", op="Identity", input=["a"])
    call(graph.node, "call", "outer", ["a_again", "b", "^a"])
    graph.node.add(name="end", op="Identity", input=["call:1"])
    add_function(graph, "swap", ["x", "y"], {"p": "y", "q": "keep:output:0"}, [("keep", "Identity", ["x"])])
    add_function(
        graph,
        "outer",
        ["first", "second"],
        {"r": "inner:p:0", "s": "inner:q:0"},
        [("inner", "swap", ["first", "second"]), ("use", "Use", ["inner:q:0", "inner:p:0", "second"])],
    )
    return graph


def test_a_value_is_followed_out_of_nested_calls(graph):
    frame = open_frame(graph)
    assert frame.find_origin("call").node.name == "b"
    assert frame.find_origin("end").node.name == "a"
    assert frame.find_origin("nowhere") is None
    assert frame.find_origin("call:7") is None


def test_a_node_inside_sees_what_the_caller_hands_over(graph):
    ((place, node),) = find_nodes(open_frame(graph), ["call"], {"Use"})
    assert place.name == "outer"
    assert [place.find_origin(text).node.name for text in node.input] == ["a", "b", "b"]


def test_branches_get_all_but_the_predicate():
    graph = GraphDef()
    for name in ("which", "x"):
        graph.node.add(name=name, op="Placeholder")
    branching = graph.node.add(name="if", op="If", input=["which", "x"])
    for side in ("then", "else"):
        add_function(graph, side, ["v"], {}, [("use", "Use", ["v"])])
        branching.attr[f"{side}_branch"].func.name = side
    found = list(find_nodes(open_frame(graph), ["if"], {"Use"}))
    assert sorted(place.name for place, _ in found) == ["else", "then"]
    assert {place.find_origin("v").node.name for place, _ in found} == {"x"}


def test_what_a_loop_hands_on_is_not_known():
    graph = GraphDef()
    graph.node.add(name="x", op="Placeholder")
    loop = graph.node.add(name="while", op="While", input=["x"])
    add_function(graph, "body", ["v"], {"w": "v"}, [("use", "Use", ["v"])])
    loop.attr["body"].func.name = "body"
    ((place, node),) = find_nodes(open_frame(graph), ["while"], {"Use"})
    assert place.find_origin(node.input[0]) is None


def test_doubling_calls_are_not_followed_to_the_end():
    graph = GraphDef()
    call(graph.node, "call", "f0", [])
    for number in range(40):
        inner = [(f"c{side}", f"f{number + 1}", []) for side in "ab"]
        add_function(graph, f"f{number}", [], {}, inner)
    add_function(graph, "f40", [], {}, [("use", "Use", [])])
    with pytest.raises(UnsafeSourceError, match="too often"):
        list(find_nodes(open_frame(graph), ["call"], {"Use"}))


def test_a_chain_of_doubled_arguments_is_followed_once():
    graph = GraphDef()
    graph.node.add(name="x", op="Const")
    add_function(graph, "pick", ["u", "v"], {"r": "u"}, [])
    graph.node.add(name="c0", op="pick", input=["x", "x"])
    for number in range(60):
        graph.node.add(name=f"c{number + 1}", op="pick", input=[f"c{number}", f"c{number}"])
    assert open_frame(graph).find_origin("c60").node.name == "x"
