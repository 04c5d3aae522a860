"""Targets: the runtimes that people serve with, by the names that they use. No TensorFlow here.

What passes through: a name such as "pai-eas/tensorflow_cpu_2.7" comes in, a `Target` goes out: which version
of TensorFlow it is, what its loader is strict about, and which dtypes its wire format carries. A platform's
build is taken for what the package of the same version number is.

Example:
    >>> find_target("tensorflow-1.15").is_v1
    True
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from servable.errors import SettingsError
from servable.signature import DTYPE_NUMBERS
from servable.targets.registry import CURRENT_VERSION, Registry, list_versions, load_registry

CURRENT: Final = "current"

# Up to this version a node that mentions an unknown attribute is refused; later ones log it and go on.
_LAST_STRICT: Final = (2, 4)
_FIRST_V2: Final = (2, 0)

# A handle has no values that could travel.
_TENSOR_PROTO_DTYPES: Final = frozenset(DTYPE_NUMBERS) - {"resource", "variant"}
# ArrayDataType of tf_predict.proto that its client libraries can write and read.
_EAS_DTYPES: Final = frozenset(
    {"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool", "string"}
)
# Processors of PAI-EAS, by device.
_EAS_VERSIONS: Final = {
    "cpu": ("1.12", "1.14", "1.15", "2.3", "2.4", "2.7"),
    "gpu": ("1.12", "1.14", "1.15", "2.4", "2.7"),
}
# Image that KServe's own runtime for TensorFlow takes where an InferenceService names no runtimeVersion.
_KSERVE_DEFAULT: Final = "2.6"


@dataclass(frozen=True, slots=True)
class Target:
    """A serving runtime.

    Attributes:
        name: The name that people use for it.
        version: TensorFlow's version whose registry holds for it.
        platform: What runs it.
        wire_dtypes: Dtypes of inputs and outputs that clients can send and receive.
    """

    name: str
    version: str
    platform: str
    wire_dtypes: frozenset[str]

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)

    @property
    def is_strict(self) -> bool:
        """True where an attribute that the loader does not know makes it refuse the model."""
        return self.series <= _LAST_STRICT

    @property
    def is_v1(self) -> bool:
        """True where a SavedModel has to have the form that TensorFlow 1 wrote."""
        return self.series < _FIRST_V2

    @property
    def registry(self) -> Registry:
        """What it knows."""
        return load_registry(self.version)


def list_targets() -> tuple[Target, ...]:
    """Lists all targets, those of one platform together, oldest first."""
    return tuple(_list_all().values())


def find_target(name: str) -> Target:
    """Finds a target by its name.

    Args:
        name: As in `list_targets`; case does not matter, and of a version the number alone does as well, of
            a processor its own name.

    Raises:
        SettingsError: There is none; the nearest ones are named.
    """
    targets = _list_all()
    wanted = name.strip().lower()
    short = _shorten(wanted)
    for spelling in (wanted, short, f"tensorflow-{short}", f"pai-eas/{wanted}"):
        if spelling in targets:
            return targets[spelling]
    near = difflib.get_close_matches(wanted, targets, n=5, cutoff=0.4)
    raise SettingsError(
        "There is no such target.",
        expected=" or ".join(near or list(targets)),
        received=name,
        advice="servable targets  lists all of them",
    )


@cache
def _list_all() -> dict[str, Target]:
    return {target.name: target for target in _make_all()}


def _make_all() -> Iterator[Target]:
    yield Target(CURRENT, CURRENT_VERSION, "TensorFlow", _TENSOR_PROTO_DTYPES)
    versions = {_shorten(version): version for version in list_versions()}
    for series, version in versions.items():
        yield Target(f"tensorflow-{series}", version, "TensorFlow", _TENSOR_PROTO_DTYPES)
    for series, version in versions.items():
        yield Target(f"tensorflow-serving-{series}", version, "TensorFlow Serving", _TENSOR_PROTO_DTYPES)
    yield Target("kserve", versions[_KSERVE_DEFAULT], "KServe's default image", _TENSOR_PROTO_DTYPES)
    for device, known in _EAS_VERSIONS.items():
        for series in known:
            yield Target(f"pai-eas/tensorflow_{device}_{series}", versions[series], "PAI-EAS", _EAS_DTYPES)


def _shorten(version: str) -> str:
    """Takes the patch number off: "1.15.5" and "tensorflow-1.15.5" lose their last part."""
    head, _, last = version.rpartition(".")
    return head if last.isdigit() and head.count(".") == 1 else version
