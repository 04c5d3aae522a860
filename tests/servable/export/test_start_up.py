"""Which initializers are kept, and in which order; graphs written by hand."""

import pytest

from servable.export.start_up import find_initializers, find_started
from servable.formats.protos import GraphDef
from servable.graphs.frames import open_frame


@pytest.fixture
def graph():
    return GraphDef()


def add(graph, name, op, *inputs):
    return graph.node.add(name=name, op=op, input=inputs)


def find(graph, reached, roots=()):
    return find_initializers(open_frame(graph), reached, roots)


def test_tables_that_are_reached_are_filled_without_being_named(graph):
    for table in ("a", "b"):
        add(graph, table, "HashTableV2")
        add(graph, f"{table}_keys", "Const")
        add(graph, f"fill_{table}", "InitializeTableV2", table, f"{table}_keys", f"{table}_keys")
    assert find(graph, {"b"}) == ["fill_b"]


def test_a_table_whose_keys_are_looked_up_in_another_comes_after_it(graph):
    add(graph, "second", "HashTableV2")
    add(graph, "keys", "Const")
    add(graph, "looked_up", "LookupTableFindV2", "first", "keys")
    add(graph, "fill_second", "InitializeTableV2", "second", "keys", "looked_up")
    add(graph, "first", "HashTableV2")
    add(graph, "fill_first", "InitializeTableV2", "first", "keys", "keys")
    assert find(graph, {"second"}) == ["fill_first", "fill_second"]


def test_what_a_saver_fills_is_left_to_the_loader(graph):
    add(graph, "table", "MutableHashTableV2")
    add(graph, "restored", "RestoreV2")
    add(graph, "import", "LookupTableImportV2", "table", "restored", "restored:1")
    add(graph, "restore_all", "NoOp", "^import")
    assert find(graph, {"table"}, ["restore_all"]) == []


def test_groups_are_taken_apart_and_only_what_is_needed_is_kept(graph):
    for name in ("served", "trained"):
        add(graph, name, "VarHandleOp")
        add(graph, f"{name}_value", "Const")
        add(graph, f"start_{name}", "AssignVariableOp", name, f"{name}_value")
    add(graph, "inner", "NoOp", "^start_trained", "^start_served")
    add(graph, "start", "NoOp", "^inner")
    assert find(graph, {"served"}, ["start"]) == ["start_served"]
    assert find_started(open_frame(graph).nodes, ["start_served"]) == {"served"}


def test_an_initializer_needs_what_it_reads(graph):
    """The path of a file lies in a variable that has to be set before the table is filled."""
    add(graph, "table", "HashTableV2")
    add(graph, "path", "VarHandleOp")
    add(graph, "asset", "Placeholder")
    add(graph, "read", "ReadVariableOp", "path")
    call = add(graph, "fill", "StatefulPartitionedCall", "read", "table", "^set")
    call.attr["f"].func.name = "f"
    add(graph, "set", "AssignVariableOp", "path", "asset")
    add(graph, "start", "NoOp", "^fill", "^set")
    graph.library.function.add().signature.name = "f"
    assert find(graph, {"table"}, ["start"]) == ["set", "fill"]
    assert find(graph, {"elsewhere"}, ["start"]) == []


def test_initializers_that_wait_for_each_other_do_not_hang(graph):
    for name, other in (("a", "b"), ("b", "a")):
        add(graph, name, "VarHandleOp")
        add(graph, f"set_{name}", "AssignVariableOp", name, f"read_{other}", f"^set_{other}")
        add(graph, f"read_{name}", "ReadVariableOp", name)
    assert sorted(find(graph, {"a"}, ["set_a", "set_b"])) == ["set_a", "set_b"]
