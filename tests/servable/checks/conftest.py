"""Small SavedModels, each right or wrong in one way, made once per session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FEATURES = 6


@pytest.fixture(scope="session")
def exported_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Name of a model to its SavedModel folder."""
    import tensorflow as tf

    root = tmp_path_factory.mktemp("exported")
    return {name: export(tf, root / name) for name, export in _EXPORTS.items()}


@pytest.fixture
def rows() -> np.ndarray:
    """float32 [4, 6], the identity's first rows: row i shows weight row i alone."""
    return np.eye(4, FEATURES, dtype=np.float32)


def make_weights() -> np.ndarray:
    """float32 [6, 3], all different and none of them small."""
    return (np.arange(FEATURES * 3, dtype=np.float32).reshape(FEATURES, 3) + 1.0) / 4.0


def _save(tf: Any, folder: Path, call: Callable[..., Any], *, weights: Any = None, spec: Any = None) -> Path:
    """Saves a module whose signature computes ``{"y": call(module, x)}``."""

    row_spec = tf.TensorSpec([None, FEATURES], tf.float32, "x")

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(make_weights() if weights is None else weights)

        @tf.function(autograph=False, input_signature=[spec or row_spec])
        def serve(self, x: Any) -> Any:
            return {"y": call(self, x)}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    return folder


def _export_right(tf: Any, folder: Path) -> Path:
    return _save(tf, folder, lambda m, x: tf.nn.softmax(x @ m.w))


def _export_dropout(tf: Any, folder: Path) -> Path:
    # A small share of small values: the difference must be found although each is below 1e-4.
    return _save(tf, folder, lambda m, x: 1e-6 * tf.nn.dropout(x @ m.w, rate=0.5))


def _export_dropout_switched_off(tf: Any, folder: Path) -> Path:
    training = tf.Variable(False)  # as a learning phase in a variable: the branch stays in the graph

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.training = tf.Variable(make_weights()), training

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, FEATURES], tf.float32, "x")])
        def serve(self, x: Any) -> Any:
            y = x @ self.w
            return {"y": tf.cond(self.training, lambda: tf.nn.dropout(y, rate=0.5), lambda: y)}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    return folder


def _export_stateless_dropout(tf: Any, folder: Path) -> Path:
    return _save(
        tf, folder, lambda m, x: tf.nn.experimental.stateless_dropout(x @ m.w, rate=0.5, seed=[1, 2])
    )


def _export_batch_norm_in_training(tf: Any, folder: Path) -> Path:
    def normalize(m: Any, x: Any) -> Any:
        y = (x @ m.w)[:, None, None, :]
        return tf.compat.v1.nn.fused_batch_norm(y, tf.ones([3]), tf.zeros([3]), is_training=True)[0][:, 0, 0]

    return _save(tf, folder, normalize)


def _export_batch_moments(tf: Any, folder: Path) -> Path:
    def normalize(m: Any, x: Any) -> Any:
        y = x @ m.w
        mean, variance = tf.nn.moments(y, axes=[0])
        return (y - mean) * tf.math.rsqrt(variance + 1e-3)

    return _save(tf, folder, normalize)


def _export_row_norm_fused(tf: Any, folder: Path) -> Path:
    """Layer normalization as tf_keras computes it: batch norm in training mode over each row alone."""

    def normalize(m: Any, x: Any) -> Any:
        y = x @ m.w
        rows = tf.shape(y)[0]
        image = tf.reshape(y, [1, rows, 3, 1])
        done, _, _ = tf.compat.v1.nn.fused_batch_norm(
            image, tf.ones([rows]), tf.zeros([rows]), data_format="NCHW", is_training=True
        )
        return tf.reshape(done, tf.shape(y))

    return _save(tf, folder, normalize)


def _export_nan_weight(tf: Any, folder: Path) -> Path:
    weights = make_weights()
    weights[4, 1] = np.nan
    weights[5, 2] = np.inf
    return _save(tf, folder, lambda m, x: tf.math.multiply_no_nan(x @ m.w, 0.0), weights=weights)


def _export_wrong_element(tf: Any, folder: Path) -> Path:
    weights = make_weights()
    weights[2, 1] += 1e-3
    return _save(tf, folder, lambda m, x: x @ m.w, weights=weights)


def _export_linear(tf: Any, folder: Path) -> Path:
    return _save(tf, folder, lambda m, x: x @ m.w)


def _export_python_in_branch(tf: Any, folder: Path) -> Path:
    def call(m: Any, x: Any) -> Any:
        y = x @ m.w
        risky = lambda: tf.reshape(tf.numpy_function(lambda a: a, [y], tf.float32), tf.shape(y))  # noqa: E731
        return tf.cond(tf.reduce_sum(x) > 1e9, risky, lambda: y)

    return _save(tf, folder, call)


def _export_file_in_branch(tf: Any, folder: Path) -> Path:
    def call(m: Any, x: Any) -> Any:
        y = x @ m.w
        read = lambda: y + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)  # noqa: E731
        return tf.cond(tf.reduce_sum(x) > 1e9, read, lambda: y)

    return _save(tf, folder, call)


def _export_vocabulary(tf: Any, folder: Path) -> Path:
    vocabulary = folder.parent / "words.txt"
    vocabulary.write_text("a\nword\n")

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            rows = tf.lookup.TextFileInitializer(
                str(vocabulary), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1
            )
            self.table = tf.lookup.StaticHashTable(rows, default_value=-1)

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, "words")])
        def serve(self, words: Any) -> Any:
            return {"id": self.table.lookup(words), "word": tf.strings.upper(words)}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    return folder


def _export_examples(tf: Any, folder: Path) -> Path:
    def parse(m: Any, serialized: Any) -> Any:
        features = {"x": tf.io.FixedLenFeature([FEATURES], tf.float32)}
        return tf.io.parse_example(serialized, features)["x"] @ m.w

    return _save(tf, folder, parse, spec=tf.TensorSpec([None], tf.string, "examples"))


def _export_packed_examples(tf: Any, folder: Path) -> Path:
    """Of what has to be unpacked first, no parser tells what it is."""

    def parse(m: Any, packed: Any) -> Any:
        features = {"x": tf.io.FixedLenFeature([FEATURES], tf.float32)}
        return tf.io.parse_example(tf.strings.regex_replace(packed, "^#", ""), features)["x"] @ m.w

    return _save(tf, folder, parse, spec=tf.TensorSpec([None], tf.string, "packed"))


def _export_examples_with_dropout(tf: Any, folder: Path) -> Path:
    def parse(m: Any, serialized: Any) -> Any:
        features = {"x": tf.io.FixedLenFeature([FEATURES], tf.float32)}
        return tf.nn.dropout(tf.io.parse_example(serialized, features)["x"] @ m.w, rate=0.5)

    return _save(tf, folder, parse, spec=tf.TensorSpec([None], tf.string, "examples"))


def _export_fixed_rows(tf: Any, folder: Path) -> Path:
    return _save(tf, folder, lambda m, x: x @ m.w, spec=tf.TensorSpec([2, FEATURES], tf.float32, "x"))


def _export_reshaped_to_batch(tf: Any, folder: Path) -> Path:
    return _save(tf, folder, lambda m, x: tf.reshape(x, [4, FEATURES]) @ m.w)


def _export_endless(tf: Any, folder: Path) -> Path:
    def spin(m: Any, x: Any) -> Any:
        return tf.while_loop(lambda y: tf.reduce_sum(y) < 1e30, lambda y: (y * 1.0,), (x @ m.w,))[0]

    return _save(tf, folder, spin)


def _export_greedy(tf: Any, folder: Path) -> Path:
    def fill(m: Any, x: Any) -> Any:
        big = tf.random.stateless_uniform([tf.shape(x)[0], 1 << 30], seed=[1, 2])
        return x @ m.w + tf.reduce_max(big)

    return _save(tf, folder, fill)


def _export_v1_switch(tf: Any, folder: Path) -> Path:
    """A graph of the TF1 kind whose keep_prob nobody feeds."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, FEATURES], "x")
        keep_prob = v1.placeholder_with_default(0.5, [], "keep_prob")
        w = v1.get_variable("w", initializer=make_weights(), use_resource=False)
        y = tf.identity(v1.nn.dropout(x @ w, rate=1.0 - keep_prob), "y")
        session.run(v1.global_variables_initializer())
        _save_v1(v1, session, folder, {"x": x}, {"y": y})
    return folder


def _export_v1_leftovers(tf: Any, folder: Path) -> Path:
    """A graph of the TF1 kind that carries its reader of input files along and counts requests."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, FEATURES], "x")
        tf.raw_ops.TFRecordReaderV2(name="reader")
        w = v1.get_variable("w", initializer=make_weights(), use_resource=False)
        counted = v1.assign_add(v1.get_variable("requests", initializer=0.0, use_resource=False), 1.0)
        y = tf.add(x @ w, 0.0 * counted, "y")
        session.run(v1.global_variables_initializer())
        _save_v1(v1, session, folder, {"x": x}, {"y": y})
    return folder


def _export_v1_unfed(tf: Any, folder: Path) -> Path:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, FEATURES], "x")
        scale = v1.placeholder(tf.float32, [], "scale")
        w = v1.get_variable("w", initializer=make_weights(), use_resource=False)
        y = tf.multiply(x @ w, scale, "y")
        session.run(v1.global_variables_initializer())
        _save_v1(v1, session, folder, {"x": x}, {"y": y})
    return folder


def _save_v1(v1: Any, session: Any, folder: Path, inputs: Any, outputs: Any) -> None:
    infos = v1.saved_model.build_tensor_info
    signature = v1.saved_model.build_signature_def(
        inputs={key: infos(tensor) for key, tensor in inputs.items()},
        outputs={key: infos(tensor) for key, tensor in outputs.items()},
        method_name="tensorflow/serving/predict",
    )
    builder = v1.saved_model.Builder(str(folder))
    builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map={"serving_default": signature})
    builder.save()


_EXPORTS: dict[str, Callable[[Any, Path], Path]] = {
    name.removeprefix("_export_"): function
    for name, function in list(globals().items())
    if name.startswith("_export_")
}
