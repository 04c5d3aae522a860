"""What a node's result rests on beside its parameters and artifacts, found without TFX.

What passes through: a node's execution properties and input artifacts come in, the properties that its driver
would add on another runner go out. Neither TensorFlow nor TFX here, so that a task that finds nothing new
takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from components.artifacts import find_local_dir, get_artifact
from components.options import read_options
from components.runtimes_here import RUNTIMES_HERE, describe_runtimes_here
from components.served_model import (
    SERVED_DIGEST,
    SERVED_DIR,
    SERVED_VERSION,
    digest_model,
    find_served,
)
from components.source_content import (
    OPTIONS_DIGEST,
    RESOLVED_SOURCE,
    SOURCE_DIGEST,
    TOOLCHAIN,
    describe_toolchain,
    pin_source,
)
from components.source_locating import SOURCE_MODEL, open_located
from components.source_probe.examples import digest_examples
from servable.errors import CheckError, SettingsError

EXAMPLES_FILES: Final = "examples_files"
EXAMPLES_DIGEST: Final = "examples_digest"
_MODEL: Final = "model"
_POLICY: Final = "policy"
_DIGEST_PROPERTY: Final = "saved_model_digest"
# TFX's standard layout of a Model artifact (tfx/utils/path_constants.py, SERVING_MODEL_DIR).
_SERVING_DIR: Final = "Format-Serving"


class ProbeKind(StrEnum):
    """Which of a node's foundations are looked at."""

    CONVERSION = "conversion"  # the source, the files of the options, the toolchain
    VALIDATION = "validation"  # the toolchain, the runtimes, the examples, the version that is served
    TOOLCHAIN = "toolchain"  # the toolchain, and the runtimes where there is a policy


@dataclass(frozen=True, slots=True)
class ProbedArtifact:
    """What a probe needs to know of an input artifact.

    Attributes:
        uri: Where it lies, as this machine sees it.
        metadata: Its custom properties.
    """

    uri: str
    metadata: Mapping[str, Any]


def list_outputs(kind: ProbeKind, properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Names the properties that a probe finds.

    Args:
        kind: Of the probe.
        properties: Names of the node's execution properties that are given, to whatever value.
    """
    if kind is ProbeKind.CONVERSION:
        return (RESOLVED_SOURCE, SOURCE_DIGEST, OPTIONS_DIGEST, TOOLCHAIN)
    names = [TOOLCHAIN]
    if _POLICY in properties:
        names.append(RUNTIMES_HERE)
    if kind is ProbeKind.VALIDATION and EXAMPLES_FILES in properties:
        names.append(EXAMPLES_DIGEST)
    if kind is ProbeKind.VALIDATION and SERVED_DIR in properties:
        names += [SERVED_VERSION, SERVED_DIGEST]
    return tuple(names)


def list_inputs(kind: ProbeKind, properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Names the input artifacts that a probe looks at; a node need not have them all."""
    if kind is ProbeKind.CONVERSION:
        return (SOURCE_MODEL,)
    # The version that is served is another one than the new model, which therefore has to be known.
    return (_MODEL,) if kind is ProbeKind.VALIDATION and SERVED_DIR in properties else ()


def probe_node(
    kind: ProbeKind, properties: Mapping[str, Any], artifacts: Mapping[str, Sequence[ProbedArtifact]]
) -> dict[str, str]:
    """Looks at everything.

    Args:
        kind: Of the probe.
        properties: The node's execution properties.
        artifacts: Those of its input artifacts that `list_inputs` names.

    Returns:
        A value for each of `list_outputs`.

    Raises:
        SourceError: There is nothing complete and known at the source, or it cannot be fetched.
        SettingsError: The options or the policy are wrong, or name files that are not there.
        CheckError: A file of the examples or of a served version cannot be read.
    """
    found = {TOOLCHAIN: describe_toolchain()} | describe_runtimes_here(properties)
    if kind is ProbeKind.CONVERSION:
        found |= _probe_source(properties, artifacts)
    elif kind is ProbeKind.VALIDATION:
        found |= _probe_validation(properties, artifacts)
    return {name: found[name] for name in list_outputs(kind, properties)}


def _probe_source(
    properties: Mapping[str, Any], artifacts: Mapping[str, Sequence[ProbedArtifact]]
) -> dict[str, str]:
    options = read_options(properties.get("options"), signatures=properties.get("signatures"))
    with open_located(properties, artifacts, step=options.source.step) as source:
        if source is None:
            raise SettingsError(
                "The node has neither a source nor a source_model.",
                expected="one of them",
                advice="give the component source or source_model",
            )
        return pin_source(source.path, options, address=source.address).to_properties()


def _probe_validation(
    properties: Mapping[str, Any], artifacts: Mapping[str, Sequence[ProbedArtifact]]
) -> dict[str, str]:
    found = {}
    try:
        if EXAMPLES_FILES in properties:
            found[EXAMPLES_DIGEST] = digest_examples(str(properties[EXAMPLES_FILES]))
        if SERVED_DIR in properties:
            model = get_artifact(artifacts, _MODEL)
            served = find_served(Path(str(properties[SERVED_DIR])), _read_digest(model))
            found |= served.to_properties()
    except OSError as error:
        raise CheckError(
            "A file that the checks need cannot be read.",
            expected="files that the task may read",
            received=str(error),
        ) from error
    return found


def _read_digest(model: ProbedArtifact | None) -> str:
    if model is None:
        return ""
    written = model.metadata.get(_DIGEST_PROPERTY)
    if written:
        return str(written)
    return digest_model(find_local_dir(model.uri) / _SERVING_DIR)
