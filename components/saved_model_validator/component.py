"""SavedModelValidator: the node that stands between a Model and TFX's Pusher."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.examples_driver import ExamplesDriver
from components.options import add_target, make_absolute, parse_requests, write_signatures
from components.saved_model_validator.examples_reading import require_measured
from components.saved_model_validator.executor import Executor
from servable.checks.policy import CheckPolicy
from servable.errors import SettingsError
from servable.signature import SignatureRequest
from servable.targets.catalog import CURRENT

_DEFAULTS: Mapping[str, Any] = MappingProxyType({})


class SavedModelValidatorSpec(ComponentSpec):
    """Inputs, outputs and execution properties of SavedModelValidator."""

    INPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "baseline": ChannelParameter(type=standard_artifacts.InferenceResult, optional=True),
        "baseline_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
        "examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS: ClassVar = {
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "report": ChannelParameter(type=standard_artifacts.ModelEvaluation),
    }
    PARAMETERS: ClassVar = {
        "policy": ExecutionParameter(type=str),
        "signatures": ExecutionParameter(type=str),
        "examples_files": ExecutionParameter(type=str, optional=True),
        "served_dir": ExecutionParameter(type=str, optional=True),
        "make_warmup": ExecutionParameter(type=int),
        "raise_on_rejection": ExecutionParameter(type=int),
    }


class SavedModelValidator(base_beam_component.BaseBeamComponent):
    """Loads a SavedModel in TensorFlow Serving's loader, runs every signature and compares the answers.

    A model that is not fit to serve is no error: its blessing says 0, TFX's Pusher passes it over, and the
    report says why. The node fails only when a check could not be made.

    Args:
        model: Channel of the Model to check; of CheckpointImporter, KerasConverter or TFX's own Trainer.
        baseline: Channel of the source framework's own answers; without it nothing is compared.
        signatures: What must be offered, ``{name: {"inputs": {key: tensor}, "outputs": {...}}}``.
        policy: Tolerances, limits and severities, keys as in `CheckPolicy`.
        target: The runtime that is to serve the model, such as "pai-eas/tensorflow_cpu_2.7"; a model that it
            cannot run is not blessed. Where that version's runtime is installed, the model is run in it.
        make_warmup: Whether `infra_blessing` brings a copy of the model with warm-up requests, which are the
            baseline's inputs: what is private in them is then in what is pushed. A Pusher takes the copy when
            it is given `infra_blessing` and no `model`.
        raise_on_rejection: Whether the node fails when the model is not fit to serve, for pipelines that
            should go red. TFX removes the outputs of a node that fails; the error names another place, beside
            them, where the report is.
        examples: Channel of Examples, of any payload that tfx-bsl reads. What is measured on them is section
            `metrics` of the policy: label, task, budget. They are asked in one Beam pipeline, with the
            pipeline's `beam_pipeline_args`, or this node's own (`with_beam_pipeline_args`).
        examples_files: In place of a channel, TFRecord files of tf.Examples, plain or gzipped, as a glob.
        baseline_model: Channel of the model that this one is to replace, such as the latest blessed one: its
            metrics and costs are measured beside this one's.
        served_dir: In place of that channel, the directory to which versions of the model are pushed: its
            newest version that is not this very model is the one to replace. Unlike a Resolver's, its answer
            does not change with a push of this model, so that a run with nothing new is cached.

    Outputs:
        `blessing`: ModelBlessing as TFX's Pusher, BulkInferrer and LatestBlessedModelStrategy read it, with
        `target` and what became of the model in each `runtimes`.
        `infra_blessing`: InfraBlessing as TFX's Pusher reads it: whether a server can load the model and
        answer with it, whatever the answers are. `reasons` says why not.
        `report`: ModelEvaluation with `report.json` and `report.html`, and the same properties.

    Raises:
        SettingsError: The target is not known, or the policy has unknown keys or values, all of which are
            listed, or names another target; or warm-up requests are wanted without a baseline; or there are
            examples or models to compare with twice, or examples without section `metrics` of the policy.
        SignatureError: A signature cannot be.

    Example:
        >>> from components.keras_converter import KerasConverter
        >>> converter = KerasConverter(source="training/digits.h5")
        >>> validator = SavedModelValidator(
        ...     model=converter.outputs["model"],
        ...     baseline=converter.outputs["baseline"],
        ...     policy={"severities": {"batch": "warning"}},
        ... )
        >>> sorted(validator.outputs)
        ['blessing', 'infra_blessing', 'report']
    """

    SPEC_CLASS = SavedModelValidatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = ExamplesDriver

    def __init__(
        self,
        model: Any,
        baseline: Any | None = None,
        *,
        signatures: Mapping[str, Any] | Sequence[SignatureRequest] = (),
        policy: Mapping[str, Any] = _DEFAULTS,
        target: str = CURRENT,
        make_warmup: bool = False,
        raise_on_rejection: bool = False,
        examples: Any | None = None,
        examples_files: str | Path | None = None,
        baseline_model: Any | None = None,
        served_dir: str | Path | None = None,
    ) -> None:
        if make_warmup and baseline is None:
            raise SettingsError(
                "Warm-up requests are made from a baseline.",
                expected="baseline=, such as a converter's outputs['baseline']",
                received="make_warmup=True without a baseline",
                advice="give the baseline, or leave make_warmup out",
            )
        if baseline_model is not None and served_dir is not None:
            raise SettingsError(
                "A model is compared with one other model.",
                expected="baseline_model= or served_dir=",
                received="both",
                advice="leave one of them out",
            )
        rules = add_target(policy, target)
        require_measured(CheckPolicy.from_dict(rules).metrics, examples, examples_files)
        files, served = make_absolute(examples_files), make_absolute(served_dir)
        super().__init__(
            spec=SavedModelValidatorSpec(
                model=model,
                baseline=baseline,
                baseline_model=baseline_model,
                examples=examples,
                examples_files=None if files is None else str(files),
                served_dir=None if served is None else str(served),
                signatures=write_signatures(parse_requests(signatures)),
                policy=json.dumps(rules, sort_keys=True),
                # Numbers, since a bool is one on Kubeflow and none elsewhere.
                make_warmup=int(make_warmup),
                raise_on_rejection=int(raise_on_rejection),
                blessing=Channel(type=standard_artifacts.ModelBlessing),
                infra_blessing=Channel(type=standard_artifacts.InfraBlessing),
                report=Channel(type=standard_artifacts.ModelEvaluation),
            )
        )
