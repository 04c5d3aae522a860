import pytest

from servable.targets.fitting import MisfitKind, count_inputs, find_misfits, list_outputs
from servable.targets.registry import load_registry

OLD, MIDDLE, NEW = (load_registry(version) for version in ("1.12.3", "2.11.1", "2.21.0"))


def find_kinds(node, registry, functions=()):
    return [(misfit.kind, misfit.attr) for misfit in find_misfits(node, registry, functions)]


def test_a_node_that_fits(make_node):
    node = make_node("MatMul", ["a", "b", "^c"], T="float32", transpose_b=True, _any=1)
    assert find_misfits(node, OLD) == []


def test_an_op_that_is_not_there(make_node):
    (misfit,) = find_misfits(make_node("Einsum", ["a", "b"]), OLD)
    assert misfit.kind is MisfitKind.UNKNOWN_OP
    assert "1.12.3" in misfit.detail
    assert "Einsum" in misfit.detail


def test_the_graphs_own_functions_are_ops_too(make_node):
    node = make_node("__forward_7", ["a"])
    assert find_kinds(node, OLD) == [(MisfitKind.UNKNOWN_OP, "")]
    assert find_kinds(node, OLD, {"__forward_7"}) == []


@pytest.mark.parametrize(("value", "is_default"), [(False, True), (True, False)])
def test_an_attribute_that_came_later(make_node, value, is_default):
    node = make_node("MatMul", ["a", "b"], T="float32", grad_a=value)
    assert find_misfits(node, NEW) == []
    (misfit,) = find_misfits(node, MIDDLE)
    assert (misfit.kind, misfit.attr, misfit.is_default) == (MisfitKind.UNKNOWN_ATTR, "grad_a", is_default)


def test_a_label_says_nothing_to_a_runtime(make_node):
    node = make_node("VarHandleOp", dtype="float32", debug_name=b"dense/kernel")
    node.attr["shape"].shape.SetInParent()
    (misfit,) = find_misfits(node, MIDDLE)
    assert misfit.is_default


def test_an_attribute_that_has_no_default_there(make_node):
    node = make_node("TensorListStack", ["a", "b"])
    assert (MisfitKind.MISSING_ATTR, "element_dtype") in find_kinds(node, MIDDLE)


def test_another_number_of_inputs(make_node):
    node = make_node("TensorListStack", ["a", "b"], element_dtype="float32")
    assert find_misfits(node, MIDDLE) == []
    assert find_kinds(node, OLD) == [(MisfitKind.INPUT_COUNT, "")]


def test_inputs_are_counted_as_attributes_say(make_node):
    concat = make_node("ConcatV2", ["a", "b", "axis", "^c"], T="float32", N=2)
    call = make_node("PartitionedCall", ["a", "b"], Tin=["float32", "int32"], Tout=["string"])
    assert count_inputs(concat, OLD.ops["ConcatV2"]) == 3
    assert count_inputs(call, OLD.ops["PartitionedCall"]) == 2
    assert find_misfits(concat, OLD) == []


def test_outputs_are_named_one_by_one(make_node):
    split = make_node("Split", ["axis", "a"], T="float32", num_split=2)
    norm = make_node("FusedBatchNormV3", T="float32", U="float32")
    assert list_outputs(split, NEW.ops["Split"]) == [("output", 0), ("output", 1)]
    assert [name for name, _ in list_outputs(norm, NEW.ops["FusedBatchNormV3"])][::5] == [
        "y",
        "reserve_space_3",
    ]


def test_a_type_that_the_op_does_not_take(make_node):
    node = make_node("MatMul", ["a", "b"], T="int64")
    assert find_misfits(node, NEW) == []
    (misfit,) = find_misfits(node, OLD)
    assert (misfit.kind, misfit.attr) == (MisfitKind.ATTR_VALUE, "T")
    assert "int64" in misfit.detail
    assert "float32" in misfit.detail


def test_a_text_that_the_op_does_not_take(make_node):
    node = make_node("Conv2D", ["a", "b"], T="float32", padding=b"EXPLICIT")
    node.attr["strides"].list.i.extend([1, 1, 1, 1])
    assert (MisfitKind.ATTR_VALUE, "padding") in find_kinds(node, OLD)


def test_a_type_without_a_kernel(make_node):
    node = make_node("LookupTableFindV2", ["a", "b", "c"], Tin="string", Tout="float32")
    table = make_node("HashTableV2", key_dtype="string", value_dtype="complex64")
    assert find_misfits(node, NEW) == []
    (misfit,) = find_misfits(table, NEW)
    assert misfit.kind is MisfitKind.KERNEL
    assert "key_dtype=string" in misfit.detail
    assert "value_dtype=complex64" in misfit.detail


def test_a_layout_without_a_kernel(make_node):
    # Registered for a CPU with channels last only.
    last = make_node("DepthToSpace", ["a"], T="float32", block_size=2, data_format=b"NHWC")
    assert find_misfits(last, NEW) == []
    first = make_node("DepthToSpace", ["a"], T="float32", block_size=2, data_format=b"NCHW")
    assert find_kinds(first, NEW) == [(MisfitKind.KERNEL, "")]
    # Of older ones, only those who have tried know.
    assert find_kinds(first, OLD) == [(MisfitKind.LAYOUT, "data_format")]


def test_a_text_that_its_kernels_name(make_node):
    node = make_node("GatherNd", ["a", "b"], Tparams="float32", Tindices="int32")
    assert find_misfits(node, NEW) == []


def test_looking_changes_nothing(make_node):
    node = make_node("FusedBatchNormV3", [], T="float32")
    before = node.SerializeToString(deterministic=True)
    find_misfits(node, OLD)
    find_misfits(node, NEW)
    assert node.SerializeToString(deterministic=True) == before
