"""Functions opened, changed and closed again, without TensorFlow."""

import pytest

from servable.export.dialects.body import Body, close_function, open_function
from servable.formats.protos import FunctionDef, NodeDef
from servable.signature import DTYPE_NUMBERS
from servable.targets.registry import load_registry

CURRENT = load_registry("2.21.0")
FLOAT = DTYPE_NUMBERS["float32"]


def _node(name, op, *inputs, **attrs):
    node = NodeDef(name=name, op=op, input=inputs)
    for key, value in attrs.items():
        if key in ("T", "dtype"):
            node.attr[key].type = value
        elif isinstance(value, list):
            node.attr[key].list.type.extend(value)
        else:
            node.attr[key].i = value
    return node


@pytest.fixture
def function():
    """A function with nodes of several outputs, a call, and edges of control."""
    function = FunctionDef()
    function.signature.name = "f"
    for name in ("x", "y"):
        function.signature.input_arg.add(name=name, type=FLOAT)
    for name in ("a", "b", "c", "d"):
        function.signature.output_arg.add(name=name, type=FLOAT)
    function.node_def.extend(
        [
            _node("axis", "Const", dtype=DTYPE_NUMBERS["int32"]),
            _node("split", "Split", "axis:output:0", "x", T=FLOAT, num_split=3),
            _node("top", "TopKV2", "split:output:2", "axis:output:0", T=FLOAT),
            _node("call", "g", "top:values:0", "^split", T=FLOAT),
            _node("sum", "AddV2", "call:two:0", "y", "^top", "^call", T=FLOAT),
            _node("end", "NoOp", "^sum", "^top"),
        ]
    )
    for key, value in {"a": "split:output:1", "b": "sum:z:0", "c": "x", "d": "top:values:0"}.items():
        function.ret[key] = value
    function.control_ret["done"] = "top"
    return function


@pytest.fixture
def library(function):
    callee = FunctionDef()
    callee.signature.name = "g"
    callee.signature.output_arg.add(name="one", type=FLOAT)
    callee.signature.output_arg.add(name="two", type=FLOAT)
    return {"f": function, "g": callee}


def test_edges_are_numbered_while_it_is_open(function, library):
    body = open_function(function, library)
    assert list(body.nodes["top"].input) == ["split:2", "axis"]
    assert list(body.nodes["call"].input) == ["top", "^split"]
    assert list(body.nodes["sum"].input) == ["call:1", "y", "^top", "^call"]
    assert function.node_def[2].input[0] == "split:output:2"


@pytest.mark.parametrize("version", ["1.12.3", "2.21.0"])
def test_a_function_that_is_not_changed_is_written_as_it_was(function, library, version):
    before = FunctionDef.FromString(function.SerializeToString())
    close_function(function, open_function(function, library), library, load_registry(version))
    assert function == before


def test_everything_leads_to_what_was_put_in_the_place_of_a_node(function, library):
    body = open_function(function, library)
    values = body.add("top/values", "Identity", ["split:2"])
    places = body.add("top/values", "Const", [])
    values.attr["T"].type = FLOAT
    assert places.name == "top/values_1"
    body.replace("top", [values.name, places.name])
    close_function(function, body, library, CURRENT)
    inputs = {node.name: list(node.input) for node in function.node_def}
    assert "top" not in inputs
    assert inputs["top/values"] == ["split:output:2"]
    assert inputs["call"] == ["top/values:output:0", "^split"]
    assert inputs["sum"] == ["call:two:0", "y", "^top/values", "^call"]
    assert inputs["end"] == ["^sum", "^top/values"]
    assert dict(function.ret) == {
        "a": "split:output:1",
        "b": "sum:z:0",
        "c": "x",
        "d": "top/values:output:0",
    }
    assert dict(function.control_ret) == {"done": "top/values"}


def test_a_node_of_several_outputs_may_become_several_nodes(function, library):
    body = open_function(function, library)
    parts = [body.add(f"split/{n}", "Identity", ["x"]).name for n in range(3)]
    for name in parts:
        body.nodes[name].attr["T"].type = FLOAT
    body.replace("split", parts)
    close_function(function, body, library, CURRENT)
    inputs = {node.name: list(node.input) for node in function.node_def}
    assert inputs["top"] == ["split/2:output:0", "axis:output:0"]
    assert inputs["call"] == ["top:values:0", "^split/0"]
    assert function.ret["a"] == "split/1:output:0"


def test_a_result_may_become_an_argument(function, library):
    body = open_function(function, library)
    body.replace("sum", ["y"])
    del body.nodes["end"]
    close_function(function, body, library, CURRENT)
    assert function.ret["b"] == "y"


def test_outputs_of_an_op_that_nobody_knows_have_no_numbers(function, library):
    function.node_def.add(name="own", op="MyOwnOp")
    assert open_function(function, library) is None


def test_what_replaced_a_node_may_be_replaced_itself():
    body = Body([_node("x", "Placeholder"), _node("y", "Old", "x"), _node("z", "Neg", "y", "y", "^y", "^x")])
    body.add("y/1", "Newer", ["x"])
    body.replace("y", ["y/1"])
    body.add("y/2", "Newest", ["x"])
    body.replace("y/1", ["y/2:1"])
    assert body.find_moved("y:0") == "y/2:1"
    assert body.find_moved("x") == "x:0"
    inputs = {node.name: list(node.input) for node in body.list_nodes()}
    assert inputs == {"x": [], "z": ["y/2:1", "y/2:1", "^y/2", "^x"], "y/2": ["x"]}


def test_nodes_that_wait_for_one_node_twice_wait_once():
    body = Body([_node("a", "Old"), _node("b", "Old"), _node("z", "Neg", "a", "^a", "^b")])
    body.add("new", "New", [])
    body.replace("a", ["new"])
    body.replace("b", ["new"])
    assert list(body.list_nodes()[0].input) == ["new", "^new"]


def test_withdrawn_nodes_leave_nothing_behind():
    body = Body([_node("a", "Old"), _node("z", "Neg", "a")])
    before = len(body.added)
    body.add("a/new", "New", [])
    body.add("a/newer", "New", [])
    body.replace("a/new", ["a/newer"])
    body.withdraw(body.added[before:])
    assert set(body.nodes) == {"a", "z"}
    assert body.find_moved("a/new:0") == "a/new:0"
    assert body.add("a/new", "New", []).name == "a/new_1"
