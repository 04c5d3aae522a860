"""SavedModels that TensorFlow 2 and both Kerases write: functions, tables, assets, control flow."""

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


def make_control_flow(making, tf, root):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(np.arange(16, dtype=np.float32).reshape(4, 4) / 10)
            self.unused = tf.Variable(np.ones(100, np.float32))

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
        def loop(self, x):
            y = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.tanh(y @ self.w)), (0, x))[1]
            high = tf.cond(tf.reduce_sum(x) > 0, lambda: y + self.w[0], lambda: y - self.w[1])
            mapped = tf.map_fn(lambda row: row * self.w[2], x)
            return {"y": high, "mapped": mapped}

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
        def case(self, x):
            kind = tf.cast(tf.shape(x)[0], tf.int32) % 3
            return {"z": tf.switch_case(kind, [lambda: x @ self.w, lambda: x, lambda: -x])}

    module = Module()
    signatures = {"loop": module.loop, "case": module.case}
    return making.save(tf, module, root, signatures, {"loop": {"x": making.rows}, "case": {"x": making.rows}})


def make_tables_from_files(making, tf, root):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            # Two files of the same name, and one that no signature needs.
            files = ("a/vocab.txt", "cat dog"), ("b/vocab.txt", "dog bird cat"), ("c/spare.txt", "x y")
            paths = [making.write_words(root / name, words) for name, words in files]
            self.words, self.others, self.spare = (making.read_table(tf, path, -1) for path in paths)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
        def serve(self, words):
            return {"a": self.words.lookup(words), "b": self.others.lookup(words)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
        def spare_only(self, words):
            return self.spare.lookup(words)

    module, ask = Module(), {"words": making.words}
    made = making.save(tf, module, root, {"serving_default": module.serve}, {"serving_default": ask})
    for folder in "abc":
        for path in (root / folder).iterdir():
            path.unlink()
    return made


def make_saved_again(making, tf, root):
    """What has been loaded and saved again creates its tables in functions."""
    first = make_tables_from_files(making, tf, root / "first")
    loaded = tf.saved_model.load(str(first.folder))
    return making.save(tf, loaded, root, loaded.signatures, {"serving_default": {"words": making.words}})


def make_learnt_tables(making, tf, root):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable([1.0, 2.0, 3.0, 4.0])
            self.counts = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
            self.dense = tf.lookup.experimental.DenseHashTable(tf.int64, tf.float32, -1.0, -7, -8)
            self.unused = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
            self.counts.insert(tf.constant([b"cat", b"dog"]), tf.constant([11, 22], tf.int64))
            self.dense.insert(tf.constant([11, 22], tf.int64), tf.constant([1.5, 2.5]))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
        def serve(self, words):
            counts = self.counts.lookup(words)
            return {"count": counts, "weight": self.dense.lookup(counts) * self.w[1]}

    module, ask = Module(), {"words": making.words}
    return making.save(tf, module, root, {"serving_default": module.serve}, {"serving_default": ask})


def make_learnt_tables_saved_again(making, tf, root):
    first = make_learnt_tables(making, tf, root / "first")
    loaded = tf.saved_model.load(str(first.folder))
    made = making.save(tf, loaded, root, loaded.signatures, {"serving_default": {"words": making.words}})
    assert made.answers["serving_default"][1]["count"].tolist() == [11, 22, 0]
    return made


def make_only_a_learnt_table(making, tf, root):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.counts = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
            self.counts.insert(tf.constant([b"cat", b"dog"]), tf.constant([11, 22], tf.int64))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
        def serve(self, words):
            return {"count": self.counts.lookup(words)}

    module, ask = Module(), {"words": making.words}
    return making.save(tf, module, root, {"serving_default": module.serve}, {"serving_default": ask})


def make_old_keras(making, tf, root):
    import tf_keras

    words = tf_keras.Input([1], dtype="string", name="word")
    numbers = tf_keras.Input([5, 4], name="numbers")
    ids = tf_keras.layers.StringLookup(vocabulary=["cat", "dog"])(words)
    embedded = tf_keras.layers.Flatten()(tf_keras.layers.Embedding(4, 3)(ids))
    states = tf_keras.layers.LSTM(3)(tf_keras.layers.BatchNormalization()(numbers))
    gru = tf_keras.layers.Bidirectional(tf_keras.layers.GRU(2))(numbers)
    joined = tf_keras.layers.Concatenate()([embedded, states, gru])
    model = tf_keras.Model([words, numbers], tf_keras.layers.Dense(2, activation="softmax", name="p")(joined))
    model.compile("adam", "mse")
    folder = root / "saved"
    model.save(str(folder), save_format="tf")
    request = {
        "word": [[word] for word in making.words],
        "numbers": np.stack([np.tile(row, (5, 1)) for row in making.rows]),
    }
    return making.ask(tf, tf.saved_model.load(str(folder)), folder, {"serving_default": request})


def make_keras_export(making, tf, root):
    import keras

    path = making.write_words(root / "vocab" / "words.txt", "cat dog bird")
    text = keras.Input([1], dtype="string", name="text")
    ids = keras.layers.StringLookup(vocabulary=path)(text)
    split = keras.layers.TextVectorization(vocabulary=["red", "cat", "dog"], output_sequence_length=4)(text)
    joined = keras.layers.Concatenate()(
        [keras.layers.Flatten()(keras.layers.Embedding(5, 2)(x)) for x in (ids, split)]
    )
    model = keras.Model(text, keras.layers.Dense(3, name="scores")(joined))
    folder = root / "saved"
    model.export(str(folder), verbose=False)
    loaded = tf.saved_model.load(str(folder))
    texts = [[b"cat"], [b"a red dog"], [b"bird"]]
    (key,) = loaded.signatures["serving_default"].structured_input_signature[1]
    made = making.ask(tf, loaded, folder, {name: {key: texts} for name in ("serving_default", "serve")})
    Path(path).unlink()
    return made


def make_asset_path(making, tf, root):
    """A tracked asset, whose path TF2 hands to the table in a variable."""

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.file = tf.saved_model.Asset(making.write_words(root / "in" / "labels.txt", "cat dog"))
            self.table = making.read_table(tf, self.file.asset_path, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
        def serve(self, words):
            return {"id": self.table.lookup(words)}

    module, ask = Module(), {"words": making.words}
    made = making.save(tf, module, root, {"serving_default": module.serve}, {"serving_default": ask})
    (root / "in" / "labels.txt").unlink()
    return made


MAKERS = (
    make_control_flow,
    make_tables_from_files,
    make_saved_again,
    make_learnt_tables,
    make_learnt_tables_saved_again,
    make_only_a_learnt_table,
    make_old_keras,
    make_keras_export,
    make_asset_path,
)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__.removeprefix("make_"))
def test_answers_stay_the_same(make, making, tmp_path):
    import tensorflow as tf

    making.require_same_answers(make(making, tf, tmp_path / "made"), tmp_path)
