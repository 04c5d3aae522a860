"""What a rule sees and builds with, without TensorFlow."""

import numpy as np
import pytest

from servable.export.dialects.body import Body
from servable.export.dialects.constants import read_const, write_const
from servable.export.dialects.site import Site, output
from servable.formats.protos import AttrValue, NodeDef
from servable.signature import DTYPE_NUMBERS
from servable.targets.registry import load_registry

FLOAT, INT32, INT64 = (DTYPE_NUMBERS[name] for name in ("float32", "int32", "int64"))


def _open(*nodes, version="1.12.3", inputs=("x", "^before")):
    node = NodeDef(name="n", op="Einsum", input=inputs)
    node.attr["equation"].s = b"ab->ba"
    body = Body([NodeDef(name="x", op="Placeholder"), node, *nodes])
    return Site(node, body, load_registry(version))


def test_inputs_and_what_it_waits_for():
    site = _open()
    assert (site.inputs, site.waits) == (["x"], ["^before"])


def test_attributes_and_defaults():
    site = _open()
    assert site.read("equation").s == b"ab->ba"
    node = NodeDef(name="m", op="LeakyRelu")
    assert Site(node, site.body, site.registry).read("alpha").f == pytest.approx(0.2)


def test_attributes_are_written_in_their_kind():
    site = _open()
    shape = AttrValue()
    shape.shape.dim.add(size=3)
    names = [
        site.add("Cast", ["x"], SrcT=FLOAT, DstT=INT32),
        site.add("StaticRegexReplace", ["x"], pattern="a", rewrite=b"b", replace_global=True),
        site.add("LRN", ["x"], alpha=0.5, depth_radius=3),
        site.add("MaxPool", ["x"], ksize=[1, 2, 2, 1], padding="SAME"),
        site.add("PlaceholderWithDefault", ["x"], dtype=FLOAT, shape=shape),
        site.add("IdentityN", ["x"], T=[FLOAT, INT32]),
    ]
    cast, text, lrn, pool, placeholder, several = (site.body.nodes[name].attr for name in names)
    assert (cast["SrcT"].type, cast["DstT"].type) == (FLOAT, INT32)
    assert (text["pattern"].s, text["rewrite"].s, text["replace_global"].b) == (b"a", b"b", True)
    assert (lrn["alpha"].f, lrn["depth_radius"].i) == (0.5, 3)
    assert (list(pool["ksize"].list.i), pool["padding"].s) == ([1, 2, 2, 1], b"SAME")
    assert placeholder["shape"].shape.dim[0].size == 3
    assert list(several["T"].list.type) == [FLOAT, INT32]
    assert output(names[0], 0) == names[0]
    assert output(names[0], 2) == f"{names[0]}:2"


def test_only_the_first_nodes_wait():
    site = _open()
    first = site.add("Shape", ["x"])
    constant = site.add_const(1, "int32")
    second = site.add("Add", [first, constant])
    apart = site.add("Add", ["x", constant])
    inputs = {name: list(site.body.nodes[name].input) for name in (first, constant, second, apart)}
    assert inputs == {
        first: ["x", "^before"],
        constant: [],
        second: [first, constant],
        apart: ["x", constant, "^before"],
    }


def test_in_a_loop_what_takes_nothing_belongs_to_the_frame_of_the_first_input():
    site = _open(NodeDef(name="enter", op="Enter", input=["x"]))
    constant = site.add_const(1, "int32")
    variable = site.add("TemporaryVariable", [])
    assert list(site.body.nodes[constant].input) == ["^x"]
    assert list(site.body.nodes[variable].input) == ["^before", "^x"]


def test_equal_constants_are_one():
    site = _open()
    assert site.add_const([1, 2], "int32") == site.add_const((1, 2), "int32")
    others = [site.add_const(v, t) for v, t in ((1, "int32"), ([1], "int32"), (1, "int64"), (True, "bool"))]
    assert len(set(others)) == len(others)
    site.body.withdraw(others)
    assert site.add_const(1, "int32") not in others


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([[1, 2], [3, 4]], "int32"),
        (-5, "int64"),
        ([], "int32"),
        ([0.5, float("inf")], "float32"),
        ([0.5, -2], "float16"),
        ([0.5, -2], "bfloat16"),
        ([1.5], "float64"),
        ([True, False], "bool"),
        ([b"a", b""], "string"),
        (b"a", "string"),
        (200, "uint8"),
    ],
)
def test_constants_are_read_as_they_were_written(values, dtype):
    node = NodeDef(name="c", op="Const")
    write_const(node, values, dtype)
    read = read_const(node)
    assert read.shape == np.shape(values)
    assert read.tolist() == (list(values) if isinstance(values, list) else values)


@pytest.mark.parametrize(
    ("dtype", "field", "given", "shape", "expected"),
    [
        ("int32", "int_val", [7], [2, 2], [[7, 7], [7, 7]]),
        ("int64", "int64_val", [1, 2], [3], [1, 2, 2]),
        ("float32", "float_val", [], [2], [0.0, 0.0]),
        ("bool", "bool_val", [True], [], True),
        ("string", "string_val", [b"x"], [2], [b"x", b"x"]),
        ("string", "string_val", [], [1], [b""]),
        ("float16", "half_val", [0x3C00], [2], [1.0, 1.0]),
    ],
)
def test_constants_may_leave_a_tail_out(dtype, field, given, shape, expected):
    node = NodeDef(name="c", op="Const")
    tensor = node.attr["value"].tensor
    tensor.dtype = DTYPE_NUMBERS[dtype]
    getattr(tensor, field).extend(given)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    assert read_const(node).tolist() == expected


def _spoil(tensor, kind):
    if kind == "large":
        tensor.tensor_shape.dim.add(size=1 << 40)
    elif kind == "torn":
        tensor.tensor_content = b"abc"
    elif kind == "too many":
        tensor.int_val.extend([1, 2])
    else:
        tensor.dtype = DTYPE_NUMBERS["resource"]


@pytest.mark.parametrize("kind", ["large", "torn", "too many", "resource"])
def test_other_constants_are_not_read(kind):
    node = NodeDef(name="c", op="Const")
    node.attr["value"].tensor.dtype = INT32
    _spoil(node.attr["value"].tensor, kind)
    assert read_const(node) is None


def test_a_constant_is_found_behind_nodes_that_hand_it_on():
    constant = NodeDef(name="c", op="Const")
    write_const(constant, [4], "int32")
    enter = NodeDef(name="enter", op="Enter", input=["c"])
    enter.attr["is_constant"].b = True
    changing = NodeDef(name="changing", op="Enter", input=["c"])
    site = _open(constant, enter, changing, NodeDef(name="i", op="Identity", input=["enter"]))
    assert site.read_const("i:0").tolist() == [4]
    assert site.read_const("changing") is None
    assert site.read_const("x") is None
    assert site.read_const("argument") is None


def test_kernels_that_the_runtime_has():
    site = _open()
    assert site.can_run("BatchMatMul", T=INT32)
    assert not site.can_run("BatchMatMul", T=INT64)
    assert not site.can_run("BatchMatMulV2", T=INT32)
    assert not site.can_run("BatchMatMul", T=INT32, grad_x=True)
