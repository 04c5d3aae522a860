"""Live models become SavedModels: read back by Python's loader, by the C++ runtime and as plain messages."""

from types import SimpleNamespace

import numpy as np
import pytest

from servable.errors import ExportError, SignatureError
from servable.export.objects import write_object_model
from servable.formats.checkpoints.bundle import open_bundle, read_tensor
from servable.formats.protos import SavedModel, parse_message
from servable.model import ObjectBody
from servable.runtime.outcome import Call
from servable.runtime.session import open_session
from servable.signature import SignatureRequest, TensorSpec

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

X = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)
ROW = TensorSpec("float32", (None, 4))


class _Heads:
    """Two heads on one trunk, an optimizer slot and a seed that nothing reads in inference; all by hand."""

    def __new__(cls):
        import tensorflow as tf

        model = tf.Module()
        model.trunk = tf.Variable(np.full((4, 2), 2, "float32"), name="trunk")
        model.left = tf.Variable(np.full((2,), 3, "float32"), name="left")
        model.right = tf.Variable(np.full((2,), 5, "float32"), name="right")
        model.slot = tf.Variable(np.zeros((4, 2), "float32"), name="adam/trunk/m")
        model.count = tf.Variable(0, name="count", dtype=tf.int64)

        def call(tensors):
            model.slot.read_value()
            model.count.assign_add(1)
            with tf.device("/device:CPU:0"):
                trunk = tensors["x"] @ model.trunk
            return {
                "left": trunk * model.left,
                "right": trunk * model.right + tensors["offset"],
                "x": tensors["x"],
            }

        inputs = {"x": ROW, "offset": TensorSpec("float32", ())}
        outputs = dict.fromkeys(("left", "right"), TensorSpec("float32", (None, 2))) | {"x": ROW}
        return ObjectBody(model, call, inputs, outputs)


TRUNK = X @ np.full((4, 2), 2, "float32")


def _read_meta_graph(out_dir):
    return parse_message(SavedModel, out_dir / "saved_model.pb").meta_graphs[0]


def _list_keys(out_dir):
    entries = open_bundle(out_dir / "variables" / "variables").entries
    return {key.partition("/")[0] for key in entries if not key.startswith("_CHECKPOINTABLE")}


def _run_in_python(out_dir, name, feeds):
    import tensorflow as tf

    signature = tf.saved_model.load(str(out_dir)).signatures[name]
    return {
        key: value.numpy()
        for key, value in signature(**{k: tf.constant(v) for k, v in feeds.items()}).items()
    }


def _run_in_runtime(out_dir, name, *rounds):
    signature = _read_meta_graph(out_dir).signature_def[name]
    fetches = {key: info.name for key, info in signature.outputs.items()}
    answers = []
    with open_session(out_dir) as session:
        assert session.load_fault is None
        for feeds in rounds:
            fed = {signature.inputs[key].name: value for key, value in feeds.items()}
            result = session.run(Call(fed, tuple(fetches.values())))
            assert result.fault is None
            answers.append({key: result.outputs[tensor] for key, tensor in fetches.items()})
    return answers


def test_any_key_is_kept_in_both_loaders(tmp_path):
    out_dir = tmp_path / "model"
    # Sorted, the stand-ins of inputs and outputs must not change places: b-left sorts before z/right.
    request = SignatureRequest(
        "any/name-1",
        inputs={"ω": "offset", "input-1": "x"},
        outputs={"z/right": "right", "b-left": "left", " ": "x"},
    )
    write_object_model(_Heads(), [request], "any/name-1", out_dir)
    feeds = {"input-1": X, "ω": np.float32(7)}
    python = _run_in_python(out_dir, "any/name-1", feeds)
    (runtime,) = _run_in_runtime(out_dir, "any/name-1", feeds)
    for answer in (python, runtime):
        assert set(answer) == {"z/right", "b-left", " "}
        np.testing.assert_allclose(answer["z/right"], 5 * TRUNK + 7)
        np.testing.assert_allclose(answer["b-left"], 3 * TRUNK)
        np.testing.assert_array_equal(answer[" "], X)


def test_serving_default_is_an_alias_of_the_same_tensors(tmp_path):
    out_dir = tmp_path / "model"
    request = SignatureRequest("images", inputs={"x": "x"}, outputs={"y": "left"})
    write_object_model(_Heads(), [request], "images", out_dir)
    meta_graph = _read_meta_graph(out_dir)
    assert meta_graph.signature_def["serving_default"] == meta_graph.signature_def["images"]
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    np.testing.assert_allclose(_run_in_python(out_dir, "serving_default", {"x": X})["y"], 3 * TRUNK)


def test_no_alias_where_none_is_wanted(tmp_path):
    write_object_model(_Heads(), [SignatureRequest("a", {"x": "x"}, {"y": "left"})], None, tmp_path / "model")
    assert set(_read_meta_graph(tmp_path / "model").signature_def) - {"__saved_model_init_op"} == {"a"}


def test_a_signature_called_serving_default_is_not_replaced(tmp_path):
    requests = [
        SignatureRequest("a", {"x": "x"}, {"y": "left"}),
        SignatureRequest("serving_default", {"x": "x"}, {"same": "x"}),
    ]
    write_object_model(_Heads(), requests, "a", tmp_path / "model")
    assert set(_read_meta_graph(tmp_path / "model").signature_def["serving_default"].outputs) == {"same"}


def test_methods_are_written_as_serving_spells_them(tmp_path):
    requests = [
        SignatureRequest("c", {"inputs": "x"}, {"scores": "left"}, "classify"),
        SignatureRequest("r", {"inputs": "x"}, {"outputs": "left"}, "regress"),
        SignatureRequest("p", {"x": "x"}, {"y": "left"}),
    ]
    write_object_model(_Heads(), requests, None, tmp_path / "model")
    written = _read_meta_graph(tmp_path / "model").signature_def
    assert {name: written[name].method_name for name in "crp"} == {
        "c": "tensorflow/serving/classify",
        "r": "tensorflow/serving/regress",
        "p": "tensorflow/serving/predict",
    }


def test_only_what_the_signatures_reach_is_written(tmp_path):
    write_object_model(_Heads(), [SignatureRequest("a", {"x": "x"}, {"y": "left"})], None, tmp_path / "one")
    assert _list_keys(tmp_path / "one") == {"trunk", "left"}
    both = [SignatureRequest("a", {"x": "x"}, {"y": "left"}), SignatureRequest("b")]
    write_object_model(_Heads(), both, None, tmp_path / "both")
    assert _list_keys(tmp_path / "both") == {"trunk", "left", "right"}
    bundle = open_bundle(tmp_path / "one" / "variables" / "variables")
    np.testing.assert_array_equal(read_tensor(bundle, "left/.ATTRIBUTES/VARIABLE_VALUE"), [3, 3])


def test_devices_and_default_attributes_are_gone(tmp_path):
    write_object_model(_Heads(), [SignatureRequest("a", {"x": "x"}, {"y": "left"})], None, tmp_path / "model")
    meta_graph = _read_meta_graph(tmp_path / "model")
    nodes = [
        *meta_graph.graph_def.node,
        *(n for f in meta_graph.graph_def.library.function for n in f.node_def),
    ]
    products = [node for node in nodes if node.op == "MatMul"]
    assert {node.device for node in nodes} == {""}
    assert len(products) == 1
    assert "transpose_a" not in products[0].attr
    assert meta_graph.meta_info_def.stripped_default_attrs


def test_the_fingerprint_fits_the_written_message(tmp_path):
    import tensorflow as tf

    write_object_model(
        _Heads(), [SignatureRequest("a/b", {"x": "x"}, {"y": "left"})], None, tmp_path / "model"
    )
    before = tf.saved_model.experimental.read_fingerprint(str(tmp_path / "model"))
    (tmp_path / "model" / "fingerprint.pb").unlink()
    from tensorflow.python.saved_model import fingerprinting_utils

    fingerprinting_utils.write_fingerprint(str(tmp_path / "model"))
    after = tf.saved_model.experimental.read_fingerprint(str(tmp_path / "model"))
    assert before.signature_def_hash == after.signature_def_hash
    assert before.saved_model_checksum == after.saved_model_checksum


def test_any_batch_size_is_served(tmp_path):
    write_object_model(_Heads(), [SignatureRequest("a", {"x": "x"}, {"y": "left"})], None, tmp_path / "model")
    one, many = _run_in_runtime(tmp_path / "model", "a", {"x": X[:1]}, {"x": np.repeat(X, 5, axis=0)})
    assert (one["y"].shape, many["y"].shape) == ((1, 2), (15, 2))


def test_a_state_that_the_outputs_read_is_kept_up_to_date(tmp_path):
    import tensorflow as tf

    model = tf.Module()
    model.total = tf.Variable(10.0, name="total")
    body = ObjectBody(
        model,
        lambda tensors: {"total": model.total.assign_add(tf.reduce_sum(tensors["x"]))},
        {"x": ROW},
        {"total": TensorSpec("float32", ())},
    )
    write_object_model(body, [SignatureRequest("a")], None, tmp_path / "model")
    ones = {"x": np.ones((1, 4), "float32")}
    assert [answer["total"] for answer in _run_in_runtime(tmp_path / "model", "a", ones, ones)] == [14, 18]


def test_a_write_that_comes_after_the_read_is_kept_too(tmp_path):
    import tensorflow as tf

    model = tf.Module()
    model.total = tf.Variable(10.0, name="total")

    def call(tensors):
        before = model.total.read_value()
        model.total.assign(before + tf.reduce_sum(tensors["x"]))
        return {"before": before}

    body = ObjectBody(model, call, {"x": ROW}, {"before": TensorSpec("float32", ())})
    write_object_model(body, [SignatureRequest("a")], None, tmp_path / "model")
    ones = {"x": np.ones((1, 4), "float32")}
    assert [answer["before"] for answer in _run_in_runtime(tmp_path / "model", "a", ones, ones)] == [10, 14]


def test_tables_and_their_files_travel_with_the_model(tmp_path):
    import tensorflow as tf

    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("red\ngreen\n")
    model = tf.Module()
    initializer = tf.lookup.TextFileInitializer(
        str(vocabulary),
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    model.words = tf.lookup.StaticHashTable(initializer, -1)
    model.unused = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["x"], [1]), 0)
    body = ObjectBody(
        model,
        lambda tensors: {"id": model.words.lookup(tensors["word"])},
        {"word": TensorSpec("string", (None,))},
        {"id": TensorSpec("int64", (None,))},
    )
    write_object_model(body, [SignatureRequest("a")], None, tmp_path / "model")
    vocabulary.unlink()
    moved = (tmp_path / "model").rename(tmp_path / "moved")
    (answer,) = _run_in_runtime(moved, "a", {"word": np.array([b"green", b"blue", b"red"], dtype=object)})
    np.testing.assert_array_equal(answer["id"], [1, -1, 0])
    tables = [node for node in _read_meta_graph(moved).graph_def.node if "HashTable" in node.op]
    assert len(tables) == 1


def test_an_input_that_outputs_need_cannot_be_left_out(tmp_path):
    with pytest.raises(SignatureError, match="leaves out inputs") as caught:
        write_object_model(
            _Heads(), [SignatureRequest("a", {"x": "x"}, {"y": "right"})], None, tmp_path / "m"
        )
    assert "offset=offset" in caught.value.advice
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("requests", "default_name", "said"),
    [
        ([], None, "No signature"),
        ([SignatureRequest("a"), SignatureRequest("a")], None, "one name"),
        ([SignatureRequest("a")], "b", "default signature 'b'"),
        ([SignatureRequest("a", {"x": "nope"})], None, "does not have"),
        ([SignatureRequest("a", {"x": "x"}, {"y": "3"})], None, "does not have"),
    ],
)
def test_signatures_that_do_not_fit_are_refused_and_nothing_is_written(
    tmp_path, requests, default_name, said
):
    with pytest.raises(SignatureError, match=said):
        write_object_model(_Heads(), requests, default_name, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine").touch()
    with pytest.raises(ExportError, match="exists"):
        write_object_model(_Heads(), [SignatureRequest("a")], None, tmp_path / "m")
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["mine"]


def test_a_model_that_fails_when_traced_says_why(tmp_path):
    def call(tensors):
        raise ValueError("no such attention")

    body = ObjectBody(SimpleNamespace(), call, {"x": ROW}, {"y": ROW})
    with pytest.raises(ExportError, match="traced") as caught:
        write_object_model(body, [SignatureRequest("a")], None, tmp_path / "m")
    assert "no such attention" in caught.value.received


def test_a_resource_that_the_model_does_not_own_is_told(tmp_path):
    import tensorflow as tf

    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["x"], [1]), 0)
    body = ObjectBody(
        tf.Module(),
        lambda tensors: {"y": table.lookup(tensors["x"])},
        {"x": TensorSpec("string", (None,))},
        {"y": TensorSpec("int32", (None,))},
    )
    with pytest.raises(ExportError, match="does not own"):
        write_object_model(body, [SignatureRequest("a")], None, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    import tensorflow as tf

    def save(*args, **kwargs):
        (tmp_path / "m" / "variables").mkdir(parents=True)
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(ExportError, match="could not write") as caught:
        write_object_model(_Heads(), [SignatureRequest("a")], None, tmp_path / "m")
    assert "disk full" in caught.value.received
    assert not (tmp_path / "m").exists()


def test_progress_is_told(tmp_path):
    told = []
    write_object_model(
        _Heads(), [SignatureRequest("a")], None, tmp_path / "m", progress=lambda *args: told.append(args)
    )
    assert told == [
        ("trace model", 0, 1),
        ("trace model", 1, 1),
        ("write model", 0, 1),
        ("write model", 1, 1),
    ]
