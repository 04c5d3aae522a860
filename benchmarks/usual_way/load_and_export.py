"""The usual way with a Keras file: `load_model`, then `export`.

What passes through: an `.h5` or `.keras` file goes in, a SavedModel comes out.
"""

from __future__ import annotations

import sys

import keras
import tensorflow as tf  # noqa: F401 - what Keras runs on


def load_and_export(path: str, out_dir: str) -> None:
    """Converts one file.

    Args:
        path: The model as Keras saved it.
        out_dir: Folder for the SavedModel; must not exist.
    """
    model = keras.models.load_model(path, compile=False)
    model.export(out_dir, verbose=False)


if __name__ == "__main__":
    load_and_export(sys.argv[1], sys.argv[2])
