"""The bottles: 178 real wines of three sorts of grapes that come with scikit-learn, as CSV files.

What passes through: a deliveries' number comes in; `delivery-1.csv`, `delivery-2.csv` go out, which
CsvExampleGen reads, and a few bottles as serialized tf.Examples, on which conversions compare. Nothing is
downloaded. No TensorFlow here.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from servable.formats.protos import Example

LABEL = "cultivar"
BOTTLE = "bottle"
FIRST_DELIVERY = 110

_SAMPLE_ROWS = 8
_SEED = 20


@dataclass(frozen=True, slots=True)
class Bottles:
    """Wines in an order that has been shuffled once and for all.

    Attributes:
        features: Names of the columns.
        rows: float64 [178, 13], as measured, each column in its own unit.
        labels: int64 [178], 0 to 2, the sort of grapes.
    """

    features: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray


def load_bottles() -> Bottles:
    """Loads all wines; a bottle's number is its place in this order."""
    from sklearn.datasets import load_wine

    wines = load_wine()
    order = np.random.default_rng(_SEED).permutation(len(wines.target))
    names = tuple(re.sub(r"\W+", "_", name) for name in wines.feature_names)
    return Bottles(names, wines.data[order], wines.target[order].astype(np.int64))


def write_delivery(csv_dir: Path, number: int) -> Path:
    """Writes the bottles of the first or the second delivery.

    Args:
        csv_dir: The folder that CsvExampleGen reads; made when missing.
        number: 1, or 2 for all that are left.
    """
    bottles = load_bottles()
    wanted = range(FIRST_DELIVERY) if number == 1 else range(FIRST_DELIVERY, len(bottles.labels))
    csv_dir.mkdir(parents=True, exist_ok=True)
    path = csv_dir / f"delivery-{number}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((BOTTLE, *bottles.features, LABEL))
        # Floats throughout, 1065.0 and not 1065, since the columns' types are told from the text.
        writer.writerows((i, *bottles.rows[i].tolist(), int(bottles.labels[i])) for i in wanted)
    return path


def write_samples(path: Path) -> None:
    """Writes a few bottles as inputs of both signatures: whole tf.Examples, and columns.

    Args:
        path: The `.npz` file; its folder is made when missing.
    """
    bottles = load_bottles()
    rows = bottles.rows[:_SAMPLE_ROWS].astype(np.float32)
    examples = []
    for row in rows:
        example = Example()
        for name, value in zip(bottles.features, row, strict=True):
            example.features.feature[name].float_list.value.append(value)
        examples.append(example.SerializeToString(deterministic=True))
    columns = {f"score_columns/{name}": rows[:, [place]] for place, name in enumerate(bottles.features)}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **{"serving_default/examples": np.array(examples)}, **columns)
