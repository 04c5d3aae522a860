"""Libraries of functions that are fine, and such as would keep a runtime busy forever."""

import pytest

from servable.errors import UnsafeSourceError
from servable.formats.protos import GraphDef
from servable.graphs import call_graph
from servable.graphs.call_graph import require_bounded


def make_graph(calls, *, main=("f0",), filler=1):
    """Functions by name, each with the functions that it calls."""
    graph = GraphDef()
    for position, name in enumerate(main):
        node = graph.node.add(name=f"call_{position}", op="PartitionedCall")
        node.attr["f"].func.name = name
    for name, callees in calls.items():
        function = graph.library.function.add()
        function.signature.name = name
        for position in range(filler):
            function.node_def.add(name=f"n{position}", op="NoOp")
        for position, callee in enumerate(callees):
            function.node_def.add(name=f"call_{position}", op=callee)
    return graph


def test_calls_that_end_are_fine():
    require_bounded(make_graph({"f0": ["f1", "f2"], "f1": ["f2"], "f2": []}))


@pytest.mark.parametrize(
    "calls",
    [{"f0": ["f0"]}, {"f0": ["f1"], "f1": ["f2"], "f2": ["f0"]}, {"f0": [], "unreached": ["unreached"]}],
)
def test_a_function_that_calls_itself_is_refused(calls):
    with pytest.raises(UnsafeSourceError, match="calls itself"):
        require_bounded(make_graph(calls))


def test_a_function_that_calls_itself_in_a_branch_or_by_its_gradient_is_refused():
    graph = make_graph({"f0": [], "f1": []})
    branches = graph.library.function[0].node_def.add(name="case", op="Case")
    branches.attr["branches"].list.func.add(name="f1")
    require_bounded(graph)
    graph.library.gradient.add(function_name="f1", gradient_func="f0")
    with pytest.raises(UnsafeSourceError, match="calls itself"):
        require_bounded(graph)


def test_a_chain_may_be_long_but_not_endless():
    def make_chain(length):
        return {f"f{i}": [f"f{i + 1}"] if i + 1 < length else [] for i in range(length)}

    require_bounded(make_graph(make_chain(call_graph.MAX_DEPTH)))
    with pytest.raises(UnsafeSourceError, match="too deeply"):
        require_bounded(make_graph(make_chain(50_000)))


def test_doubling_calls_are_refused_at_once():
    calls = {f"f{i}": [f"f{i + 1}"] * 2 for i in range(100)}
    with pytest.raises(UnsafeSourceError, match="inlined"):
        require_bounded(make_graph({**calls, "f100": []}))


def test_nodes_are_counted_in_functions_too(monkeypatch):
    monkeypatch.setattr(call_graph, "MAX_NODES", 10)
    require_bounded(make_graph({"f0": []}, filler=9))
    with pytest.raises(UnsafeSourceError, match="too many nodes"):
        require_bounded(make_graph({"f0": []}, filler=10))
