"""TF2 object checkpoints become live models: found by structure, matched both ways, and served."""

from pathlib import Path

import numpy as np
import pytest

from servable.convert import ConversionOptions, convert_source
from servable.errors import BrokenSourceError, SettingsError, SourceError, UnknownSourceError
from servable.export.exporting import export_servable, read_signatures
from servable.runtime.outcome import Call
from servable.runtime.session import run_calls
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
MODULES_DIR = Path(__file__).parents[2] / "data" / "modules"
X = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)


def _open(path, **kwargs):
    return open_source(path, SourceOptions(**kwargs))


def _predict(model, x=X, position=0):
    request = model.signatures[position]
    answer = model.predict(request, {next(iter(request.inputs)): x}, frozen={})
    return next(iter(answer.values()))


def _serve(model, out_dir, inputs):
    """Answers of every signature in the C++ runtime."""
    export_servable(model, model.signatures, out_dir)
    signatures = read_signatures(out_dir)
    calls = [
        Call(
            {spec.tensor: inputs[key] for key, spec in signature.inputs.items()},
            tuple(spec.tensor for spec in signature.outputs.values()),
        )
        for signature in signatures.values()
    ]
    outcome = run_calls(out_dir, calls)
    assert outcome.load_fault is None
    return {
        name: dict(zip(signature.outputs, (result.outputs[tensor] for tensor in call.fetches), strict=True))
        for (name, signature), call, result in zip(signatures.items(), calls, outcome.results, strict=True)
    }


@pytest.mark.zoo("tf2.*-obj_*")
def test_answers_are_those_of_the_runtime_that_wrote_the_checkpoint(zoo, case_name, tmp_path):
    case = zoo(case_name)
    options = (
        {"architecture": case.folder / case.facts["architecture"]}
        if "architecture" in case.facts
        else {"module": MODULES_DIR / "dense_module.py"}
    )
    # A manager's folder stands for its latest checkpoint.
    model = _open(case.source.parent if "manager" in case_name else case.source, **options)
    inputs, outputs = case.read_arrays("inputs"), case.read_arrays("outputs")
    assert set(model.body.inputs) == set(inputs)
    answer = model.predict(model.signatures[0], inputs, frozen={})
    served = _serve(model, tmp_path / "1", inputs)["serving_default"]
    # Runtimes name an output after its layer or by its number.
    for found, served_key, expected in zip(answer.values(), served, outputs.values(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(served[served_key], expected, rtol=1e-5, atol=1e-5)
    assert any("restored" in note.message for note in model.notes)


def test_a_checkpoint_alone_names_its_variables_and_the_next_command(zoo):
    with pytest.raises(UnknownSourceError, match="no model") as caught:
        _open(zoo("tf2.3-obj_module-a").source)
    assert "layers/0/w float32 [5, 4]" in caught.value.received
    assert "OUT_DIR --module FILE.py" in caught.value.advice
    with pytest.raises(UnknownSourceError) as caught:
        _open(zoo("tf2.3-obj_ckpt-a").source)
    assert "slot 'model' with layer_with_weights-0/kernel float32 [8, 6]" in caught.value.received
    assert "model.json" in caught.value.advice


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request):
    return pytest.importorskip(request.param)


def _make_dense(keras, sizes=(4, 3, 2), seed=0):
    layers = [keras.layers.Dense(size, name=f"d{size}") for size in sizes[1:]]
    model = keras.Sequential([keras.layers.Input((sizes[0],), name="x"), *layers])
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(-1, 1, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture
def write(tmp_path):
    def write(text, name="net.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_of_two_nets_the_one_that_fits_is_taken(tf, keras, tmp_path, write):
    generator, discriminator = _make_dense(keras, (4, 3, 2)), _make_dense(keras, (2, 3, 1))
    prefix = tf.train.Checkpoint(generator=generator, discriminator=discriminator).save(tmp_path / "gan")
    model = _open(Path(prefix), architecture=write(generator.to_json(), "g.json"))
    np.testing.assert_allclose(_predict(model), np.array(generator(X)), rtol=1e-5)
    (note,) = [note.message for note in model.notes if "restored" in note.message]
    assert "slot 'generator'" in note
    assert "discriminator" in note


def test_two_nets_alike_have_to_be_named(tf, keras, tmp_path, write):
    student, teacher = _make_dense(keras, seed=1), _make_dense(keras, seed=2)
    prefix = Path(tf.train.Checkpoint(student=student, teacher=teacher).save(tmp_path / "pair"))
    with pytest.raises(UnknownSourceError, match="several objects") as caught:
        _open(prefix, architecture=write(student.to_json(), "s.json"))
    assert "'student'" in caught.value.expected
    assert "'teacher'" in caught.value.expected
    module = write(
        f"import {keras.__name__} as keras\ndef build_model():\n    layers = keras.layers\n"
        "    return {'teacher': keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(2)])}\n"
    )
    np.testing.assert_allclose(_predict(_open(prefix, module=module)), np.array(teacher(X)), rtol=1e-5)


def test_what_does_not_fit_is_listed_both_ways(tf, keras, tmp_path, write):
    prefix = Path(tf.train.Checkpoint(model=_make_dense(keras)).save(tmp_path / "ck"))
    with pytest.raises(BrokenSourceError, match="don't fit") as caught:
        _open(prefix, architecture=write(_make_dense(keras, (4, 5, 2)).to_json(), "a.json"))
    assert "float32 [4, 5] in the model, float32 [4, 3] stored" in caught.value.received
    with pytest.raises(BrokenSourceError) as caught:
        _open(prefix, architecture=write(_make_dense(keras, (4, 3, 2, 6)).to_json(), "b.json"))
    assert caught.value.received.count("only in the model: ") == 2
    with pytest.raises(BrokenSourceError) as caught:
        _open(prefix, architecture=write(_make_dense(keras, (4, 3)).to_json(), "c.json"))
    assert caught.value.received.count("only in the checkpoint: ") == 2


def test_a_net_called_generator_is_no_seed(tf, tmp_path, write):
    text = (
        "import tensorflow as tf\n"
        "class Net(tf.Module):\n"
        "    def __init__(self, bias=True):\n"
        "        super().__init__()\n"
        "        self.generator = tf.Module()\n"
        "        self.generator.w = tf.Variable(tf.ones([4, 2]))\n"
        "        if bias:\n"
        "            self.generator.b = tf.Variable(tf.ones([2]))\n"
        "    @tf.function(input_signature=[tf.TensorSpec([None, 4])])\n"
        "    def __call__(self, x):\n"
        "        return x @ self.generator.w\n"
        "def build_model():\n"
        "    return Net()\n"
    )
    namespace = {}
    exec(text, namespace)
    prefix = Path(tf.train.Checkpoint(net=namespace["Net"](bias=False)).save(tmp_path / "ck"))
    with pytest.raises(BrokenSourceError) as caught:
        _open(prefix, module=write(text))
    assert "only in the model: generator/b float32 [2]" in caught.value.received


def test_a_net_that_is_not_there_says_which_are(tf, tmp_path, write):
    prefix = Path(tf.train.Checkpoint(model=tf.Module()).save(tmp_path / "empty"))
    keras = pytest.importorskip("keras")
    with pytest.raises(BrokenSourceError, match="lies nowhere"):
        _open(prefix, architecture=write(_make_dense(keras).to_json(), "a.json"))


def test_a_model_deep_inside_is_found_when_nothing_else_is_there(tf, keras, tmp_path, write):
    model = _make_dense(keras)
    trainer = tf.Module()
    trainer.net = model
    prefix = Path(tf.train.Checkpoint(trainer=trainer, step=tf.Variable(3)).save(tmp_path / "ck"))
    opened = _open(prefix, architecture=write(model.to_json(), "m.json"))
    np.testing.assert_allclose(_predict(opened), np.array(model(X)), rtol=1e-5)
    # A part of a model is not taken for the model.
    trainer.other = tf.Variable([1.0, 2.0])
    prefix = Path(tf.train.Checkpoint(trainer=trainer).save(tmp_path / "more"))
    with pytest.raises(BrokenSourceError, match="don't fit") as caught:
        _open(prefix, architecture=write(model.to_json(), "m.json"))
    assert "only in the checkpoint: trainer/other float32 [2]" in caught.value.received
    assert "{'trainer/net': model}" in caught.value.advice
    module = write(
        f"import {keras.__name__} as keras\ndef build_model():\n    layers = keras.layers\n"
        "    net = keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(2)])\n"
        "    return {'trainer/net': net}\n"
    )
    np.testing.assert_allclose(_predict(_open(prefix, module=module)), np.array(model(X)), rtol=1e-5)


def test_dropout_and_normalization_come_along(tf, keras, tmp_path, write):
    i = keras.layers.Input((4,), name="x")
    normalize = keras.layers.Normalization(name="norm")
    normalize.adapt(X)
    model = keras.Model(i, keras.layers.Dropout(0.5)(normalize(i)))
    prefix = tf.train.Checkpoint(model=model).save(tmp_path / "ck")
    opened = _open(Path(prefix), architecture=write(model.to_json(), "m.json"))
    np.testing.assert_allclose(_predict(opened), (X - X.mean(axis=0)) / X.std(axis=0), rtol=1e-4, atol=1e-5)


def test_a_vocabulary_that_nothing_carries_is_told(tf, keras, tmp_path, write):
    layers = keras.layers
    lookup = layers.StringLookup(name="lookup")
    lookup.adapt(np.array([["b"], ["a"], ["b"]]))
    s = layers.Input((1,), dtype="string", name="s")
    model = keras.Model(s, layers.Dense(2, name="y")(layers.Flatten()(layers.Embedding(3, 4)(lookup(s)))))
    prefix = Path(tf.train.Checkpoint(model=model).save(tmp_path / "ck"))
    model.save_weights(str(tmp_path / "w.weights.h5"))
    for path in (prefix, tmp_path / "w.weights.h5"):
        with pytest.raises(BrokenSourceError, match="vocabulary of lookup layers") as caught:
            _open(path, architecture=write(model.to_json(), "m.json"))
        assert "lookup" in caught.value.expected
    if keras.__name__ == "tf_keras":
        return  # There a layer that is given its vocabulary counts as one without weights.
    # A vocabulary in the structure is enough.
    text = model.to_json().replace('"vocabulary": null', '"vocabulary": ["b", "a"]')
    opened = _open(prefix, architecture=write(text, "m.json"))
    words = np.array([["a"], ["b"], ["zzz"]], dtype=object)
    expected = np.array(model(tf.constant(words.astype(str))))
    np.testing.assert_allclose(_predict(opened, words), expected, rtol=1e-5, atol=1e-6)


SUBCLASSED = """
import tensorflow as tf

INPUTS = {"x": tf.TensorSpec([None, 4], tf.float32)}


class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = tf.keras.layers.Dense(3, activation="tanh")
        self.norm = tf.keras.layers.BatchNormalization()
        self.first, self.second = tf.keras.layers.Dense(2), tf.keras.layers.Dense(1)

    def call(self, x, training=False):
        h = self.norm(self.hidden(x), training=training)
        return {"a": self.first(h), "b": self.second(h)}


def build_model():
    return Net()
"""


@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_a_model_in_python_code_of_either_keras(tf, name, tmp_path, write, monkeypatch):
    import importlib

    code = write(SUBCLASSED)
    namespace = {}
    monkeypatch.setattr(tf, "keras", importlib.import_module(name))
    exec(SUBCLASSED, namespace)
    model = namespace["build_model"]()
    monkeypatch.undo()
    expected = {key: np.array(value) for key, value in model(tf.constant(X)).items()}
    prefix = Path(tf.train.Checkpoint(net=model, step=tf.Variable(1)).save(tmp_path / "ck"))
    opened = _open(prefix, module=code)
    assert type(opened.body.trackable).__mro__[1].__module__.split(".")[0] == name
    served = _serve(opened, tmp_path / "1", {"x": X})["serving_default"]
    for key, value in expected.items():
        np.testing.assert_allclose(served[key], value, rtol=1e-5, atol=1e-6)


def test_variables_that_no_checkpoint_reaches_are_told(tf, tmp_path, write):
    code = (
        "import keras\nimport tensorflow as tf\nINPUTS = {'x': tf.TensorSpec([None, 4])}\n"
        "class Net(keras.Model):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.hidden, self.heads = keras.layers.Dense(3), [keras.layers.Dense(2)]\n"
        "    def call(self, x):\n"
        "        return self.heads[0](self.hidden(x))\n"
        "def build_model():\n"
        "    return Net()\n"
    )
    namespace = {}
    exec(code, namespace)
    model = namespace["build_model"]()
    model(X)
    prefix = Path(tf.train.Checkpoint(model=model).save(tmp_path / "ck"))
    with pytest.raises(BrokenSourceError, match="don't fit") as caught:
        _open(prefix, module=write(code))
    assert "float32 [3, 2]" in caught.value.received
    assert "save_weights" in caught.value.advice


MODULE = """
import tensorflow as tf


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = None

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def __call__(self, x):
        if self.w is None:
            self.w = tf.Variable(tf.zeros([4, 2]), name="w")
        return x @ self.w

    @tf.function(input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([], tf.float32)])
    def scaled(self, rows, by):
        return {"scores": by * self(rows), "best": tf.argmax(self(rows), axis=1)}

    @tf.function
    def undeclared(self, x):
        return x


def build_model():
    return Net()
"""


def test_each_function_of_a_module_is_a_signature(tf, tmp_path, write):
    code = write(MODULE)
    namespace = {}
    exec(MODULE, namespace)
    net = namespace["build_model"]()
    net(tf.constant(X))
    w = np.arange(8, dtype="float32").reshape(4, 2)
    net.w.assign(w)
    opened = _open(Path(tf.train.Checkpoint(net).save(tmp_path / "ck")), module=code)
    assert [request.name for request in opened.signatures] == ["serving_default", "scaled"]
    np.testing.assert_allclose(_predict(opened), X @ w, rtol=1e-5)
    inputs = {"rows": X, "by": np.float32(3)}
    answer = opened.predict(opened.signatures[1], inputs, frozen={})
    np.testing.assert_allclose(answer["scores"], 3 * X @ w, rtol=1e-5)
    served = _serve(opened, tmp_path / "1", {"x": X, **inputs})
    np.testing.assert_allclose(served["serving_default"]["output_0"], X @ w, rtol=1e-5)
    np.testing.assert_allclose(served["scaled"]["scores"], 3 * X @ w, rtol=1e-5)
    np.testing.assert_array_equal(served["scaled"]["best"], (X @ w).argmax(axis=1))


PARSING = """
import tensorflow as tf


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.ones([4, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def __call__(self, examples):
        return tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([4], tf.float32)})["x"] @ self.w


def build_model():
    return Net()
"""


def test_inputs_that_a_model_refuses_are_told(tf, tmp_path, write):
    namespace = {}
    exec(PARSING, namespace)
    prefix = Path(tf.train.Checkpoint(namespace["build_model"]()).save(tmp_path / "ck"))
    opened = _open(prefix, module=write(PARSING))
    with pytest.raises(SourceError, match="could not be run on these inputs") as caught:
        _predict(opened, np.array([b"no example"], dtype=object))
    assert caught.value.received == "Could not parse example input, value: 'no example'"


def test_a_parser_of_examples_gets_a_baseline_of_made_up_ones(tf, tmp_path, write):
    namespace = {}
    exec(PARSING, namespace)
    prefix = Path(tf.train.Checkpoint(namespace["build_model"]()).save(tmp_path / "ck"))
    options = ConversionOptions(source=SourceOptions(module=write(PARSING)))
    conversion = convert_source(prefix, tmp_path / "1", options)
    (sample,) = conversion.baseline.samples.values()
    rows = tf.io.parse_example(
        sample.inputs["examples"].tolist(), {"x": tf.io.FixedLenFeature([4], tf.float32)}
    )["x"]
    # All weights are ones.
    expected = np.repeat(rows.numpy().sum(axis=1, keepdims=True), 2, axis=1)
    np.testing.assert_allclose(sample.outputs["output_0"], expected, rtol=1e-5)


PLAIN = """
import tensorflow as tf


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.ones([4, 2]))

    def __call__(self, x):
        return x @ self.w


def build_model():
    return Net()
"""


def test_a_plain_call_takes_what_the_file_says(tf, tmp_path, write):
    namespace = {}
    exec(PLAIN, namespace)
    net = namespace["build_model"]()
    net.w.assign(np.arange(8, dtype="float32").reshape(4, 2))
    prefix = Path(tf.train.Checkpoint(net=net).save(tmp_path / "ck"))
    with pytest.raises(SettingsError, match="Nothing says what the module") as caught:
        _open(prefix, module=write(PLAIN))
    assert "input_signature" in caught.value.expected
    assert "INPUTS = " in caught.value.expected
    opened = _open(prefix, module=write(PLAIN + "INPUTS = {'rows': tf.TensorSpec([None, 4])}\n"))
    assert list(opened.body.inputs) == ["rows"]
    np.testing.assert_allclose(_predict(opened), X @ net.w.numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def build_model(): return 3\n", "does not return a model"),
        ("def build(): pass\n", "no function build_model"),
        ("def build_model(): 1 / 0\n", "failed"),
        ("import tensorflow as tf\nINPUTS = [1]\ndef build_model(): return tf.Module()\n", "INPUTS"),
    ],
)
def test_code_that_cannot_be_used_says_why(zoo, write, text, said):
    with pytest.raises(SettingsError, match=said) as caught:
        _open(zoo("tf2.3-obj_module-a").source, module=write(text))
    assert "net.py" in caught.value.where


def test_requests_by_position_work(zoo):
    case = zoo("tf2.3-obj_module-a")
    model = _open(case.source, module=MODULES_DIR / "dense_module.py")
    request = SignatureRequest(inputs={"rows": "0"}, outputs={"scores": "0"})
    answer = model.predict(request, {"rows": case.read_arrays("inputs")["x"]}, frozen={})
    np.testing.assert_allclose(
        answer["scores"], case.read_arrays("outputs")["output_0"], rtol=1e-5, atol=1e-5
    )
