"""The user's module, as TFX projects have one: a net that tells the sort of grapes from a wine's chemistry.

What passes through: TFX's Trainer calls `run_fn`, which learns from the Examples that CsvExampleGen wrote and
leaves what trainers leave, a checkpoint and a Keras file, and no SavedModel. CheckpointImporter is given this
file as `module`: `build_model` says what the checkpoint's weights belong to and what is served with them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Columns of the CSV files; the label and the bottle's number are no features.
FEATURES = (
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280_od315_of_diluted_wines",
    "proline",
)
LABEL = "cultivar"
BOTTLE = "bottle"

# Below `Format-Serving` of the Trainer's Model, where TFX wants everything that a module saves.
CHECKPOINT_DIR = "checkpoint"
KERAS_FILE = "wine.keras"
# In the Trainer's ModelRun.
RECORD_FILE = "record.npz"

_COLUMN = tf.io.FixedLenFeature([1], tf.float32)
_BATCH_SIZE = 16
_SEED = 20


def run_fn(fn_args: Any) -> None:
    """Trains, and saves a checkpoint, a Keras file, and the trainer's own answers to the held-out rows.

    Args:
        fn_args: `tfx.components.trainer.fn_args_utils.FnArgs`; `custom_config` names the `epochs`.
    """
    started_s = time.time()
    keras.utils.set_random_seed(_SEED)
    learnt, held_out = _read_rows(fn_args.train_files), _read_rows(fn_args.eval_files)
    net = build_net()
    net.compile(keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    epochs = fn_args.custom_config["epochs"]
    net.fit(_take_features(learnt), learnt[LABEL], batch_size=_BATCH_SIZE, epochs=epochs, verbose=0)

    model_dir = Path(fn_args.serving_model_dir)
    model_dir.mkdir(parents=True, exist_ok=True)
    net.save(model_dir / KERAS_FILE)
    checkpoint = tf.train.Checkpoint(net=net, optimizer=net.optimizer)
    tf.train.CheckpointManager(checkpoint, str(model_dir / CHECKPOINT_DIR), max_to_keep=1).save(
        checkpoint_number=int(net.optimizer.iterations.numpy())
    )
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    np.savez(
        run_dir / RECORD_FILE,
        bottles=held_out[BOTTLE].numpy().ravel(),
        labels=held_out[LABEL].numpy().ravel(),
        scores=net.predict(_take_features(held_out), verbose=0)["scores"],
        learnt=len(learnt[LABEL]),
        seconds=time.time() - started_s,
    )


def build_net() -> Any:
    """Builds the net: its first layer learns what is usual for each column.

    Returns:
        A Keras model from columns by name, each float32 [?, 1], to scores, float32 [?, 3], which sum to 1.
    """
    columns = {name: keras.Input((1,), name=name) for name in FEATURES}
    hidden = keras.layers.Concatenate()(list(columns.values()))
    hidden = keras.layers.BatchNormalization(momentum=0.9)(hidden)
    hidden = keras.layers.Dense(16, activation="relu")(hidden)
    hidden = keras.layers.Dropout(0.2)(hidden)
    scores = keras.layers.Dense(3, activation="softmax", name="scores")(hidden)
    return keras.Model(columns, {"scores": scores}, name="wine")


def build_model() -> Any:
    """Gives CheckpointImporter the code that the checkpoint's weights belong to.

    Returns:
        A `tf.Module`, which offers its functions with an `input_signature`: `serving_default` for serialized
        tf.Examples, string [?], as TFX's own components send them, and `score_columns` for other clients.
    """
    net = build_net()

    def score_examples(examples: Any) -> Any:
        return net(tf.io.parse_example(examples, dict.fromkeys(FEATURES, _COLUMN)), training=False)

    def score_columns(columns: Any) -> Any:
        return net(columns, training=False)

    server = tf.Module()
    server.net = net  # as it is called in the checkpoint
    whole = tf.TensorSpec([None], tf.string, name="examples")
    columns = {name: tf.TensorSpec([None, 1], tf.float32, name=name) for name in FEATURES}
    server.serving_default = tf.function(score_examples, input_signature=[whole])
    server.score_columns = tf.function(score_columns, input_signature=[columns])
    return server


def _read_rows(file_patterns: list[str]) -> dict[str, Any]:
    """Reads all rows of gzipped TFRecords, as CsvExampleGen writes them."""
    number = tf.io.FixedLenFeature([1], tf.int64)
    columns = {**dict.fromkeys(FEATURES, _COLUMN), LABEL: number, BOTTLE: number}
    paths = sorted(path for pattern in file_patterns for path in tf.io.gfile.glob(pattern))
    records = list(tf.data.TFRecordDataset(paths, compression_type="GZIP").as_numpy_iterator())
    return dict(tf.io.parse_example(records, columns))


def _take_features(rows: dict[str, Any]) -> dict[str, Any]:
    return {name: rows[name] for name in FEATURES}
