"""What is large in one way: read in time and memory that grow with it, or refused."""

from __future__ import annotations

import resource
import time

import pytest

from benchmarks.faults_large.making import write_bomb, write_large_graph, write_many_tensors
from servable.errors import UnsafeSourceError
from servable.formats.checkpoints.bundle import open_bundle, read_tensor
from servable.formats.protos import NodeDef
from servable.graphs.graph_definitions import read_graph_definition
from servable.sources.description import describe_source
from servable.targets.fitting import find_misfits
from servable.targets.registry import load_registry


def test_nodes_are_compared_with_a_runtime_in_time_that_grows_with_their_number(tmp_path):
    write_large_graph(tmp_path / "graph.pb", 20_000)
    graph_def = read_graph_definition(tmp_path / "graph.pb").graph_def
    assert len(graph_def.node) == 20_002
    registry = load_registry("1.15.5")
    find_misfits(graph_def.node[0], registry)
    began_s = time.process_time()
    found = [misfit for node in graph_def.node for misfit in find_misfits(node, registry)]
    assert found == []
    assert time.process_time() - began_s < 5


def test_what_an_op_has_is_indexed_once():
    registry = load_registry("1.15.5")
    assert registry.index_attrs("Conv2D") is registry.index_attrs("Conv2D")
    assert set(registry.index_attrs("Identity")) == {"T"}
    assert registry.index_attrs("NoSuchOp") == {}


def test_many_tensors_are_all_there(tmp_path):
    write_many_tensors(tmp_path / "m", 5_000, value=3.0)
    bundle = open_bundle(tmp_path / "m")
    assert len(bundle.entries) == 5_000
    assert read_tensor(bundle, "layer_004999/weights").tolist() == [3.0] * 4


@pytest.mark.parametrize("member", ["model.weights.h5", "config.json"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, member):
    write_bomb(tmp_path / "bomb.keras", 1 << 28, member=member)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnsafeSourceError):
        describe_source(tmp_path / "bomb.keras")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 1 << 17


def test_an_attribute_whose_value_has_another_type_does_not_fit():
    node = NodeDef(name="n", op="Identity", input=["x"])
    node.attr["T"].SetInParent()
    assert "holds nothing, expected type" in find_misfits(node, load_registry("1.15.5"))[0].detail
    node.attr["T"].i = 1
    assert "holds i, expected type" in find_misfits(node, load_registry("1.15.5"))[0].detail
    node.attr["T"].type = 1
    assert find_misfits(node, load_registry("1.15.5")) == []
