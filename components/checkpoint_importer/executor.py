"""Executor of CheckpointImporter: a checkpoint comes in, a Model and its baseline go out."""

from __future__ import annotations

from typing import ClassVar

from components.conversion import ConversionExecutor
from components.source_kinds import CHECKPOINT_KINDS


class Executor(ConversionExecutor):
    """Takes checkpoints and graphs of TensorFlow."""

    COMPONENT: ClassVar[str] = "CheckpointImporter"
    ACCEPTED_KINDS: ClassVar[frozenset[str]] = CHECKPOINT_KINDS
    OTHER_COMPONENT: ClassVar[str] = "KerasConverter"
