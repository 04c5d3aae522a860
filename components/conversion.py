"""What the two converting components share: spec, constructor's work, executor.

What passes through: a path or an upstream Model comes in, `convert_confined` is called once, a
standard Model (SavedModel in `Format-Serving`) and its baseline go out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from absl import logging
from tfx.dsl.components.base import base_component, base_executor
from tfx.types import Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from components.artifacts import BASELINE_FILE, find_local_dir, fresh_output_dirs, set_properties
from components.content_driver import ContentDriver
from components.options import make_absolute, read_options, write_options, write_signatures
from components.source_content import (
    SOURCE_FAULT,
    TOOLCHAIN,
    PinnedSource,
    describe_toolchain,
    list_seen_steps,
    open_pinned,
    pin_source,
    verify_source,
)
from components.source_locating import check_subpath, open_located
from servable.baseline import save_baseline
from servable.confinement.converting import convert_confined
from servable.convert import Conversion, ConversionOptions
from servable.errors import SettingsError, SourceError
from servable.formats.remote import is_remote
from servable.sources.resolving import resolve_source
from servable.targets.catalog import find_target


class ConversionSpec(ComponentSpec):
    """Inputs, outputs and execution properties of both converting components."""

    INPUTS: ClassVar = {
        "source_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "baseline": ChannelParameter(type=standard_artifacts.InferenceResult),
    }
    PARAMETERS: ClassVar = {
        "source": ExecutionParameter(type=str, optional=True),
        "source_subpath": ExecutionParameter(type=str, optional=True),
        "signatures": ExecutionParameter(type=str),
        "options": ExecutionParameter(type=str),
    }


class ConversionExecutor(base_executor.BaseExecutor):
    """Unpacks artifacts, converts once, packs artifacts.

    Subclasses name themselves and the kinds of source that they take.
    """

    COMPONENT: ClassVar[str]
    ACCEPTED_KINDS: ClassVar[frozenset[str]]
    OTHER_COMPONENT: ClassVar[str]

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Converts the source.

        Args:
            input_dict: `source_model`, unless there is a `source`.
            output_dict: `model` and `baseline`; filled in place.
            exec_properties: As in `ConversionSpec`, and what `ContentDriver` added where it ran.

        Raises:
            ServableError: The source could not be converted; the outputs are left empty.
            RuntimeError: Something in the conversion ended the process.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        with fresh_output_dirs(output_dict):
            self._convert(input_dict, output_dict, exec_properties)

    def _convert(
        self,
        input_dict: Mapping[str, list[Any]],
        output_dict: Mapping[str, list[Any]],
        exec_properties: Mapping[str, Any],
    ) -> None:
        fault = exec_properties.get(SOURCE_FAULT)
        if fault not in (None, "", "None"):
            raise SourceError(str(fault))
        options = read_options(exec_properties.get("options"), signatures=exec_properties.get("signatures"))
        with _open_pinned(exec_properties, input_dict, options=options) as pinned:
            self._convert_pinned(pinned, options, output_dict, exec_properties)

    def _convert_pinned(
        self,
        pinned: PinnedSource,
        options: ConversionOptions,
        output_dict: Mapping[str, list[Any]],
        exec_properties: Mapping[str, Any],
    ) -> None:
        self._check_kind(pinned)
        model, baseline = output_dict["model"][0], output_dict["baseline"][0]
        serving_dir = find_local_dir(path_utils.serving_model_dir(model.uri))
        try:
            # The pinned path is the very step already.
            conversion = convert_confined(
                pinned.path, serving_dir, replace(options, source=replace(options.source, step=None))
            )
        except Exception:
            # A source that moved under the reader fails in odd ways: say so rather than what it looked like.
            verify_source(pinned, options)
            raise
        verify_source(pinned, options)
        for note in conversion.notes:
            logging.warning("%s: %s %s", note.check, note.message, note.where)
        save_baseline(conversion.baseline, find_local_dir(baseline.uri) / BASELINE_FILE)
        toolchain = str(exec_properties.get(TOOLCHAIN) or describe_toolchain())
        properties = describe_conversion(conversion, pinned, toolchain=toolchain)
        for artifact in (model, baseline):
            set_properties(artifact, properties)

    def _check_kind(self, pinned: PinnedSource) -> None:
        kind = str(resolve_source(pinned.path).kind)
        if kind not in self.ACCEPTED_KINDS:
            raise SettingsError(
                f"{self.COMPONENT} does not take this kind of source.",
                expected=" or ".join(sorted(self.ACCEPTED_KINDS)),
                received=kind,
                where=pinned.name,
                advice=f"use {self.OTHER_COMPONENT}, or name the right file in source or source_subpath",
            )


class ConversionComponent(base_component.BaseComponent):
    """Base of the two converting components: turns Python values into a spec."""

    SPEC_CLASS = ConversionSpec
    DRIVER_CLASS = ContentDriver

    def __init__(
        self,
        source: str | Path | None,
        source_model: Any | None,
        *,
        source_subpath: str | None,
        options: ConversionOptions,
    ) -> None:
        if (source is None) == (source_model is None):
            raise SettingsError(
                f"{type(self).__name__} takes exactly one source.",
                expected="either source (a path) or source_model (an upstream component's Model)",
                received="both" if source is not None else "none",
                advice="leave one of them out, or name one",
            )
        if source_subpath is not None:
            check_subpath(source_subpath)
            if source_model is None:
                raise SettingsError(
                    "A sub-path belongs to an upstream model.",
                    expected="source_subpath together with source_model",
                    received=f"source_subpath={source_subpath!r} with source={str(source)!r}",
                    advice="put it into the path of source",
                )
        path = source if is_remote(str(source)) else make_absolute(source)
        super().__init__(
            spec=ConversionSpec(
                source=None if path is None else str(path),
                source_model=source_model,
                source_subpath=source_subpath,
                signatures=write_signatures(options.signatures),
                options=write_options(options),
                model=Channel(type=standard_artifacts.Model),
                baseline=Channel(type=standard_artifacts.InferenceResult),
            )
        )


def describe_conversion(
    conversion: Conversion, pinned: PinnedSource, *, toolchain: str
) -> dict[str, str | int]:
    """Names where a model comes from, as custom properties that ML Metadata can hold.

    Args:
        conversion: What was converted.
        pinned: The exact source and its digest.
        toolchain: Versions that made it.

    Returns:
        Texts, and `source_step` as a number where the source has a step.
    """
    origin = conversion.origin
    signatures = {
        name: {
            "inputs": {key: str(spec) for key, spec in signature.inputs.items()},
            "outputs": {key: str(spec) for key, spec in signature.outputs.items()},
            "method": signature.method,
        }
        for name, signature in conversion.signatures.items()
    }
    properties: dict[str, str | int] = {
        "source_path": pinned.name,
        "source_format": str(origin.kind),
        "framework": origin.framework,
        "framework_version": origin.framework_version,
        "source_digest": pinned.source_digest,
        "options_digest": pinned.options_digest,
        "saved_model_digest": conversion.digest,
        "target": conversion.target,
        "target_version": find_target(conversion.target).version,
        "signatures": json.dumps(signatures, sort_keys=True),
        "toolchain": toolchain,
    }
    if origin.step is not None:
        properties["source_step"] = origin.step
    seen_steps = list_seen_steps(pinned)
    if seen_steps:
        properties["seen_steps"] = ",".join(map(str, seen_steps))
    if conversion.notes:
        properties["notes"] = "\n".join(f"{note.check}: {note.message}" for note in conversion.notes)
    return properties


@contextmanager
def _open_pinned(
    exec_properties: Mapping[str, Any], input_dict: Mapping[str, list[Any]], *, options: ConversionOptions
) -> Iterator[PinnedSource]:
    """Takes what a driver pinned; pins now where none did: on Kubeflow, or Airflow's upstream model."""
    pinned = PinnedSource.from_properties(exec_properties)
    if pinned is not None:
        with open_pinned(pinned) as here:
            yield here
        return
    with open_located(exec_properties, input_dict, step=options.source.step) as source:
        if source is None:
            raise SettingsError(
                "The node has neither a source nor a resolved source_model.",
                expected="one of them",
                advice="give the component source or source_model",
            )
        yield pin_source(source.path, options, address=source.address)
