"""Models that take serialized tf.Examples, as TFX sends them: of a checkpoint with code, of a Keras file."""

from types import SimpleNamespace

import numpy as np
import pytest

from examples.stock_tfx.data import load_bottles, write_samples
from examples.stock_tfx.places import USER_MODULE
from servable.convert import ConversionOptions, check_conversion, convert_source
from servable.formats.protos import Example
from servable.sources.options import SourceOptions

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        # Raised inside Keras 3.
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    ),
]

# A layer of the user's own, in the file behind custom_objects.
PARSING_LAYER = """
import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("stock_tests")
class ParseExamples(keras.layers.Layer):
    def __init__(self, features, **kwargs):
        super().__init__(**kwargs)
        self.features = list(features)

    def call(self, examples):
        columns = {name: tf.io.FixedLenFeature([1], tf.float32) for name in self.features}
        return tf.io.parse_example(examples, columns)

    def compute_output_spec(self, examples):
        return {name: keras.KerasTensor((None, 1), "float32") for name in self.features}

    def get_config(self):
        return {**super().get_config(), "features": self.features}
"""


@pytest.fixture(scope="module")
def users():
    """The user's module, as Trainer imports it."""
    from servable.sources.user_code.running import run_user_file

    return run_user_file(USER_MODULE, "--module")


@pytest.fixture(scope="module")
def trained(users, tmp_path_factory):
    """Calls `run_fn` as Trainer does, on rows of the real bottles: 30 to learn from, 12 held out."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("trained")
    bottles = load_bottles()
    for split, rows in (("train", range(30)), ("eval", range(30, 42))):
        (folder / f"Split-{split}").mkdir()
        with tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "rows.gz"), "GZIP") as writer:
            for row in rows:
                example = write_example(bottles.features, bottles.rows[row])
                example.features.feature["bottle"].int64_list.value.append(row)
                example.features.feature["cultivar"].int64_list.value.append(int(bottles.labels[row]))
                writer.write(example.SerializeToString())
    users.run_fn(
        SimpleNamespace(
            train_files=[str(folder / "Split-train" / "*")],
            eval_files=[str(folder / "Split-eval" / "*")],
            serving_model_dir=str(folder / "model" / "Format-Serving"),
            model_run_dir=str(folder / "run"),
            custom_config={"epochs": 2},
        )
    )
    return folder


def write_example(names, values):
    example = Example()
    for name, value in zip(names, values, strict=True):
        example.features.feature[name].float_list.value.append(value)
    return example


def test_users_module_names_the_columns_that_are_delivered(users):
    assert load_bottles().features == users.FEATURES


def test_trainer_leaves_both_files_and_its_answers(trained):
    from examples.stock_tfx.answers import load_record

    left = {path.name for path in (trained / "model" / "Format-Serving").iterdir()}
    assert left == {"checkpoint", "wine.keras"}
    record = load_record(trained / "run")
    assert (record.bottles.tolist(), record.learnt) == (list(range(30, 42)), 30)
    np.testing.assert_allclose(record.scores.sum(-1), 1, rtol=1e-6)


def test_checkpoint_and_module_take_examples_and_columns(trained, tmp_path):
    write_samples(tmp_path / "samples.npz")
    conversion = convert_source(
        trained / "model" / "Format-Serving" / "checkpoint",
        tmp_path / "1",
        ConversionOptions(source=SourceOptions(module=USER_MODULE), inputs=tmp_path / "samples.npz"),
    )
    assert str(conversion.signatures["serving_default"].inputs["examples"]) == "string [?]"
    assert len(conversion.signatures["score_columns"].inputs) == 13
    # Both answer to the same bottles, so that the one can be held against the other.
    by_example, by_column = (
        conversion.baseline.samples[name].outputs["scores"] for name in conversion.signatures
    )
    np.testing.assert_allclose(by_example, by_column, atol=1e-6)
    report = check_conversion(conversion)
    assert report.passed
    assert report.findings == ()


def test_keras_file_with_a_parsing_layer_takes_examples(tmp_path):
    import keras

    from servable.sources.user_code.running import run_user_file

    (tmp_path / "layers.py").write_text(PARSING_LAYER)
    layers = run_user_file(tmp_path / "layers.py", "--custom-objects")
    examples = keras.Input((), dtype="string", name="examples")
    columns = layers.ParseExamples(["x1", "x2"])(examples)
    last = keras.layers.Dense(1, name="y")
    model = keras.Model(examples, last(keras.layers.Concatenate()([columns["x1"], columns["x2"]])))
    last.set_weights([np.array([[2.0], [-1.0]]), np.array([1.0])])
    model.save(tmp_path / "line.keras")
    rows = [(1.0, 2.0), (3.0, 0.5)]
    texts = [write_example(("x1", "x2"), row).SerializeToString() for row in rows]
    np.savez(tmp_path / "inputs.npz", examples=np.array(texts))

    conversion = convert_source(
        tmp_path / "line.keras",
        tmp_path / "1",
        ConversionOptions(
            source=SourceOptions(custom_objects=tmp_path / "layers.py"), inputs=tmp_path / "inputs.npz"
        ),
    )
    (sample,) = conversion.baseline.samples.values()
    (answers,) = sample.outputs.values()
    assert answers.ravel().tolist() == [2 * x1 - x2 + 1 for x1, x2 in rows]
    assert check_conversion(conversion).passed
