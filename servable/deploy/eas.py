"""PAI-EAS: service descriptors for its TensorFlow processors, checked against a schema.

What passes through: names, addresses, a processor and a batch plan come in; what `eascmd create` and
`eascmd modify` take goes out as plain values. The schema is written from the platform's own list of
parameters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from servable.deploy.batching import BatchPlan
from servable.deploy.options import EasOptions
from servable.errors import SettingsError

CREATE_FILE: Final = "service.json"
MODIFY_FILE: Final = "service.modify.json"
WARM_UP_FILE: Final = "warm_up.bin"
_SCHEMA_FILE: Final = "eas_service.schema.json"
_GPU_PROCESSOR: Final = "tensorflow_gpu"


def describe_service(
    name: str,
    version: int,
    *,
    processor: str,
    archive: str,
    warm_up: bool,
    plan: BatchPlan,
    options: EasOptions,
) -> dict[str, Any]:
    """Describes a new service, for ``eascmd create``.

    Args:
        name: Of the model; EAS takes no hyphens and no capitals.
        version: Of its folder. Each has a folder of its own, so that EAS can go back to an older one.
        processor: Such as "tensorflow_cpu_2.7".
        archive: Name of the archive's file.
        warm_up: Whether there is a warm-up file.
        plan: How requests are joined, where the options ask for it.
        options: The user's.

    Raises:
        SettingsError: What the options lay over it makes no descriptor.
    """
    metadata: dict[str, Any] = {
        "instance": options.instances,
        "cpu": options.cpu,
        "memory": options.memory_mb,
    }
    if processor.startswith(_GPU_PROCESSOR) or options.gpu:
        metadata["gpu"] = max(1, options.gpu)
    if options.batching and plan.sizes:
        metadata["rpc"] = _describe_batching(plan)
    service = {
        "name": name_service(name),
        "processor": processor,
        **_describe_model(f"{name}/{version}", archive, warm_up=warm_up, options=options),
        "metadata": metadata,
    }
    if options.storage:
        service["storage"] = [dict(mount) for mount in options.storage]
    service = _lay_over(service, options.service)
    _require_valid(service)
    return service


def describe_modification(
    name: str, version: int, *, processor: str, archive: str, warm_up: bool, options: EasOptions
) -> dict[str, Any]:
    """Describes a new version of a service, for ``eascmd modify``.

    Model and processor together make EAS put the new version beside the old one, to which
    ``eascmd version`` leads back. What it does not name, such as the number of instances, stays as it is.

    Args:
        name: Of the model.
        version: Of its folder.
        processor: Such as "tensorflow_cpu_2.7".
        archive: Name of the archive's file.
        warm_up: Whether there is a warm-up file.
        options: The user's.
    """
    model = _describe_model(f"{name}/{version}", archive, warm_up=warm_up, options=options)
    return {"processor": processor, **model}


def name_service(name: str) -> str:
    """Makes a name of EAS out of a model's."""
    return name.lower().replace("-", "_")


def load_schema() -> dict[str, Any]:
    """Loads the JSON Schema of a service descriptor."""
    text = files("servable.deploy").joinpath(_SCHEMA_FILE).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _describe_model(place: str, archive: str, *, warm_up: bool, options: EasOptions) -> dict[str, Any]:
    folder = f"{options.uri.rstrip('/')}/{place}"
    model = {"model_path": f"{folder}/{archive}"}
    if warm_up:
        model["warm_up_data_path"] = f"{folder}/{WARM_UP_FILE}"
    return model


def _describe_batching(plan: BatchPlan) -> dict[str, Any]:
    return {
        "batching": True,
        "max_batch_size": plan.sizes[-1],
        "max_batch_timeout": max(1, math.ceil(plan.wait_s * 1000)),
    }


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lays mappings over each other, key by key; anything else replaces what was there."""
    laid = dict(below)
    for key, value in above.items():
        old = laid.get(key)
        laid[key] = (
            _lay_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
        )
    return laid


def _require_valid(service: Mapping[str, Any]) -> None:
    # Takes time to import, and has no types of its own.
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    faults = [
        f"{'.'.join(str(part) for part in error.absolute_path) or 'the whole'}: {error.message}"
        for error in Draft202012Validator(load_schema()).iter_errors(service)
    ]
    if faults:
        raise SettingsError(
            "PAI-EAS does not take this service descriptor.",
            expected="keys and values of its list of parameters",
            received="; ".join(faults),
            where="options eas.service and eas.storage",
            advice="correct what is named",
        )
