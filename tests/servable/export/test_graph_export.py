"""TF1 graphs through the export door: what lands in the SavedModel, read by TensorFlow's own loaders."""

import shutil

import numpy as np
import pytest

from servable.errors import BrokenSourceError, SignatureError
from servable.export.exporting import export_servable, read_signatures
from servable.formats.checkpoints.bundle import open_bundle
from servable.formats.protos import SavedModel, parse_message
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions

pytestmark = pytest.mark.tensorflow


def request_of(case, name="predict_images"):
    return SignatureRequest(name, case.name_ends("inputs"), case.name_ends("outputs"))


@pytest.fixture(scope="module")
def exported(zoo, tmp_path_factory):
    case = zoo("tf1.15-cnn_bn-a")
    out = tmp_path_factory.mktemp("export") / "1"
    export_servable(open_source(case.source), [request_of(case)], out, frozen=case.frozen)
    return case, out


def test_the_default_signature_is_an_alias_of_the_first(exported):
    _, out = exported
    signatures = read_signatures(out)
    assert sorted(signatures) == ["predict_images", "serving_default"]
    assert signatures["serving_default"].outputs == signatures["predict_images"].outputs


def test_only_what_the_signatures_reach_is_stored(exported):
    _, out = exported
    keys = set(open_bundle(out / "variables" / "variables").entries)
    assert "bn1/moving_mean" in keys
    assert not any("Adam" in key or "power" in key or key == "global_step" for key in keys)


def test_the_graph_carries_nothing_of_the_trainer(exported):
    _, out = exported
    (meta_graph,) = parse_message(SavedModel, out / "saved_model.pb").meta_graphs
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    assert meta_graph.meta_info_def.stripped_default_attrs
    ops = {node.op for node in meta_graph.graph_def.node}
    assert not ops & {"ApplyAdam", "Switch", "Merge", "SoftmaxCrossEntropyWithLogits"}
    for node in meta_graph.graph_def.node:
        assert not node.device
        assert "_output_shapes" not in node.attr
        assert "_class" not in node.attr


def test_tensorflows_own_loaders_agree_with_the_source(exported):
    import tensorflow as tf

    case, out = exported
    images = case.read_arrays("inputs")
    wanted = case.read_arrays("outputs")
    loaded = tf.saved_model.load(str(out))
    answers = loaded.signatures["predict_images"](**{k: tf.constant(v) for k, v in images.items()})
    for key, value in wanted.items():
        np.testing.assert_allclose(answers[key], value, rtol=1e-5, atol=1e-5)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(out))
        names = {variable.op.name for variable in tf.compat.v1.global_variables()}
        assert names == set(open_bundle(out / "variables" / "variables").entries)
        signature = meta_graph.signature_def["predict_images"]
        feeds = {signature.inputs[key].name: value for key, value in images.items()}
        for key, value in wanted.items():
            answer = session.run(signature.outputs[key].name, feeds)
            np.testing.assert_allclose(answer, value, rtol=1e-5, atol=1e-5)


def test_tables_and_their_files_come_along_even_when_moved(zoo, tmp_path):
    import tensorflow as tf

    case = zoo("tf1.12-lookup-a")
    export_servable(open_source(case.source), [request_of(case)], tmp_path / "1")
    shutil.move(tmp_path / "1", tmp_path / "moved")
    assert sorted(p.name for p in (tmp_path / "moved" / "assets").iterdir()) == ["labels.txt", "vocab.txt"]
    words = case.read_arrays("inputs")["words"]
    loaded = tf.saved_model.load(str(tmp_path / "moved"))
    answers = loaded.signatures["serving_default"](words=tf.constant(words))
    assert answers["label"].numpy().tolist() == case.read_arrays("outputs")["label"].tolist()


def test_a_missing_vocabulary_is_named_and_can_be_given(zoo, tmp_path):
    case = zoo("tf1.12-lookup-a")
    folder = tmp_path / "train"
    shutil.copytree(case.source.parent, folder)
    (folder / "vocab.txt").rename(tmp_path / "words.txt")
    source = folder / case.source.name
    with pytest.raises(BrokenSourceError, match="lookup tables read are missing") as caught:
        export_servable(open_source(source), [request_of(case)], tmp_path / "1")
    assert "--asset vocab.txt=" in caught.value.advice
    assert not (tmp_path / "1").exists()
    options = SourceOptions(assets={"vocab.txt": tmp_path / "words.txt"})
    export_servable(open_source(source, options), [request_of(case)], tmp_path / "1")
    assert (tmp_path / "1" / "assets" / "words.txt").is_file()


def test_an_intermediate_tensor_can_be_the_input(zoo, tmp_path):
    import tensorflow as tf

    case = zoo("tf1.15-cnn_bn-a")
    request = SignatureRequest("head", {"logits": "logits/BiasAdd:0"}, {"probabilities": "probabilities:0"})
    export_servable(open_source(case.source), [request], tmp_path / "1")
    signature = read_signatures(tmp_path / "1")["head"]
    assert signature.inputs["logits"].shape == (None, 10)
    outputs = case.read_arrays("outputs")
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    answers = loaded.signatures["head"](logits=tf.constant(outputs["logits"]))
    np.testing.assert_allclose(answers["probabilities"], outputs["probabilities"], atol=1e-5)
    assert not (tmp_path / "1" / "variables").exists()


def test_an_unfed_placeholder_is_named_with_what_to_do(zoo, tmp_path):
    case = zoo("tf1.15-dropout-a")
    request = SignatureRequest("loss", case.name_ends("inputs"), {"loss": "Mean:0"})
    with pytest.raises(SignatureError, match="need placeholders") as caught:
        export_servable(open_source(case.source), [request], tmp_path / "1")
    assert "y_:0" in caught.value.received
    assert "--set y_:0=VALUE" in caught.value.advice
    assert list(tmp_path.iterdir()) == []


def test_an_output_number_that_is_not_there_is_refused(zoo, tmp_path):
    case = zoo("tf1.15-lr-a")
    tensor = next(iter(case.name_ends("outputs").values())).replace(":0", ":3")
    request = SignatureRequest("s", case.name_ends("inputs"), {"y": tensor})
    with pytest.raises(SignatureError, match="output that its node does not have"):
        export_servable(open_source(case.source), [request], tmp_path / "1")


def test_a_flipped_bit_names_the_tensor_and_leaves_nothing(zoo, tmp_path):
    case = zoo("tf1.15-lr-a")
    folder = tmp_path / "train"
    shutil.copytree(case.source.parent, folder)
    shard = next(folder.glob("*.data-*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(BrokenSourceError, match="checksum"):
        export_servable(open_source(folder), [request_of(case)], tmp_path / "1")
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


def test_a_meta_of_another_model_lists_what_is_missing(zoo, tmp_path):
    case = zoo("tf1.15-cnn_bn-a")
    other = zoo("tf1.15-lr-a")
    for part in other.source.parent.glob(other.source.name + ".*"):
        shutil.copy(part, tmp_path / part.name.replace(other.source.name, "model.ckpt"))
    meta = case.source.with_name(case.source.name + ".meta")
    shutil.copy(meta, tmp_path / "model.ckpt.meta")
    with pytest.raises(BrokenSourceError, match="variables of the graph are not in the checkpoint") as caught:
        export_servable(open_source(tmp_path), [request_of(case)], tmp_path / "1", frozen=case.frozen)
    assert "conv1/kernel" in caught.value.expected


def test_the_same_source_gives_the_same_bytes(zoo, tmp_path):
    from servable.formats.digest import digest_tree

    case = zoo("tf1.4-cnn_bn-a")
    for name in ("1", "2"):
        export_servable(open_source(case.source), [request_of(case)], tmp_path / name, frozen=case.frozen)
    assert digest_tree(tmp_path / "1") == digest_tree(tmp_path / "2")
