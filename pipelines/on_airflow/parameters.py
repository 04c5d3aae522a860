"""What may be given anew for one run of a DAG: each model's step and source, and whether the cache is asked.

What passes through: `Settings` come in, and names with schemas go out for Airflow's form; later the values
that a run was triggered with come in, and the `Settings` of that run go out, by the rules of the file's own
values. Neither TensorFlow nor TFX nor Airflow here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from pipelines.on_airflow.description import ParameterDescription
from pipelines.settings import ModelSettings, Settings
from servable.errors import SettingsError

ENABLE_CACHE: Final = "enable_cache"

_MODEL_KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "step": ("integer", "Training step of {model} instead of the one in the settings."),
    "source": ("string", "Where {model} is read, instead of the source in the settings; an absolute path."),
}


def list_parameters(settings: Settings) -> tuple[ParameterDescription, ...]:
    """Lists what may be given anew, in the order of the settings."""
    parameters = [
        ParameterDescription(
            ENABLE_CACHE,
            {"type": ["null", "boolean"]},
            "Whether earlier results are taken where nothing has changed, instead of what the settings say.",
        )
    ]
    for model in settings.models:
        for key, (kind, text) in _MODEL_KEYS.items():
            schema = {"type": ["null", kind]}
            parameters.append(
                ParameterDescription(f"{model.name}.{key}", schema, text.format(model=model.name))
            )
    return tuple(parameters)


def apply_parameters(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Puts the values of one run into the settings.

    Args:
        settings: As the file has them.
        given: Values by name; None leaves the settings as they are.

    Raises:
        SettingsError: There is no such parameter, or the settings do not take its value; every fault is told.
    """
    known = [parameter.name for parameter in list_parameters(settings)]
    faults = [_describe_unknown(name, known) for name in given if name not in known]
    values = {name: value for name, value in given.items() if name in known and value is not None}
    pipeline = settings.pipeline
    enable_cache = values.pop(ENABLE_CACHE, None)
    if enable_cache is not None:
        if isinstance(enable_cache, bool):
            pipeline = pipeline.model_copy(update={"cache": enable_cache})
        else:
            faults.append(f"{ENABLE_CACHE}: takes true or false; received {enable_cache!r}")
    models = []
    for model in settings.models:
        own = {
            name.removeprefix(f"{model.name}."): value
            for name, value in values.items()
            if name.rpartition(".")[0] == model.name
        }
        models.append(_change_model(model, own, faults))
    if faults:
        raise SettingsError(
            "The run was triggered with wrong parameters.\n    " + "\n    ".join(faults),
            expected=", ".join(known),
            received=", ".join(given),
            advice="trigger it again; nothing was run",
        )
    return settings.model_copy(update={"pipeline": pipeline, "models": tuple(models)})


def _change_model(model: ModelSettings, changes: Mapping[str, Any], faults: list[str]) -> ModelSettings:
    source = changes.get("source")
    if isinstance(source, str) and "://" not in source and not Path(source).is_absolute():
        # The settings' folder is not where the person stands who triggers a run.
        faults.append(f"{model.name}.source: takes an absolute path or an address; received {source!r}")
        return model
    if not changes:
        return model
    try:
        return ModelSettings.model_validate({**model.model_dump(exclude_unset=True), **changes})
    except ValidationError as error:
        faults += [
            f"{model.name}.{'.'.join(map(str, fault['loc']))}: {fault['msg']}; received {fault['input']!r}"
            for fault in error.errors(include_url=False)
        ]
        return model


def _describe_unknown(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"{name}: is no parameter of this pipeline" + (f"; {nearest[0]} is" if nearest else "")
