"""KerasConverter: the node that a pipeline author puts down for a saved Keras model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tfx.dsl.components.base import executor_spec

from components.conversion import ConversionComponent
from components.keras_converter.executor import Executor
from components.options import make_absolute, make_layers_absolute, parse_requests
from servable.convert import ConversionOptions
from servable.signature import SignatureRequest
from servable.sources.options import SourceOptions
from servable.targets.catalog import CURRENT

_NOTHING: Mapping[str, str] = MappingProxyType({})


class KerasConverter(ConversionComponent):
    """Turns a saved Keras model (Keras 2 `.h5`, Keras 3 `.keras`) into a SavedModel in inference mode.

    The contents of the model file, of the files that the options name, and the versions of the toolchain are
    part of the cache key: a file that was overwritten in place is converted again, an unchanged one is not.

    Args:
        source: Model file outside the pipeline.
        source_model: Channel of a Model that an upstream component made, instead of `source`; looked through
            in its `Format-Serving` directory first, then at its root.
        source_subpath: Where in `source_model` the file lies, such as "model.keras".
        signatures: ``{name: {"inputs": {key: layer}, "outputs": {...}, "method": "predict"}}``; empty takes
            the model's own inputs and outputs.
        custom_objects: Python file with the custom Keras objects. It is run: name only what you trust. TFX's
            Evaluator and BulkInferrer send serialized tf.Examples: a model whose first layer is a custom one
            that parses them answers.
        replace_layers: Lambda layer by name to "FILE.py:function", in place of its stored code. The file is
            run.
        architecture: JSON file with the architecture, where the source holds weights only.
        module: Python file with `build_model()`, where the source holds weights only. It is run.
        inputs: `.npz` with inputs for the baseline; without it they are made up.
        default_signature: Signature that is also served as "serving_default"; "first", or None for none.
        make_baseline: Whether the source itself is run; it then holds all of its variables in memory.
        target: The runtime that is to serve the model, such as "pai-eas/tensorflow_cpu_2.7"; a graph that it
            cannot run is refused. `servable targets` lists all.

    Outputs:
        `model`: Model, the SavedModel in `Format-Serving`, with custom properties `source_digest`,
        `saved_model_digest`, `signatures`, `target` and others. `baseline`: InferenceResult with Keras's own
        outputs in `baseline.npz`.

    Raises:
        SettingsError: Both or neither of `source` and `source_model` are given, a path is not local, or the
            target is not known.
        SignatureError: A signature cannot be.

    Example:
        >>> converter = KerasConverter(source="training/digits.h5")
        >>> sorted(converter.outputs)
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
        custom_objects: str | Path | None = None,
        replace_layers: Mapping[str, str] = _NOTHING,
        architecture: str | Path | None = None,
        module: str | Path | None = None,
        inputs: str | Path | None = None,
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
                source=SourceOptions(
                    module=make_absolute(module),
                    architecture=make_absolute(architecture),
                    custom_objects=make_absolute(custom_objects),
                    replace_layers=make_layers_absolute(replace_layers),
                ),
                inputs=make_absolute(inputs),
                default_signature=default_signature,
                make_baseline=make_baseline,
                target=target,
            ),
        )
