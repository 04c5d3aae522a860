"""Makes the Keras files that `performance.py` converts: dense layers of 9 MB each, as many as asked for.

What passes through: a size goes in, `model.keras` and `model.h5` of the same weights come out. Run in a
process of its own: python -m benchmarks.performance_files --megabytes 100 --out DIR
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

ARCHIVE_NAME = "model.keras"
HDF5_NAME = "model.h5"

# 9 MB in each layer, as in the largest of ResNet50, whose weights take 100 MB.
_UNITS = 1500
_FLOAT_BYTES = 4
_SMALL_UNITS = 64


def make_files(out_dir: Path, *, megabytes: float) -> None:
    """Makes both files.

    Args:
        out_dir: Folder for them; made when missing.
        megabytes: Size of each in 10^6 bytes, met to within half a layer; below one layer, a small model.
    """
    import keras

    out_dir.mkdir(parents=True, exist_ok=True)
    layers = round(megabytes * 1e6 / (_UNITS * _UNITS * _FLOAT_BYTES))
    units = _UNITS if layers else _SMALL_UNITS
    rows = keras.Input(shape=(units,), name="rows")
    hidden = rows
    for number in range(max(layers, 1)):
        hidden = keras.layers.Dense(units, activation="tanh", name=f"layer{number}")(hidden)
    model = keras.Model(rows, keras.layers.Dense(10, activation="softmax", name="scores")(hidden))
    model.save(str(out_dir / ARCHIVE_NAME))
    with warnings.catch_warnings():
        # absl's logger says that HDF5 is the format of old: such files are what is converted.
        warnings.simplefilter("ignore")
        model.save(str(out_dir / HDF5_NAME))


def main() -> int:
    """Makes both files from the command line."""
    parser = argparse.ArgumentParser(description="Make an .h5 and a .keras file of one model.")
    parser.add_argument("--megabytes", type=float, required=True, help="size of each in 10^6 bytes")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    options = parser.parse_args()
    make_files(options.out, megabytes=options.megabytes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
