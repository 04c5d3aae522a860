"""CheckpointImporter: the node that a pipeline author puts down for a checkpoint or a graph of TensorFlow."""

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
from servable.targets.catalog import CURRENT

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class CheckpointImporter(ConversionComponent):
    """Turns a checkpoint of `tf.train.Saver` or `tf.train.Checkpoint`, or a graph, into a SavedModel.

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
        ema: Whether variables take the value of their exponential moving average, where they have one.
        tags: Which graph of a SavedModel; the one tagged "serve", or with nothing, by default.
        architecture: Structure of the model where the source holds weights only: Keras JSON, or a GraphDef.
        module: Python file with `build_graph()` or `build_model()`, where the source holds weights only. It
            is run: name only what you trust. TFX's Evaluator and BulkInferrer send serialized tf.Examples: a
            `tf.Module` with a function `serving_default` that parses them answers.
        custom_objects: Python file with the custom objects of a Keras architecture. It is run.
        inputs: `.npz` with inputs for the baseline; without it they are made up.
        assets: Asset name, as the graph has it, to the file that takes its place.
        allow_ops: Ops that touch files, run code or go online and are let in all the same.
        keep_training_ops: Whether dropout and batch statistics that are built into the graph are left in.
        default_signature: Signature that is also served as "serving_default"; "first", or None for none.
        make_baseline: Whether the source itself is run; it then holds all of its variables in memory.
        target: The runtime that is to serve the model, such as "pai-eas/tensorflow_cpu_2.7"; a graph that it
            cannot run is refused. `servable targets` lists all.

    Outputs:
        `model`: Model, the SavedModel in `Format-Serving`, with custom properties `source_digest`,
        `saved_model_digest`, `signatures`, `target` and others. `baseline`: InferenceResult with the
        checkpoint's own outputs in `baseline.npz`.

    Raises:
        SettingsError: Both or neither of `source` and `source_model` are given, a path is not local, or the
            target is not known.
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
        ema: bool = False,
        tags: Sequence[str] | None = None,
        architecture: str | Path | None = None,
        module: str | Path | None = None,
        custom_objects: str | Path | None = None,
        inputs: str | Path | None = None,
        assets: Mapping[str, str | Path] = _NOTHING,
        allow_ops: Sequence[str] = (),
        keep_training_ops: bool = False,
        default_signature: str | None = "first",
        make_baseline: bool = True,
        target: str = CURRENT,
    ) -> None:
        super().__init__(
            source,
            source_model,
            source_subpath=source_subpath,
            options=ConversionOptions(
                signatures=parse_requests(signatures),
                frozen=dict(freeze),
                source=SourceOptions(
                    step=step,
                    module=make_absolute(module),
                    architecture=make_absolute(architecture),
                    custom_objects=make_absolute(custom_objects),
                    ema=ema,
                    tags=None if tags is None else tuple(tags),
                    assets={name: require_absolute(path) for name, path in assets.items()},
                    allowed_ops=frozenset(allow_ops),
                    keep_training_ops=keep_training_ops,
                ),
                inputs=make_absolute(inputs),
                default_signature=default_signature,
                make_baseline=make_baseline,
                target=target,
            ),
        )
