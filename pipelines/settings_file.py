"""The settings file: one YAML file in, frozen `Settings` out, or one error that lists every fault of it.

What passes through: `python -m pipelines RUNNER CONFIG` reads its file here. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.options import add_target
from pipelines.settings import ModelSettings, Settings
from pipelines.yaml_file import KeyPath, YamlFile, read_yaml
from servable.checks.policy import CheckPolicy
from servable.deploy.options import PackOptions
from servable.deploy.platforms import read_platforms
from servable.errors import ServableError, SettingsError
from servable.signature import read_requests
from servable.targets.catalog import find_target

# TFX's Pusher copies every file whose full path does not contain this, then the one of this very name; below
# a directory of that name it copies nothing (tfx/components/pusher/executor.py, `deny_regex_patterns`).
_FORBIDDEN_IN_PATHS = "saved_model.pb"


def load_settings(path: Path) -> Settings:
    """Reads a settings file.

    Args:
        path: YAML; relative paths in it are taken from its own folder.

    Returns:
        Frozen settings with absolute paths. No file named in them is opened.

    Raises:
        SettingsError: The file has faults; all of them are listed, each with key path and line.

    Example:
        >>> settings = load_settings(Path("configs/local.yaml"))
        >>> settings.models[0].push_dir.name
        'ranker'
    """
    file = read_yaml(path)
    faults: list[tuple[KeyPath, str]] = [
        (key_path, "is given twice, the second time here") for key_path, _ in file.duplicates
    ]
    settings = None
    try:
        settings = Settings.model_validate(file.data, context={"folder": path.absolute().parent})
    except ValidationError as error:
        faults += [_describe_fault(dict(detail)) for detail in error.errors(include_url=False)]
    # The rules below need only the models that are right by themselves, so that one pass tells everything.
    models = dict(_list_valid_models(file, settings))
    for index, model in models.items():
        faults += _check_model(model, ("models", index))
    faults += _check_models_together(models)
    if settings is not None:
        faults += _check_pipeline(settings)
    if faults:
        raise _make_error(file, faults)
    assert settings is not None
    return settings.name_file(path.absolute())


def _describe_fault(detail: Mapping[str, Any]) -> tuple[KeyPath, str]:
    loc = tuple(detail["loc"])
    message = str(detail["msg"])
    if detail["type"] == "extra_forbidden":
        message = "is not a key of the settings"
    elif detail["type"] == "missing":
        message = "is missing"
    elif detail["type"] == "string_pattern_mismatch":
        message = f"may hold letters, digits, _ and - only; received {detail['input']!r}"
    elif isinstance(cause := getattr(detail.get("ctx", {}).get("error"), "__cause__", None), SettingsError):
        # It says itself what was received, without a password that may stand there.
        message = _flatten(cause)
    elif not isinstance(detail["input"], Mapping | list):
        message = message.removeprefix("Value error, ")
        message = f"{message[0].lower()}{message[1:]}; received {detail['input']!r}"
    return loc, message


def _list_valid_models(file: YamlFile, settings: Settings | None) -> Iterator[tuple[int, ModelSettings]]:
    if settings is not None:
        yield from enumerate(settings.models)
        return
    models = file.data.get("models") if isinstance(file.data, Mapping) else None
    for index, given in enumerate(models if isinstance(models, list) else []):
        try:
            yield index, ModelSettings.model_validate(given, context={"folder": file.path.absolute().parent})
        except ValidationError:
            continue


def _check_model(model: ModelSettings, at: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    for name, body in model.signature_data.items():
        try:
            read_requests({name: body})
        except ServableError as error:
            yield (*at, "signatures", name), _flatten(error)
    try:
        CheckPolicy.from_dict(model.policy)
    except ServableError as error:
        yield (*at, "policy"), _flatten(error)
    else:
        yield from _check_target(model, at)
        if model.examples is not None and not model.policy.get("metrics"):
            yield (*at, "examples"), "has no use without section metrics of the policy, which names the label"
    if model.default_signature not in (None, "first", *model.signatures) and model.signatures:
        yield (
            (*at, "default_signature"),
            f"names none of the signatures ({', '.join(model.signatures)}); received "
            f"{model.default_signature!r}",
        )
    yield from _check_pack(model, at)
    if model.make_warmup and not model.make_baseline:
        yield (*at, "make_warmup"), "needs make_baseline: warm-up requests are made from the baseline"
    if _FORBIDDEN_IN_PATHS in str(model.push_dir):
        yield (*at, "push"), f"must not contain {_FORBIDDEN_IN_PATHS!r}, a name that TFX's Pusher looks for"


def _check_pack(model: ModelSettings, at: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if model.pack is None:
        return
    for key, read in (
        ("platforms", lambda pack: read_platforms(pack.platforms)),
        ("options", lambda pack: PackOptions.from_dict(pack.options)),
    ):
        try:
            read(model.pack)
        except ServableError as error:
            yield (*at, "pack", key), _flatten(error)


def _check_target(model: ModelSettings, at: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    try:
        target = find_target(model.target)
    except ServableError as error:
        yield (*at, "target"), _flatten(error)
        return
    try:
        add_target(model.policy, target.name)
    except ServableError as error:
        yield (*at, "policy", "target"), _flatten(error)


def _check_models_together(models: Mapping[int, ModelSettings]) -> Iterator[tuple[KeyPath, str]]:
    names: dict[str, int] = {}
    for index, model in models.items():
        first = names.setdefault(model.name, index)
        if first != index:
            yield ("models", index, "name"), f"is also the name of models[{first}]: {model.name!r}"
        for other, other_model in models.items():
            # Within a model's directory, a server takes every directory with a number as a version of it.
            if other_model.push_dir in model.push_dir.parents:
                yield (
                    ("models", index, "push"),
                    f"leads into the directory of models[{other}]: {other_model.push_dir}",
                )


def _check_pipeline(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    if not settings.models:
        yield ("models",), "names no model"
    if _FORBIDDEN_IN_PATHS in str(settings.pipeline.root):
        yield (
            ("pipeline", "root"),
            f"must not contain {_FORBIDDEN_IN_PATHS!r}: TFX's Pusher would copy nothing",
        )


def _flatten(error: ServableError) -> str:
    return " ".join(str(error).split())


def _make_error(file: YamlFile, faults: list[tuple[KeyPath, str]]) -> SettingsError:
    lines_of_duplicates = dict(file.duplicates)
    listed = []
    for key_path, message in faults:
        line = lines_of_duplicates.get(key_path) if "given twice" in message else file.find_line(key_path)
        place = f"line {line}: " if line is not None else ""
        listed.append(f"{place}{_write_key_path(key_path) or 'the file'}: {message}")
    count = "1 fault" if len(listed) == 1 else f"{len(listed)} faults"
    return SettingsError(
        f"The settings file has {count}.\n    " + "\n    ".join(listed),
        expected="keys and values as in configs/local.yaml",
        where=str(file.path),
        advice="correct what is named; nothing was run",
    )


def _write_key_path(key_path: KeyPath) -> str:
    text = ""
    for part in key_path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
