"""SavedModelValidator: the node that stands between a Model and TFX's Pusher."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.content_driver import ToolchainDriver
from components.options import add_target, parse_requests, write_signatures
from components.saved_model_validator.executor import Executor
from servable.checks.policy import CheckPolicy
from servable.signature import SignatureRequest
from servable.targets.catalog import CURRENT

_DEFAULTS: Mapping[str, Any] = MappingProxyType({})


class SavedModelValidatorSpec(ComponentSpec):
    """Inputs, outputs and execution properties of SavedModelValidator."""

    INPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "baseline": ChannelParameter(type=standard_artifacts.InferenceResult, optional=True),
    }
    OUTPUTS: ClassVar = {
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "report": ChannelParameter(type=standard_artifacts.ModelEvaluation),
    }
    PARAMETERS: ClassVar = {
        "policy": ExecutionParameter(type=str),
        "signatures": ExecutionParameter(type=str),
    }


class SavedModelValidator(base_component.BaseComponent):
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

    Outputs:
        `blessing`: ModelBlessing as TFX's Pusher, BulkInferrer and LatestBlessedModelStrategy read it, with
        `target` and what became of the model in each `runtimes`.
        `report`: ModelEvaluation with `report.json` and `report.html`, and the same properties.

    Raises:
        SettingsError: The target is not known, or the policy has unknown keys or values, all of which are
            listed, or names another target.
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
        ['blessing', 'report']
    """

    SPEC_CLASS = SavedModelValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = ToolchainDriver

    def __init__(
        self,
        model: Any,
        baseline: Any | None = None,
        *,
        signatures: Mapping[str, Any] | Sequence[SignatureRequest] = (),
        policy: Mapping[str, Any] = _DEFAULTS,
        target: str = CURRENT,
    ) -> None:
        rules = add_target(policy, target)
        CheckPolicy.from_dict(rules)
        super().__init__(
            spec=SavedModelValidatorSpec(
                model=model,
                baseline=baseline,
                signatures=write_signatures(parse_requests(signatures)),
                policy=json.dumps(rules, sort_keys=True),
                blessing=Channel(type=standard_artifacts.ModelBlessing),
                report=Channel(type=standard_artifacts.ModelEvaluation),
            )
        )
