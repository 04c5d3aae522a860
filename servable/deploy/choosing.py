"""Which runtime of each platform is to serve a model.

What passes through: platforms, the target that a model was checked for and the user's options come in; for
each platform the version that runs there goes out, and the registry that answers for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from servable.deploy.options import PackOptions
from servable.deploy.platforms import (
    SAGEMAKER_RELEASES,
    SERVING_RELEASES,
    VERTEX_RELEASES,
    Platform,
    choose_release,
    find_processor,
    find_registered,
    name_processor,
    read_series,
)
from servable.targets.catalog import Target


@dataclass(frozen=True, slots=True)
class PlatformRuntime:
    """What is to run on a platform.

    Attributes:
        words: For people, such as "KServe with TensorFlow Serving 2.18.1".
        release: Version or processor as the platform's descriptor names it.
        gate: Runtime whose registry answers for it.
        is_exact: Whether that is the very version.
    """

    words: str
    release: str
    gate: Target
    is_exact: bool


def choose_runtimes(
    platforms: Sequence[Platform], target: Target, options: PackOptions
) -> Mapping[Platform, PlatformRuntime]:
    """Chooses what runs on each platform: what the options name, else the nearest to the target, never newer.

    Raises:
        SettingsError: A processor or version is not known.
        DeployError: A platform has nothing so old.
    """
    return {platform: _choose_runtime(platform, target, options) for platform in platforms}


def _choose_runtime(platform: Platform, target: Target, options: PackOptions) -> PlatformRuntime:
    if platform is Platform.EAS:
        processor = find_processor(options.eas.processor, target)
        name = name_processor(processor)
        return PlatformRuntime(f"PAI-EAS's processor {name}", name, processor, is_exact=True)
    releases, wanted, words = {
        Platform.TF_SERVING: (SERVING_RELEASES, options.tf_serving.release, "TensorFlow Serving {}"),
        Platform.KSERVE: (
            SERVING_RELEASES,
            options.kserve.runtime_version,
            "KServe with TensorFlow Serving {}",
        ),
        Platform.VERTEX: (VERTEX_RELEASES, options.vertex.release, "Vertex AI's container of TensorFlow {}"),
        Platform.SAGEMAKER: (
            SAGEMAKER_RELEASES,
            options.sagemaker.framework_version,
            "SageMaker's container of TensorFlow {}",
        ),
    }[platform]
    release = choose_release(releases, target, wanted=wanted)
    gate = find_registered(release)
    return PlatformRuntime(words.format(release), release, gate, is_exact=gate.series == read_series(release))
