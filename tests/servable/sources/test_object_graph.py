"""The object graph of TF2 checkpoints, without TensorFlow: where the model lies, and what is training's."""

import shutil
from pathlib import Path

import pytest

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle import OBJECT_GRAPH_KEY, TensorBundle
from servable.sources.live_models.object_graph import ObjectGraph, ObjectNode, read_object_graph

DENSE = {f"layer_with_weights-{number}/{name}" for number in (0, 2) for name in ("kernel", "bias")}
NORM = {f"layer_with_weights-1/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")}


@pytest.mark.parametrize(
    ("case", "slot"),
    [
        ("tf2.3-obj_ckpt-a", "model"),
        ("tf2.3-obj_manager-a", "net"),
        ("tf2.3-obj_weights-a", ""),
        ("tf2.16legacy-obj_ckpt-a", "model"),
        ("tf2.16legacy-obj_manager-a", "net"),
        ("tf2.16legacy-obj_weights-a", ""),
    ],
)
def test_the_model_is_found_and_training_left_out(zoo, case, slot):
    graph = read_object_graph(zoo(case).source)
    slots = graph.list_slots()
    assert list(slots) == [slot]
    assert set(slots[slot].values()) == DENSE | NORM
    assert graph.is_keras


@pytest.mark.parametrize(("case", "slot"), [("tf2.16-obj_ckpt-a", "model"), ("tf2.16-obj_manager-a", "net")])
def test_variables_of_keras_3_are_found_behind_the_optimizers_names(zoo, case, slot):
    graph = read_object_graph(zoo(case).source)
    (found,) = graph.list_slots().values()
    assert list(graph.list_slots()) == [slot]
    # The checkpoint keeps them under the optimizer, which names them first.
    assert sum(key.startswith(("optimizer/", f"{slot}/optimizer/")) for key in found) == 6
    assert sorted(way.rpartition("/")[2] for way in found.values()) == sorted(
        ["_kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "_kernel", "bias"]
    )


def test_a_plain_module_lists_its_variables(zoo):
    graph = read_object_graph(zoo("tf2.3-obj_module-a").source)
    assert graph.write_slots() == [
        "slot 'net' with layers/0/w float32 [5, 4], layers/0/b float32 [4], layers/1/w float32 [4, 2], "
        "layers/1/b float32 [2]"
    ]
    assert graph.write_slots(most=1) == ["slot 'net' with layers/0/w float32 [5, 4] and 3 more"]
    assert not graph.is_keras


def test_a_damaged_object_graph_is_told(zoo, tmp_path):
    source = zoo("tf2.3-obj_module-a").source
    for file in source.parent.glob("net.*"):
        shutil.copy(file, tmp_path)
    entry = read_object_graph(tmp_path / "net").bundle.entries[OBJECT_GRAPH_KEY]
    data = tmp_path / "net.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[entry.offset + entry.size_bytes // 2] ^= 0xFF
    data.write_bytes(content)
    with pytest.raises(BrokenSourceError, match=OBJECT_GRAPH_KEY):
        read_object_graph(tmp_path / "net")


def test_a_chain_without_end_is_refused():
    nodes = tuple(ObjectNode({"n" * 100: number + 1}, {}, ()) for number in range(1000))
    graph = ObjectGraph(TensorBundle(Path("ck"), {}, (), "<"), (*nodes, ObjectNode({}, {}, ())))
    with pytest.raises(BrokenSourceError, match="too deep"):
        graph.list_places()
