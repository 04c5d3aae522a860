"""ROOM 1: the two Keras, and which of them the user's own code means by `tf.keras`.

What passes through: a `Loader` comes in, its module goes out. TensorFlow's `tf.keras` is Keras 3 today; code
that was written for a model of Keras 2 is run with `tf.keras` and `keras` being what they were then.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest import mock

from servable.errors import SettingsError
from servable.sources.keras_files.config import Loader

# What of tf_keras was never public under tf.keras.
_PRIVATE = ("tf_keras.src", "tf_keras.api", "tf_keras.protobuf")


def import_keras(loader: Loader) -> ModuleType:
    """Imports one of the two Keras.

    Raises:
        SettingsError: Keras runs on another backend.
    """
    keras = importlib.import_module(loader.value)
    if loader is Loader.KERAS and keras.backend.backend() != "tensorflow":
        raise SettingsError(
            "Keras runs on another backend than TensorFlow, which cannot make a SavedModel for serving.",
            expected="the backend tensorflow",
            received=keras.backend.backend(),
            where="KERAS_BACKEND or ~/.keras/keras.json",
            advice="export KERAS_BACKEND=tensorflow",
        )
    return keras


@contextmanager
def speak_keras(loader: Loader) -> Iterator[ModuleType]:
    """Makes `tf.keras`, `tensorflow.keras` and `keras` mean one Keras while its block runs.

    Args:
        loader: Which one. For Keras 3 nothing is changed.

    Yields:
        The Keras.
    """
    keras = import_keras(loader)
    if loader is Loader.KERAS:
        yield keras
        return
    import tensorflow as tf

    public = {
        name.removeprefix(loader.value): module
        for name, module in list(sys.modules.items())
        if (name == loader.value or name.startswith(f"{loader.value}.")) and not name.startswith(_PRIVATE)
    }
    aliases = {
        prefix + rest: module for rest, module in public.items() for prefix in ("keras", "tensorflow.keras")
    }
    before = {name: sys.modules.get(name) for name in aliases}
    # Only these names are put back: what the user's code imports besides stays imported.
    try:
        sys.modules.update(aliases)
        with mock.patch.object(tf, "keras", keras):
            yield keras
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def find_loader(model: object) -> Loader | None:
    """Says which Keras a live model belongs to; None when it is no Keras model."""
    for loader in Loader:
        # A model of a Keras that was never imported cannot be.
        keras = sys.modules.get(loader.value)
        if keras is not None and isinstance(model, keras.Model):
            return loader
    return None
