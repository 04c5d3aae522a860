"""Platforms that a pack is made for, and which of their published versions take a model.

What passes through: the target that a model was checked for comes in; the version of TensorFlow that the
platform would run, and the target whose registry answers for that version, go out. The lists are those of
the platforms' own sources; a version that is not listed can be named in the options.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from servable.errors import DeployError, NotApprovedError, SettingsError
from servable.targets.catalog import Target, list_targets
from servable.targets.verdict import judge_meta_graph


class Platform(StrEnum):
    """Where a model can be served."""

    EAS = "eas"
    TF_SERVING = "tf-serving"
    KSERVE = "kserve"
    VERTEX = "vertex"
    SAGEMAKER = "sagemaker"


# The last release of each series of github.com/tensorflow/serving, which tags its images alike.
SERVING_RELEASES: Final = (
    *("1.12.3", "1.13.2", "1.14.0", "1.15.0", "2.0.0", "2.1.4", "2.2.3", "2.3.4", "2.4.4", "2.5.4", "2.6.5"),
    *("2.7.4", "2.8.4", "2.9.3", "2.10.1", "2.11.1", "2.12.2", "2.13.1", "2.14.1", "2.15.1", "2.16.1"),
    *("2.17.1", "2.18.1", "2.19.1", "2.20.0"),
)
# Of google-cloud-aiplatform's list of prebuilt containers for predictions.
VERTEX_RELEASES: Final = ("1.15", *(f"2.{minor}" for minor in range(1, 16)))
# Of the SageMaker Python SDK's image_uri_config/tensorflow.json, inference.
SAGEMAKER_RELEASES: Final = (
    *("1.12.0", "1.13.0", "1.14.0", "1.15.5", "2.0.4", "2.1.3", "2.2.2", "2.3.2", "2.4.3", "2.5.1", "2.6.3"),
    *("2.7.0", "2.8.4", "2.9.3", "2.10.1", "2.11.1", "2.12.1", "2.13.0", "2.14.1", "2.16.1", "2.18.0"),
    "2.19.0",
)
_PROCESSOR_PREFIX: Final = "pai-eas/"
_MAX_SHOWN: Final = 3


def read_platforms(names: Iterable[str]) -> tuple[Platform, ...]:
    """Reads platforms by their names; each counts once.

    Raises:
        SettingsError: A name is not known, or there is none.
    """
    known = {platform.value: platform for platform in Platform}
    given = list(dict.fromkeys(names))
    if not given or any(name not in known for name in given):
        raise SettingsError(
            "A pack is made for platforms that are known here.",
            expected="one or more of " + ", ".join(known),
            received=", ".join(given) or "none",
        )
    return tuple(known[name] for name in given)


def choose_release(releases: Sequence[str], target: Target, *, wanted: str = "") -> str:
    """Chooses the published version that is nearest to what a model was checked for, and not newer.

    Args:
        releases: Of a platform, oldest first.
        target: That the model was checked for.
        wanted: What the options name; taken as it is.

    Raises:
        DeployError: The platform has nothing so old.
    """
    if wanted:
        return wanted
    fitting = [release for release in releases if read_series(release) <= target.series]
    if not fitting:
        raise DeployError(
            "The platform has no version that is as old as what the model was checked for.",
            expected=f"one of {', '.join(releases)}",
            received=f"{target.name}, TensorFlow {target.version}",
            advice="check the model for a newer target, or name the version in the platform's options",
        )
    return fitting[-1]


def read_series(release: str) -> tuple[int, int]:
    """Reads major and minor of a version such as "2.15" or "2.15.1-gpu".

    Raises:
        SettingsError: It begins with no such numbers.
    """
    numbers = release.split("-")[0].split(".")
    if len(numbers) < 2 or not all(number.isdigit() for number in numbers[:2]):
        raise SettingsError(
            "This is no version of TensorFlow.", expected="such as 2.15 or 2.15.1", received=release
        )
    return int(numbers[0]), int(numbers[1])


def find_registered(release: str) -> Target:
    """Finds the newest runtime whose registry is known here and that is not newer than a release.

    Raises:
        SettingsError: There is none so old.
    """
    series = read_series(release)
    prefix = "tensorflow-serving-"
    known = [target for target in list_targets() if target.name.startswith(prefix)]
    fitting = [target for target in known if target.series <= series]
    if not fitting:
        raise SettingsError(
            "Nothing is known here of a version so old.",
            expected=f"{known[0].version} or newer",
            received=release,
        )
    return fitting[-1]


def find_processor(wanted: str, target: Target) -> Target:
    """Finds the processor of PAI-EAS that a model is to be served by.

    Args:
        wanted: Its name, such as "tensorflow_cpu_2.7"; empty for the one that the model was checked for.
        target: That the model was checked for.

    Raises:
        SettingsError: There is no such processor, or none was named.
    """
    processors = {each.name: each for each in list_targets() if each.name.startswith(_PROCESSOR_PREFIX)}
    if not wanted and target.name in processors:
        return target
    found = processors.get(_PROCESSOR_PREFIX + wanted.removeprefix(_PROCESSOR_PREFIX))
    if found is None:
        raise SettingsError(
            "PAI-EAS has no such processor."
            if wanted
            else "Which processor of PAI-EAS is to serve the model?",
            expected=", ".join(name_processor(each) for each in processors.values()),
            received=wanted or f"a model that was checked for {target.name}",
            advice="check the model with --target pai-eas/PROCESSOR, or name a processor in the options",
        )
    return found


def name_processor(target: Target) -> str:
    """Gives a processor's name as a service descriptor has it."""
    return target.name.removeprefix(_PROCESSOR_PREFIX)


def require_fit(meta_graph: Any, gates: Mapping[str, Target]) -> None:
    """Makes sure that every platform's version takes the graph, by its registry and without running it.

    Args:
        meta_graph: As it is written in the SavedModel.
        gates: What is asked for, in words, to the runtime that answers for it.

    Raises:
        NotApprovedError: One does not take it.
    """
    found = {
        what: obstacles
        for what, target in gates.items()
        if (obstacles := judge_meta_graph(meta_graph, target))
    }
    if not found:
        return
    what, obstacles = next(iter(found.items()))
    target = gates[what]
    shown = "; ".join(str(obstacle) for obstacle in obstacles[:_MAX_SHOWN])
    more = f"; and {len(obstacles) - _MAX_SHOWN} more" if len(obstacles) > _MAX_SHOWN else ""
    raise NotApprovedError(
        f"The model does not run on {what}.",
        expected=f"a model that TensorFlow {target.version} loads and runs",
        received=shown + more,
        where=", ".join(found),
        advice=f"convert and check it with --target {target.name}, or choose a newer version in the options",
    )
