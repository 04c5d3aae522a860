"""Compares the variables of a SavedModel with those of the checkpoint it was made of, bit by bit.

What passes through: a fast conversion that loses a weight is no result, so `large_checkpoint.py` runs this
after its last round: python -m benchmarks.verify_weights PREFIX SAVED_MODEL_DIR
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from servable.formats.checkpoints.bundle import open_bundle, read_tensor


def find_differences(prefix: Path, saved_model_dir: Path) -> list[str]:
    """Lists what is not the same.

    Args:
        prefix: The checkpoint without `.index`.
        saved_model_dir: Made of it; has the variables under the checkpoint's names.

    Returns:
        Plain sentences; empty when the SavedModel holds exactly the weights, without Adam's slots.
    """
    source = open_bundle(prefix)
    made = open_bundle(saved_model_dir / "variables" / "variables")
    weights = {key for key in source.entries if key.endswith("/weights")}
    differences = [f"{key} is missing" for key in sorted(weights - set(made.entries))]
    differences += [f"{key} does not belong there" for key in sorted(set(made.entries) - weights)]
    for key in sorted(weights & set(made.entries)):
        if not np.array_equal(read_tensor(source, key), read_tensor(made, key)):
            differences.append(f"{key} has other values")
    return differences


def main() -> int:
    """Compares from the command line; ends with 1 when something differs."""
    parser = argparse.ArgumentParser(description="Compare a SavedModel's weights with its checkpoint's.")
    parser.add_argument("prefix", type=Path, help="checkpoint without .index")
    parser.add_argument("saved_model_dir", type=Path, help="SavedModel that was made of it")
    options = parser.parse_args()
    differences = find_differences(options.prefix, options.saved_model_dir)
    print("\n".join(differences), file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
