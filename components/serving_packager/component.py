"""ServingPackager: the node that makes of a blessed Model what platforms want to be given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.content_driver import ToolchainDriver
from components.options import add_target, make_absolute
from components.serving_packager.executor import Executor
from servable.checks.policy import CheckPolicy
from servable.deploy.options import PackOptions
from servable.deploy.platforms import read_platforms
from servable.targets.catalog import CURRENT

_DEFAULTS: Mapping[str, Any] = MappingProxyType({})


class ServingPackagerSpec(ComponentSpec):
    """Inputs, outputs and execution properties of ServingPackager."""

    INPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "report": ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
        "baseline": ChannelParameter(type=standard_artifacts.InferenceResult, optional=True),
    }
    OUTPUTS: ClassVar = {"pack": ChannelParameter(type=standard_artifacts.PushedModel)}
    PARAMETERS: ClassVar = {
        "model_name": ExecutionParameter(type=str),
        "model_version": ExecutionParameter(type=int, optional=True),
        "platforms": ExecutionParameter(type=str),
        "options": ExecutionParameter(type=str),
        "policy": ExecutionParameter(type=str),
        "destination": ExecutionParameter(type=str, optional=True),
        "signing_key": ExecutionParameter(type=str, optional=True),
    }


class ServingPackager(base_component.BaseComponent):
    """Packs a model for PAI-EAS, TensorFlow Serving, KServe, Vertex AI or SageMaker.

    A model that is not blessed is no error: nothing is packed, property `packed` says 0 and `reason` why, as
    TFX's Pusher passes such a model over. The node fails when a blessed model could not be packed, and when a
    file of it is not the one that was checked.

    Args:
        model: Channel of the Model that was checked.
        blessing: Channel of its ModelBlessing.
        model_name: Name that it is served under.
        platforms: Such as ``["eas", "tf-serving"]``.
        report: Channel of SavedModelValidator's report. Without it the checks are made again, since only a
            report says which bytes were checked.
        baseline: Channel of the source framework's own answers; their inputs become warm-up requests, so that
            what is private in them is then in the pack.
        model_version: Number of the version's folder; by default the time in seconds, as TFX's Pusher numbers
            what it pushes.
        options: Platforms to their options, keys as in `servable.deploy.options`.
        policy: Of the checks, where they are made again.
        target: Likewise, the runtime that is to serve the model.
        destination: Folder that gets a copy of the pack, as NAME/VERSION in it.
        signing_key: Private key in PEM; its password stands in the environment. The signature lies beside the
            pack.

    Outputs:
        `pack`: PushedModel, TFX's own type for a model that has left the pipeline for a server. Of the
            standard
            types it is the one that no other node takes for a model to train, to check or to push again, as
            they would a Model, and the only ones that hold on Kubeflow are standard ones. The pack lies in
            `pack`; properties are `packed` (1 or 0), `reason`, `model_name`, `model_version`, `platforms`,
            `model_digest`, `root_digest`, `notes` and `destination`.

    Raises:
        SettingsError: A platform, an option or the policy is wrong.

    Example:
        >>> packager = ServingPackager(
        ...     model=converter.outputs["model"],
        ...     blessing=validator.outputs["blessing"],
        ...     report=validator.outputs["report"],
        ...     baseline=converter.outputs["baseline"],
        ...     model_name="digits",
        ...     platforms=["eas", "tf-serving"],
        ...     options={"eas": {"uri": "oss://bucket/models"}},
        ... )
        >>> sorted(packager.outputs)
        ['pack']
    """

    SPEC_CLASS = ServingPackagerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = ToolchainDriver

    def __init__(
        self,
        model: Any,
        blessing: Any,
        *,
        model_name: str,
        platforms: Sequence[str],
        report: Any | None = None,
        baseline: Any | None = None,
        model_version: int | None = None,
        options: Mapping[str, Any] = _DEFAULTS,
        policy: Mapping[str, Any] = _DEFAULTS,
        target: str = CURRENT,
        destination: str | Path | None = None,
        signing_key: str | Path | None = None,
    ) -> None:
        rules = add_target(policy, target)
        # Faults are told when the pipeline is built.
        CheckPolicy.from_dict(rules)
        PackOptions.from_dict(options)
        names = [platform.value for platform in read_platforms(platforms)]
        folder, key = make_absolute(destination), make_absolute(signing_key)
        super().__init__(
            spec=ServingPackagerSpec(
                model=model,
                blessing=blessing,
                report=report,
                baseline=baseline,
                model_name=model_name,
                model_version=model_version,
                platforms=json.dumps(names),
                options=json.dumps(options, sort_keys=True, default=dict),
                policy=json.dumps(rules, sort_keys=True),
                destination=None if folder is None else str(folder),
                signing_key=None if key is None else str(key),
                pack=Channel(type=standard_artifacts.PushedModel),
            )
        )
