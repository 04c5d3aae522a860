"""What a checkpoint holds for training alone: optimizer slots, steps, averages. Told by name and shape.

What passes through: the entries of a checkpoint. Only counts and error messages depend on it, never which
tensor is taken. Names: `create_slot` of tensorflow/python/training and of tensorflow/contrib/opt, BERT's own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from servable.formats.checkpoints.bundle_entries import BundleEntry

AVERAGE_NAME: Final = "ExponentialMovingAverage"

_SLOT: Final = re.compile(
    r"(?:Adam|AdamW|AdaMax|AdaBound|NAdam|LazyAdam|LAMB|LARS|Momentum|RMSProp|Adagrad|AdagradDA|Adadelta|Ftrl"
    r"|ProximalAdagrad|ProximalGradientDescent|Shampoo|AddSign|PowerSign|adam_[mv]|lamb_[mv]|momentum|slow"
    r"|(?:Adam|RMSProp|Momentum|Adagrad)Optimizer|" + AVERAGE_NAME + r")(?:_\d+)?"
)
_COUNTER: Final = re.compile(
    r"global_step|(?:local_)?step|beta[12]_power(?:_\d+)?|learning_rate|biased|local_step|loss_scale|num_updates"
)


def is_training_tensor(entry: BundleEntry, entries: Mapping[str, BundleEntry]) -> bool:
    """Says whether a tensor serves training alone.

    Args:
        entry: One of `entries`.
        entries: All of the checkpoint.
    """
    owner, _, last = entry.key.rpartition("/")
    if _COUNTER.fullmatch(last) or _SLOT.fullmatch(last):
        return True
    # A slot of an optimizer that is not known: named below its variable, and of the same kind.
    other = entries.get(owner)
    return (
        other is not None and bool(entry.shape) and (other.dtype, other.shape) == (entry.dtype, entry.shape)
    )


def split_training_tensors(
    keys: Collection[str], entries: Mapping[str, BundleEntry]
) -> tuple[list[str], list[str]]:
    """Splits keys of a checkpoint into those that serve training alone and all others, each sorted."""
    training = {key for key in keys if is_training_tensor(entries[key], entries)}
    return sorted(training), sorted(set(keys) - training)
