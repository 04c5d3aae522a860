"""Keras files become live models: real files of many runtimes, and hostile ones that must not run."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from servable.errors import (
    BrokenSourceError,
    ServableError,
    SettingsError,
    SignatureError,
    UnknownSourceError,
    UnsafeSourceError,
)
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions

pytestmark = [
    pytest.mark.tensorflow,
    # Saving in tests: Keras' variables lack the copy keyword that NumPy 2 asks for, and .h5 is called legacy.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]


OBJECTS_PATH = Path(__file__).parents[2] / "data" / "zoo" / "objects_keras.py"


def _open(path, **kwargs):
    return open_source(path, SourceOptions(**kwargs))


@pytest.mark.zoo("k2*-[!jl]*-a", "tfk*-[!jl]*-a", "keras3*-[!l]*-a")
def test_answers_are_those_of_the_runtime_that_wrote_the_file(zoo, case_name):
    case = zoo(case_name)
    model = _open(case.source, custom_objects=OBJECTS_PATH if case.facts.get("custom_objects") else None)
    # Positions, since the runtimes name inputs of their own making differently.
    request = SignatureRequest(inputs=case.name_ends("inputs"), outputs=case.name_ends("outputs"))
    answer = model.predict(request, case.read_arrays("inputs"), frozen={})
    for key, expected in case.read_arrays("outputs").items():
        np.testing.assert_allclose(answer[key], expected, rtol=1e-4, atol=1e-4)
    assert case.facts["keras_version"] in (model.origin.framework_version, "?")
    assert len(model.complete_origin().digest) == 64
    ran = [note.message for note in model.notes if note.message.startswith("ran objects_keras.py (sha256 ")]
    assert len(ran) == bool(case.facts.get("custom_objects"))


BAD = {
    "bad-h5_bad_config-a": (BrokenSourceError, "model_config"),
    "bad-h5_external-a": (UnsafeSourceError, "external link"),
    "bad-h5_lambda_code-a": (UnsafeSourceError, "'lambda'"),
    "bad-h5_lambda_code_keras2-a": (UnsafeSourceError, "'lambda'"),
    "bad-h5_missing_weight-a": (BrokenSourceError, "'dense'"),
    "bad-h5_not_hdf5-a": (UnknownSourceError, "empty"),
    "bad-h5_truncated-a": (BrokenSourceError, "cut short"),
    "bad-h5_weights_only-a": (ServableError, "weights but no model"),
    "bad-keras_bomb-a": (UnsafeSourceError, "zeros.bin"),
    "bad-keras_evil_config-a": (UnsafeSourceError, "builtins.eval"),
    "bad-keras_lambda_code-a": (UnsafeSourceError, "'lambda'"),
    "bad-keras_no_weights-a": (BrokenSourceError, "model.weights.h5"),
    "bad-keras_traversal-a": (UnsafeSourceError, "evil.txt"),
    "bad-keras_truncated-a": (BrokenSourceError, "zip"),
    "bad-keras_unknown_class-a": (BrokenSourceError, "DenseFromTheFuture"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("with_objects", [False, True])
def test_bad_files_are_refused_and_leave_no_marker(zoo, name, with_objects, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAB_PWNED", raising=False)
    error, said = BAD[name]
    source = zoo(name).source
    before = sorted(source.parent.parent.rglob("*"))
    with pytest.raises(error) as caught:
        _open(source, custom_objects=OBJECTS_PATH if with_objects else None)
    assert said in str(caught.value)
    assert "LAB_PWNED" not in os.environ
    assert not list(tmp_path.iterdir())
    assert sorted(source.parent.parent.rglob("*")) == before


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request):
    return pytest.importorskip(request.param)


@pytest.fixture
def save(tmp_path):
    def save(model, suffix=".keras"):
        path = tmp_path / f"saved{suffix}"
        model.save(path)
        return path

    return save


X = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)


def test_lists_are_named_after_layers_and_found_by_position(keras, save):
    x, y = (keras.layers.Input((4,), name=name) for name in ("x", "y"))
    shared = keras.layers.Dense(2, name="head")
    model = keras.Model([x, y], [shared(x), shared(y), x])
    opened = _open(save(model))
    assert list(opened.body.inputs) == ["x", "y"]
    # One layer gives two outputs, an input is an output too.
    assert list(opened.body.outputs) == ["head", "head_1", "x"]
    request = SignatureRequest(inputs={"a": "1", "b": "0"}, outputs={"second": "1", "by name": "head"})
    answer = opened.predict(request, {"a": X, "b": 2 * X}, frozen={})
    kernel, bias = (np.array(weight) for weight in shared.get_weights())
    np.testing.assert_allclose(answer["second"], X @ kernel + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer["by name"], 2 * X @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_dicts_keep_the_authors_keys(keras, save):
    q, p = (keras.layers.Input((4,), name=name) for name in ("q", "p"))
    scale = keras.layers.Rescaling
    model = keras.Model(
        {"q": q, "p": p}, {"z": scale(2.0, name="twice")(q), "a": scale(3.0, name="thrice")(p)}
    )
    opened = _open(save(model))
    assert set(opened.body.outputs) == {"a", "z"}
    answer = opened.predict(opened.signatures[0], {"q": X, "p": 10 * X}, frozen={})
    np.testing.assert_allclose(answer["z"], 2 * X, rtol=1e-6)
    np.testing.assert_allclose(answer["a"], 30 * X, rtol=1e-6)


def test_training_layers_do_nothing(keras, save):
    i = keras.layers.Input((8, 8, 3), name="x")
    layers = keras.layers
    model = keras.Model(i, layers.GaussianNoise(0.9)(layers.RandomFlip()(layers.Dropout(0.9)(i))))
    opened = _open(save(model))
    images = np.random.default_rng(0).random((2, 8, 8, 3), "float32")
    answer = opened.predict(opened.signatures[0], {"x": images}, frozen={})
    np.testing.assert_array_equal(next(iter(answer.values())), images)


def test_a_free_dimension_stays_free(keras, save):
    i = keras.layers.Input((None, 3), name="x")
    opened = _open(save(keras.Model(i, keras.layers.GRU(2, name="y")(i))))
    assert opened.body.inputs["x"].shape == (None, None, 3)
    assert opened.body.outputs["y"].shape == (None, 2)


def test_a_sparse_input_is_taken_dense(keras, save):
    i = keras.layers.Input((4,), sparse=True, name="x")
    layer = keras.layers.Dense(2, name="y")
    opened = _open(save(keras.Model(i, layer(i))))
    answer = opened.predict(opened.signatures[0], {"x": X}, frozen={})
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(answer["y"], X @ kernel + bias, rtol=1e-5, atol=1e-6)
    assert any("sparse" in note.message for note in opened.notes)


def test_asking_for_the_baseline_does_not_move_a_recurrent_state(keras, save):
    i = keras.layers.Input(batch_shape=(1, 2, 3), name="x")
    opened = _open(save(keras.Model(i, keras.layers.LSTM(2, stateful=True, name="y")(i))))
    x = {"x": np.ones((1, 2, 3), "float32")}
    first = opened.predict(opened.signatures[0], x, frozen={})["y"]
    np.testing.assert_array_equal(opened.predict(opened.signatures[0], x, frozen={})["y"], first)
    assert any("stateful" in note.message for note in opened.notes)


def test_the_suffix_does_not_matter(keras, save, tmp_path):
    i = keras.layers.Input((4,), name="x")
    for suffix, kind in ((".h5", "keras-hdf5"), (".keras", "keras-archive")):
        path = save(keras.Model(i, keras.layers.Dense(2, name="y")(i)), suffix).rename(
            tmp_path / f"weird{kind}.bin"
        )
        path.chmod(0o444)
        assert list(_open(path).body.outputs) == ["y"]


OBJECTS = """
def custom_objects(keras):
    class Scale(keras.layers.Layer):
        def call(self, x):
            return 3.0 * x

    def cube(x):
        return x * x * x

    return {"Scale": Scale, "cube": cube}
"""


def _save_custom(keras, save, tmp_path, suffix=".keras"):
    objects = tmp_path / "objects.py"
    objects.write_text(OBJECTS)
    namespace = {}
    exec(OBJECTS, namespace)
    made = namespace["custom_objects"](keras)
    i = keras.layers.Input((4,), name="x")
    y = keras.layers.Activation(made["cube"], name="y")(made["Scale"](name="scale")(i))
    return save(keras.Model(i, y), suffix), objects


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_custom_objects_are_built_on_the_keras_in_use(keras, save, tmp_path, suffix):
    path, objects = _save_custom(keras, save, tmp_path, suffix)
    opened = _open(path, custom_objects=objects)
    answer = opened.predict(opened.signatures[0], {"x": X}, frozen={})
    np.testing.assert_allclose(answer["y"], (3 * X) ** 3, rtol=1e-5, atol=1e-6)
    assert not any("could not load" in note.message for note in opened.notes)


ALL_OBJECTS = """
import tensorflow as tf

def custom_objects(keras):
    class Double(keras.layers.Layer):
        def call(self, x):
            return 2 * x

        def compute_output_shape(self, shape):
            return shape

    class Ones(keras.initializers.Initializer):
        def __call__(self, shape, dtype=None, **kwargs):
            return tf.ones(shape, dtype or "float32")

        def get_config(self):
            return {}

    class Free(keras.constraints.Constraint):
        def __call__(self, w):
            return w

        def get_config(self):
            return {}

    class Summer(keras.layers.Layer):
        state_size = output_size = 1

        def call(self, x, states, training=False):
            total = states[0] + tf.reduce_sum(x, -1, keepdims=True)
            return total, [total]

    def cube(x):
        return x * x * x

    return {"Double": Double, "Ones": Ones, "Free": Free, "Summer": Summer, "cube": cube}
"""


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_unknown_names_are_listed_wherever_they_hide(keras, save, tmp_path, suffix):
    namespace = {}
    exec(ALL_OBJECTS, namespace)
    made = namespace["custom_objects"](keras)
    layers = keras.layers
    dense = layers.Dense(
        3, kernel_initializer=made["Ones"](), kernel_constraint=made["Free"](), activation=made["cube"]
    )
    inner = keras.Sequential([layers.Input((2, 4)), layers.TimeDistributed(made["Double"]()), dense])
    i = layers.Input((2, 4), name="x")
    path = save(keras.Model(i, layers.RNN(made["Summer"](), name="y")(inner(i))), suffix)
    with pytest.raises(ServableError) as caught:
        _open(path)
    for name in made:
        assert name in str(caught.value)

    objects = tmp_path / "objects.py"
    objects.write_text(ALL_OBJECTS)
    opened = _open(path, custom_objects=objects)
    x = np.ones((1, 2, 4), "float32")
    answer = opened.predict(opened.signatures[0], {"x": x}, frozen={})
    np.testing.assert_allclose(answer["y"], [[2 * 3 * 8.0**3]])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_missing_custom_objects_are_all_named(keras, save, tmp_path, suffix):
    path, _ = _save_custom(keras, save, tmp_path, suffix)
    with pytest.raises(ServableError) as caught:
        _open(path)
    assert "Scale" in str(caught.value)
    assert "cube" in str(caught.value)
    assert "--custom-objects" in caught.value.advice


def test_a_wrong_name_lists_the_models_own(keras, save):
    i = keras.layers.Input((4,), name="x")
    opened = _open(save(keras.Model(i, keras.layers.Dense(2, name="y")(i))))
    with pytest.raises(SignatureError) as caught:
        opened.body.resolve_request(SignatureRequest(inputs={"a": "nope"}))
    assert "x (float32 [?, 4])" in caught.value.expected
    with pytest.raises(SignatureError, match="two keys"):
        opened.body.resolve_request(SignatureRequest(inputs={"a": "x", "b": "0"}))


def test_a_keras_model_has_no_switches(keras, save):
    i = keras.layers.Input((4,), name="x")
    opened = _open(save(keras.Model(i, keras.layers.Dense(2)(i))))
    with pytest.raises(SettingsError, match="no training switches"):
        opened.predict(opened.signatures[0], {"x": X}, frozen={"is_training": False})


def test_a_model_in_python_code_takes_its_shapes_from_the_file(keras, save, tmp_path):
    objects = tmp_path / "objects.py"
    objects.write_text(
        "def custom_objects(keras):\n"
        "    class Twice(keras.Model):\n"
        "        def call(self, pixels):\n"
        "            return {'twice': 2 * pixels, 'sum': pixels[:, 0] + pixels[:, 1]}\n"
        "    return {'Twice': Twice}\n"
    )
    namespace = {}
    exec(objects.read_text(), namespace)
    model = namespace["custom_objects"](keras)["Twice"]()
    model(X)
    opened = _open(save(model), custom_objects=objects)
    assert opened.body.inputs["pixels"].shape == (None, 4)
    assert opened.body.outputs["sum"].shape == (None,)
    answer = opened.predict(opened.signatures[0], {"pixels": X}, frozen={})
    np.testing.assert_allclose(answer["twice"], 2 * X)
    assert any("float32 is assumed" in note.message for note in opened.notes)


def test_what_one_keras_cannot_load_the_other_may(tmp_path):
    # A configuration of Keras 3 in a file that says Keras 2: tf_keras knows no DTypePolicy of that spelling.
    import keras

    i = keras.layers.Input((4,), name="x")
    path = tmp_path / "model.h5"
    keras.Model(i, keras.layers.Dense(2, name="y")(i)).save(path)
    with h5py.File(path, "a") as file:
        for group in (file, file["model_weights"]):
            if "keras_version" in group.attrs:
                group.attrs["keras_version"] = b"2.15.0"
    opened = _open(path)
    assert list(opened.body.outputs) == ["y"]
    assert any("tf_keras could not load this file" in note.message for note in opened.notes)


def test_operations_in_a_legacy_file_are_found(tmp_path):
    import keras

    i = keras.layers.Input((4, 2), name="x")
    path = tmp_path / "model.h5"
    keras.Model(i, keras.ops.mean(i, axis=1)).save(path)
    opened = _open(path)
    x = np.arange(16, dtype="float32").reshape(2, 4, 2)
    answer = opened.predict(opened.signatures[0], {"x": x}, frozen={})
    np.testing.assert_allclose(next(iter(answer.values())), x.mean(axis=1))
