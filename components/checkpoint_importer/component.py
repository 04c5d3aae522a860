"""CheckpointImporter: the node that a pipeline author puts down for a TensorFlow 1 checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tfx.dsl.components.base import executor_spec

from components.checkpoint_importer.executor import Executor
from components.conversion import ConversionComponent
from components.options import make_absolute, parse_requests, require_absolute
from servable.convert import ConversionOptions
from servable.model import Scalar
from servable.signature import SignatureRequest
from servable.sources.options import SourceOptions

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class CheckpointImporter(ConversionComponent):
    """Turns a checkpoint of `tf.train.Saver` and its graph into a SavedModel.

    The contents of the checkpoint, of the files that the options name, and the versions of the toolchain are
    part of the cache key: a checkpoint that was overwritten in place is converted again, an unchanged one is
    not. One that is still being written is never taken.

    Args:
        source: Checkpoint directory or prefix outside the pipeline.
        source_model: Channel of a Model that an upstream component made, instead of `source`; looked through
            in its `Format-Serving` directory first, then at its root.
        source_subpath: Where in `source_model` the checkpoint lies.
        signatures: ``{name: {"inputs": {key: tensor}, "outputs": {...}, "method": "predict"}}``.
        freeze: Training switch to its value for serving, such as ``{"is_training": False}``.
        step: Training step to take; None for the newest complete one.
        inputs: `.npz` with inputs for the baseline; without it they are made up.
        assets: Asset name, as the graph has it, to the file that takes its place.
        default_signature: Signature that is also served as "serving_default"; "first", or None for none.
        make_baseline: Whether the source itself is run; it then holds all of its variables in memory.

    Outputs:
        `model`: Model, the SavedModel in `Format-Serving`, with custom properties `source_digest`,
        `saved_model_digest`, `signatures` and others. `baseline`: InferenceResult with the checkpoint's own
        outputs in `baseline.npz`.

    Raises:
        SettingsError: Both or neither of `source` and `source_model` are given, or a path is not local.
        SignatureError: A signature cannot be.

    Example:
        >>> importer = CheckpointImporter(
        ...     source="training/ranker",
        ...     signatures={"rank": {"inputs": {"x": "features:0"}, "outputs": {"score": "score:0"}}},
        ...     freeze={"is_training": False},
        ... )
        >>> sorted(importer.outputs)
        ['baseline', 'model']
    """

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        source: str | Path | None = None,
        source_model: Any | None = None,
        *,
        source_subpath: str | None = None,
        signatures: Mapping[str, Any] | Sequence[SignatureRequest] = (),
        freeze: Mapping[str, Scalar] = _NOTHING,
        step: int | None = None,
        inputs: str | Path | None = None,
        assets: Mapping[str, str | Path] = _NOTHING,
        default_signature: str | None = "first",
        make_baseline: bool = True,
    ) -> None:
        super().__init__(
            source,
            source_model,
            source_subpath=source_subpath,
            options=ConversionOptions(
                signatures=parse_requests(signatures),
                frozen=dict(freeze),
                source=SourceOptions(
                    step=step, assets={name: require_absolute(path) for name, path in assets.items()}
                ),
                inputs=make_absolute(inputs),
                default_signature=default_signature,
                make_baseline=make_baseline,
            ),
        )
