"""Small trained models and the settings that push them, for the tests of the pipelines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


def save_checkpoint(directory: Path, weights: np.ndarray) -> Path:
    """Trains nothing, but saves as a TF1 project does: placeholder x, y = x @ w + b, step 7."""
    import tensorflow as tf

    directory.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 3], name="x")
        w = tf.compat.v1.get_variable("w", initializer=weights, use_resource=False)
        b = tf.compat.v1.get_variable("b", initializer=np.array([0.5, -0.5], np.float32), use_resource=False)
        tf.add(tf.matmul(x, w), b, name="y")
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        return Path(saver.save(session, str(directory / "model.ckpt"), global_step=7))


def save_keras_file(path: Path) -> Path:
    """Saves a Keras 3 archive: one dense layer, 3 numbers to 2."""
    import keras

    path.parent.mkdir(parents=True, exist_ok=True)
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(2, name="y")(inputs))
    model.save(path)
    return path


@pytest.fixture(scope="session")
def checkpoint_saver() -> Callable[[Path, np.ndarray], Path]:
    return save_checkpoint


@pytest.fixture(scope="session")
def keras_saver() -> Callable[[Path], Path]:
    return save_keras_file


@pytest.fixture(scope="session")
def settings_writer() -> Callable[[Path], Path]:
    """Writes settings with one TF1 model and one Keras model below a folder."""

    def write(folder: Path) -> Path:
        path = folder / "settings.yaml"
        path.write_text(
            """
pipeline: {name: two_models, root: pipeline, metadata: metadata.sqlite}
models:
  - name: linear_tf1
    kind: checkpoint
    source: training
    signatures:
      predict_rows: {inputs: {rows: "x:0"}, outputs: {scores: "y:0"}}
    target: kserve
    push: pushed
  - name: dense_keras
    source: model.keras
    push: pushed
"""
        )
        return path

    return write
