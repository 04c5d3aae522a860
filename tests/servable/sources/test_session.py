"""The source's own answers, which the baseline is made of, and what is never run for them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from servable.errors import SourceError, UnsafeSourceError
from servable.formats.protos import NodeDef
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.running.session import SourceRunner
from servable.sources.saver_checkpoints.checkpoint_graph import read_meta_graph

pytestmark = pytest.mark.tensorflow


def ask(case, source=None):
    request = SignatureRequest("s", case.name_ends("inputs"), case.name_ends("outputs"))
    model = open_source(source or case.source)
    return model.predict(request, case.read_arrays("inputs"), frozen=case.frozen)


def compare(answer, wanted):
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(answer, wanted, rtol=1e-5, atol=1e-5)
    else:
        assert answer.tolist() == wanted.tolist()


@pytest.mark.zoo("tf1.*-lr-a", "tf1.*-cnn_bn-a", "tf1.*-dropout-a", "tf1.*-lookup-a", "tf1.*-multi_head-a")
def test_the_source_answers_as_it_did_for_its_trainer(zoo, case_name):
    case = zoo(case_name)
    answers = ask(case)
    for key, wanted in case.read_arrays("outputs").items():
        compare(answers[key], wanted)


@pytest.mark.parametrize("hook", ["output", "saver"])
def test_a_graph_that_writes_files_is_not_run(zoo, tmp_path, hook):
    case = zoo("tf1.15-lr-a")
    folder = tmp_path / "train"
    shutil.copytree(case.source.parent, folder)
    marker = tmp_path / "marker"
    meta_graph = read_meta_graph(case.source)
    for name, value in (("evil/name", str(marker).encode()), ("evil/text", b"here")):
        const = meta_graph.graph_def.node.add(name=name, op="Const")
        const.attr["dtype"].type = 7
        const.attr["value"].tensor.dtype = 7
        const.attr["value"].tensor.tensor_shape.SetInParent()
        const.attr["value"].tensor.string_val.append(value)
    evil = NodeDef(name="evil/write", op="WriteFile", input=["evil/name", "evil/text"])
    meta_graph.graph_def.node.append(evil)
    output = next(iter(case.name_ends("outputs").values())).partition(":")[0]
    hooked = output if hook == "output" else meta_graph.saver_def.restore_op_name
    next(node for node in meta_graph.graph_def.node if node.name == hooked).input.append("^evil/write")
    source = folder / case.source.name
    source.with_name(source.name + ".meta").write_bytes(meta_graph.SerializeToString())
    with pytest.raises(UnsafeSourceError, match="more than compute") as caught:
        ask(case, source)
    assert "WriteFile" in caught.value.received
    assert not marker.exists()


@pytest.mark.zoo("tf1.*-lr_v1-a", "tf1.*-lr_sharded-a", "tf1.*-partitioned-a")
def test_every_form_of_checkpoint_is_restored(zoo, case_name):
    case = zoo(case_name)
    for key, wanted in case.read_arrays("outputs").items():
        np.testing.assert_allclose(ask(case)[key], wanted, rtol=1e-5, atol=1e-5)


def test_signatures_share_one_graph_and_one_restore(zoo, monkeypatch):
    import tensorflow as tf

    case = zoo("tf1.15-multi_head-a")
    imported = []
    import_graph_def = tf.graph_util.import_graph_def
    monkeypatch.setattr(
        tf.graph_util, "import_graph_def", lambda *a, **k: imported.append(1) or import_graph_def(*a, **k)
    )
    restored = []
    run = tf.compat.v1.Session.run
    saver = read_meta_graph(case.source).saver_def.restore_op_name

    def count_runs(session, fetches, *rest):
        restored.append(fetches == saver)
        return run(session, fetches, *rest)

    monkeypatch.setattr(tf.compat.v1.Session, "run", count_runs)
    model = open_source(case.source)
    inputs, wanted = case.read_arrays("inputs"), case.read_arrays("outputs")
    assert len(wanted) > 1
    for name, tensor in case.name_ends("outputs").items():
        request = SignatureRequest(name, case.name_ends("inputs"), {name: tensor})
        compare(model.predict(request, inputs, frozen=case.frozen)[name], wanted[name])
    assert len(imported) == 1
    assert sum(restored) == 1


def test_a_saver_that_wants_more_than_is_there_is_not_used(zoo, tmp_path):
    """Its other variables are of training; what serving needs is restored one by one."""
    case = zoo("tf1.15-lr-a")
    folder = tmp_path / "train"
    shutil.copytree(case.source.parent, folder)
    meta_graph = read_meta_graph(case.source)
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    names = nodes["save/RestoreV2/tensor_names"].attr["value"].tensor.string_val
    extra = meta_graph.graph_def.node.add(name="extra", op="VariableV2")
    extra.CopyFrom(nodes["b"])
    extra.name = "extra"
    names.append(b"extra")
    nodes["save/RestoreV2/tensor_names"].attr["value"].tensor.tensor_shape.dim[0].size += 1
    slices = nodes["save/RestoreV2/shape_and_slices"].attr["value"].tensor
    slices.string_val.append(b"")
    slices.tensor_shape.dim[0].size += 1
    restore = nodes["save/RestoreV2"]
    restore.attr["dtypes"].list.type.append(1)
    assign = meta_graph.graph_def.node.add(name="save/Assign_extra", op="Assign")
    assign.CopyFrom(nodes["save/Assign"])
    assign.name = "save/Assign_extra"
    assign.input[:] = ["extra", f"save/RestoreV2:{len(names) - 1}"]
    nodes["save/restore_all"].input.append("^save/Assign_extra")
    source = folder / case.source.name
    source.with_name(source.name + ".meta").write_bytes(meta_graph.SerializeToString())
    for key, wanted in case.read_arrays("outputs").items():
        np.testing.assert_allclose(ask(case, source)[key], wanted, rtol=1e-5, atol=1e-5)


def test_a_closed_runner_opens_again(zoo):
    case = zoo("tf1.15-lr-a")
    model = open_source(case.source)
    request = SignatureRequest("s", case.name_ends("inputs"), case.name_ends("outputs"))
    first = model.predict(request, case.read_arrays("inputs"), frozen={})
    model.predict.close()
    second = model.predict(request, case.read_arrays("inputs"), frozen={})
    assert {key: value.tolist() for key, value in first.items()} == {
        key: value.tolist() for key, value in second.items()
    }


def test_a_graph_without_a_checkpoint_computes_what_needs_no_variable(zoo):
    case = zoo("tf1.15-lr-a")
    model = open_source(case.source)
    body = replace(model.body, checkpoint_prefix=None)
    x = np.ones([2, 784], np.float32)
    same = SignatureRequest("s", {"x": "x:0"}, {"same": "x:0"})
    np.testing.assert_array_equal(SourceRunner(body)(same, {"x": x}, frozen={})["same"], x)
    with pytest.raises(SourceError, match="no checkpoint with their values") as caught:
        SourceRunner(body)(SignatureRequest("s", {"x": "x:0"}, {"y": "y:0"}), {"x": x}, frozen={})
    assert caught.value.received == "W, b"


def test_a_vocabulary_of_the_trainers_machine_is_never_read(zoo, tmp_path):
    case = zoo("tf1.12-lookup-a")
    folder = tmp_path / "train"
    shutil.copytree(case.source.parent, folder)
    (folder / "vocab.txt").unlink()
    with pytest.raises(SourceError, match="lookup table is missing"):
        ask(case, folder / case.source.name)


@pytest.mark.zoo("tf1.*-lr-a", "tf1.*-dropout-a", "tf1.*-multi_head-a", "tf1.*-*_pipeline-a")
def test_a_training_part_that_is_not_imported_changes_nothing(zoo, case_name, tmp_path):
    """TensorFlow would refuse the whole graph for an op that it does not know."""
    case = zoo(case_name)
    folder = tmp_path / "train"
    shutil.copytree(case.source.parent, folder)
    meta_graph = read_meta_graph(case.source)
    meta_graph.graph_def.node.add(name="other", op="AnOpOfTheTrainersOwn")
    source = folder / case.source.name
    source.with_name(source.name + ".meta").write_bytes(meta_graph.SerializeToString())
    answers = ask(case, source)
    for key, wanted in case.read_arrays("outputs").items():
        compare(answers[key], wanted)


def test_what_is_wrong_with_the_inputs_is_told(zoo):
    case = zoo("tf1.15-parse_example-a")
    request = SignatureRequest("s", case.name_ends("inputs"), case.name_ends("outputs"))
    inputs = {"serialized": np.array([b"no example"], dtype=object)}
    with pytest.raises(SourceError, match="Could not parse example input"):
        open_source(case.source).predict(request, inputs, frozen={})
