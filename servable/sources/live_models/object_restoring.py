"""ROOM 1: the values of a checkpoint in a live model.

What passes through: a match of a model and a place of a checkpoint comes in; the model has the checkpoint's
values when it goes out. TensorFlow restores, and every variable is compared with what the checkpoint holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle import read_tensor
from servable.sources.keras_files.calling import list_layers
from servable.sources.keras_files.vocabularies import check_vocabularies
from servable.sources.live_models.object_graph import ObjectGraph
from servable.sources.live_models.object_matching import Match


def restore_match(graph: ObjectGraph, match: Match, model: Any, prefix: Path) -> None:
    """Restores what was matched into a live model.

    Args:
        graph: Of the checkpoint.
        match: Clean.
        model: The one that was matched.
        prefix: Of the checkpoint.

    Raises:
        BrokenSourceError: The checkpoint is damaged, or lacks what a layer needs besides variables.
    """
    import tensorflow as tf

    root: Any = model
    for name in reversed([name for name in match.place.split("/") if name]):
        root = tf.train.Checkpoint(**{name: root})
    checkpoint = root if match.place else tf.train.Checkpoint(root)
    try:
        # Tables and the like are restored too; optimizers and counters have nobody to go to.
        checkpoint.restore(str(prefix)).expect_partial()
    except (tf.errors.OpError, ValueError, AssertionError) as error:
        raise BrokenSourceError(
            "TensorFlow cannot restore this checkpoint.",
            expected="the tensors that its index lists",
            received=" ".join(str(error).split())[:1000],
            where=str(prefix),
            advice="copy the checkpoint again from where it was written, or take an earlier step",
        ) from error
    for variable, key in match.pairs:
        # A variable of Keras 3 wraps one of TensorFlow.
        value = variable.value if hasattr(variable.value, "numpy") else variable
        if value.numpy().tobytes() != read_tensor(graph.bundle, key).tobytes():
            raise BrokenSourceError(
                "TensorFlow did not restore a variable as the checkpoint has it.",
                expected=f"the stored value of {key}",
                received="another value",
                where=str(prefix),
                advice="run again when nothing writes to the checkpoint",
            )
    # Normalization and the like work with constants that they make from their variables once, when Keras
    # itself loads weights.
    for layer in list_layers(model):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    check_vocabularies(model, prefix)
