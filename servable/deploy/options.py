"""What a user may say about each platform, as plain values.

What passes through: a mapping from JSON or YAML comes in, `PackOptions` with every fault of the mapping
found at once go out. Addresses have a stand-in where none is given: then they are to be replaced before
they are used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

from servable.deploy.platforms import Platform
from servable.errors import SettingsError

STAND_IN: Final = "BUCKET"
ARCHIVES: Final = ("tar.gz", "zip")


@dataclass(frozen=True, slots=True)
class EasOptions:
    """Of PAI-EAS.

    Attributes:
        uri: Folder in OSS that the archive and the warm-up file are uploaded to.
        processor: Such as "tensorflow_cpu_2.7"; empty for the one that the model was checked for.
        instances: How many run.
        cpu: Cores of each.
        memory_mb: Of each.
        gpu: Of each; with a processor for GPUs at least 1.
        batching: Whether EAS joins requests; sizes come from the measured latencies.
        signature: That production calls; empty for `serving_default`, or the only one.
        output_filter: Outputs that production asks for; none for all.
        archive: "tar.gz" or "zip".
        storage: Mounts, as they stand in a service descriptor.
        service: Anything else of a service descriptor, laid over what is written here.
    """

    uri: str = f"oss://{STAND_IN}/PATH"
    processor: str = ""
    instances: int = 1
    cpu: int = 2
    memory_mb: int = 4000
    gpu: int = 0
    batching: bool = False
    signature: str = ""
    output_filter: tuple[str, ...] = ()
    archive: str = ARCHIVES[0]
    storage: tuple[Mapping[str, Any], ...] = ()
    service: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TfServingOptions:
    """Of TensorFlow Serving.

    Attributes:
        base_dir: Folder on the server that has one folder for each model.
        release: Of TensorFlow Serving, such as "2.18.1"; empty for the nearest to what the model was checked
            for.
        labels: Names for this version, such as "stable".
        threads: That run batches; None for the server's own choice, one for each core.
    """

    base_dir: str = "/models"
    release: str = ""
    labels: tuple[str, ...] = ()
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class KserveOptions:
    """Of KServe.

    Attributes:
        uri: Folder that the model's folder, with its version inside, is uploaded to.
        namespace: Of Kubernetes; empty for the caller's.
        runtime_version: Tag of the image of TensorFlow Serving; empty as for `TfServingOptions.release`.
        cpu: Of Kubernetes' own form, such as "500m".
        memory: Likewise, such as "2Gi".
        gpu: How many.
        canary_percent: Share of the requests that a new version gets; None for all.
    """

    uri: str = f"gs://{STAND_IN}/PATH"
    namespace: str = ""
    runtime_version: str = ""
    cpu: str = "1"
    memory: str = "2Gi"
    gpu: int = 0
    canary_percent: int | None = None


@dataclass(frozen=True, slots=True)
class VertexOptions:
    """Of Vertex AI.

    Attributes:
        uri: Folder in Cloud Storage that the model's folder is uploaded to.
        registry: Of the prebuilt containers: "us", "europe" or "asia".
        release: TensorFlow's of the container, such as "2.15"; empty for the nearest to what was checked.
        gpu: Whether the container for GPUs is taken.
    """

    uri: str = f"gs://{STAND_IN}/PATH"
    registry: str = "us"
    release: str = ""
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class SageMakerOptions:
    """Of SageMaker.

    Attributes:
        uri: Folder in S3 that the archive is uploaded to.
        role: ARN of the role that runs the endpoint.
        framework_version: Of the container, such as "2.19.0"; empty for the nearest to what was checked.
    """

    uri: str = f"s3://{STAND_IN}/PATH"
    role: str = "arn:aws:iam::ACCOUNT:role/ROLE"
    framework_version: str = ""


@dataclass(frozen=True, slots=True)
class PackOptions:
    """Of all platforms.

    Raises:
        SettingsError: A number, a word or an address cannot be; all faults at once.
    """

    eas: EasOptions = field(default_factory=EasOptions)
    tf_serving: TfServingOptions = field(default_factory=TfServingOptions)
    kserve: KserveOptions = field(default_factory=KserveOptions)
    vertex: VertexOptions = field(default_factory=VertexOptions)
    sagemaker: SageMakerOptions = field(default_factory=SageMakerOptions)

    def __post_init__(self) -> None:
        faults = []
        for name, scheme in (("eas", "oss"), ("vertex", "gs"), ("sagemaker", "s3"), ("kserve", "")):
            uri = getattr(self, name).uri
            if "://" not in uri or (scheme and not uri.startswith(f"{scheme}://")):
                faults.append(f"{name}.uri: {uri!r} is no address at {scheme or 'SCHEME'}://")
        for key in ("instances", "cpu", "memory_mb"):
            if getattr(self.eas, key) < 1:
                faults.append(f"eas.{key}: must be 1 or more, is {getattr(self.eas, key)}")
        if self.eas.archive not in ARCHIVES:
            faults.append(f"eas.archive: {self.eas.archive!r} is none of {', '.join(ARCHIVES)}")
        if self.tf_serving.threads is not None and self.tf_serving.threads < 1:
            faults.append(f"tf-serving.threads: must be 1 or more, is {self.tf_serving.threads}")
        if self.kserve.canary_percent is not None and not 0 <= self.kserve.canary_percent <= 100:
            faults.append(f"kserve.canary_percent: must be 0 to 100, is {self.kserve.canary_percent}")
        _raise_faults(faults)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Reads options from plain data, ``{"eas": {"uri": "oss://...", "cpu": 4}, "kserve": {...}}``.

        Args:
            settings: Platforms' names to their options, keys as the attributes.

        Raises:
            SettingsError: A platform or key is not known, or a value is of the wrong type; all at once.
        """
        faults: list[str] = []
        sections: dict[str, Any] = {}
        for name, given in settings.items():
            kind = _SECTIONS.get(str(name))
            if kind is None:
                faults.append(f"{name}: no such platform")
            elif not isinstance(given, Mapping):
                faults.append(f"{name}: {given!r} is no mapping")
            else:
                section, found = _read_section(kind, str(name), given)
                sections[str(name).replace("-", "_")] = section
                faults += found
        _raise_faults(faults)
        return cls(**sections)


_SECTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        Platform.EAS.value: EasOptions,
        Platform.TF_SERVING.value: TfServingOptions,
        Platform.KSERVE.value: KserveOptions,
        Platform.VERTEX.value: VertexOptions,
        Platform.SAGEMAKER.value: SageMakerOptions,
    }
)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


# A field's annotation to what its value may be, in words and as a test.
_KINDS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = MappingProxyType(
    {
        "str": ("a text", lambda value: isinstance(value, str)),
        "int": ("a whole number", _is_number),
        "int | None": ("a whole number", lambda value: value is None or _is_number(value)),
        "bool": ("true or false", lambda value: isinstance(value, bool)),
        "tuple[str, ...]": ("a list of texts", _is_texts),
        "Mapping[str, Any]": ("a mapping", lambda value: isinstance(value, Mapping)),
        "tuple[Mapping[str, Any], ...]": (
            "a list of mappings",
            lambda value: (
                isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value)
            ),
        ),
    }
)


def _read_section(kind: Any, name: str, given: Mapping[str, Any]) -> tuple[Any, list[str]]:
    kinds = {each.name: str(each.type) for each in dataclasses.fields(kind)}
    values, faults = {}, []
    for key, value in given.items():
        if key not in kinds:
            faults.append(f"{name}.{key}: not known; known are {', '.join(kinds)}")
            continue
        words, is_right = _KINDS[kinds[key]]
        if is_right(value):
            values[key] = tuple(value) if isinstance(value, list) else value
        else:
            faults.append(f"{name}.{key}: {value!r} is not {words}")
    return (None if faults else kind(**values)), faults


def _raise_faults(faults: list[str]) -> None:
    if faults:
        raise SettingsError(
            "The options of the platforms have faults.",
            expected="platforms " + ", ".join(_SECTIONS) + ", and their keys as documented",
            received="; ".join(faults),
            advice="correct or leave out what is named; a key that is missing has its default",
        )
