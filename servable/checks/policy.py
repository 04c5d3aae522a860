"""What the checks tolerate: the user's say in inspection, as plain values.

What passes through: a mapping from YAML or JSON comes in, a `CheckPolicy` with every fault of the mapping
found at once goes out. No TensorFlow here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from servable.errors import SettingsError
from servable.report import Severity
from servable.runtime.installed import is_version
from servable.runtime.outcome import Limits
from servable.targets.catalog import CURRENT, find_target

# In the order in which they are made.
CHECK_NAMES = (
    "layout",
    "tags",
    "signatures",
    "ops",
    "target",
    "variables",
    "weights",
    "serving_load",
    "fidelity",
    "inference_mode",
    "batch",
    "runtimes",
)
# Without these two there is no graph that others could look at: neither can be left out, nor what it says be
# lowered.
INDISPENSABLE = frozenset({"layout", "tags"})


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a value may be off: at most ``atol + rtol * abs(expected)``."""

    atol: float
    rtol: float


# Some ten units in the last place of a sum of a few hundred terms, per type. Types that are not here
# (integers, bool, string) are compared exactly.
DEFAULT_TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        "float64": Tolerance(1e-6, 1e-6),
        "float32": Tolerance(1e-4, 1e-4),
        "float16": Tolerance(1e-2, 1e-2),
        "bfloat16": Tolerance(5e-2, 5e-2),
        "float8_e4m3fn": Tolerance(0.25, 0.25),
        "float8_e5m2": Tolerance(0.5, 0.5),
        "complex64": Tolerance(1e-4, 1e-4),
        "complex128": Tolerance(1e-6, 1e-6),
    }
)


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """What the checks tolerate.

    Attributes:
        tolerances: By dtype of the output; a dtype that is not named has its default.
        severities: Check name to the severity that its warnings and errors get instead of their own.
            Lowering "ops" also lets the runtime run a graph that reads files or runs code.
        switched_off: Checks that are not made.
        allowed_ops: Ops that run code, touch files or go online and are a warning all the same, not an error.
        load_time_s: Time limit for loading the model in the runtime.
        run_time_s: Time limit for each request.
        memory_bytes: Of the runtime's process; None for the machine's memory.
        batch_sizes: Rows of the requests that the batch check makes.
        target: The runtime that is to serve the model, as in `servable.targets.catalog`.
        runtimes: Versions of TensorFlow in whose own runtime the model is run, such as "1.15.5", "1.15" for
            the newest installed of these, or "current". That of the target is taken too where it is
            installed.

    Raises:
        SettingsError: A check, dtype or target is not known, a version is none, or a number is out of its
            range; all faults at once.
    """

    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    switched_off: frozenset[str] = frozenset()
    allowed_ops: frozenset[str] = frozenset()
    load_time_s: float = 300.0
    run_time_s: float = 60.0
    memory_bytes: int | None = None
    batch_sizes: tuple[int, ...] = (1, 2, 3, 7)
    target: str = CURRENT
    runtimes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        faults = [f"switched_off: no check {name!r}" for name in sorted(self.switched_off - {*CHECK_NAMES})]
        faults += [
            f"switched_off: {name} is always made" for name in sorted(self.switched_off & INDISPENSABLE)
        ]
        faults += [f"severities: no check {name!r}" for name in sorted({*self.severities} - {*CHECK_NAMES})]
        for dtype, tolerance in self.tolerances.items():
            if dtype not in DEFAULT_TOLERANCES:
                faults.append(f"tolerances: {dtype!r} is compared exactly, or is no dtype")
            elif not (tolerance.atol >= 0 and tolerance.rtol >= 0):
                faults.append(f"tolerances: {dtype} must not be negative")
        for name in ("load_time_s", "run_time_s", "memory_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                faults.append(f"{name}: must be more than 0, is {value}")
        if any(size < 1 for size in self.batch_sizes):
            faults.append(f"batch_sizes: must be 1 or more, are {list(self.batch_sizes)}")
        faults += _find_target_fault(self.target)
        faults += [f"runtimes: {name!r} is no version" for name in self.runtimes if not is_version(name)]
        _raise_faults(faults)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Reads a policy from plain data.

        Args:
            settings: Keys as the attributes; `tolerances` as ``{float32: {atol: 1e-4, rtol: 1e-4}}``,
                `severities` as ``{weights: warning}``, `switched_off`, `allowed_ops`, `batch_sizes` and
                `runtimes` as lists. A key that is missing has its default.

        Raises:
            SettingsError: Keys are not known or values are of the wrong type; all faults at once.
        """
        known = {item.name for item in dataclasses.fields(cls)}
        faults = [f"{key}: not known" for key in sorted(set(settings) - known, key=str)]
        values: dict[str, Any] = {}
        for key in sorted(known & set(settings)):
            try:
                values[key] = _READERS[key](settings[key])
            except (TypeError, ValueError, AttributeError) as error:
                faults.append(f"{key}: {error}")
        _raise_faults(faults, expected="keys " + ", ".join(sorted(known)))
        return cls(**values)

    def find_tolerance(self, dtype: str) -> Tolerance:
        """Gives the tolerance of a dtype; nothing is tolerated where values are exact."""
        exact = Tolerance(0.0, 0.0)
        return self.tolerances.get(dtype) or DEFAULT_TOLERANCES.get(dtype, exact)

    def make_limits(self) -> Limits:
        """Says it in the runtime's words."""
        limits = Limits(load_time_s=self.load_time_s, run_time_s=self.run_time_s)
        if self.memory_bytes is None:
            return limits
        return dataclasses.replace(limits, memory_bytes=self.memory_bytes)


def _raise_faults(faults: list[str], *, expected: str = "") -> None:
    if faults:
        raise SettingsError(
            "The policy of the checks has faults.",
            expected=expected or "checks " + ", ".join(CHECK_NAMES),
            received="; ".join(faults),
            advice="correct or leave out what is named; a key that is missing has its default",
        )


def _find_target_fault(name: str) -> list[str]:
    try:
        find_target(name)
    except SettingsError as error:
        return [f"target: no target {name!r}, expected {error.expected}"]
    return []


def _read_tolerances(value: Any) -> dict[str, Tolerance]:
    tolerances = {}
    for dtype, given in value.items():
        if set(given) != {"atol", "rtol"}:
            raise ValueError(f"{dtype} takes atol and rtol, has {', '.join(map(str, given)) or 'nothing'}")
        tolerances[str(dtype)] = Tolerance(_read_number(given["atol"]), _read_number(given["rtol"]))
    return tolerances


def _read_severities(value: Any) -> dict[str, Severity]:
    return {str(name): Severity(severity) for name, severity in value.items()}


def _read_number(value: Any) -> float:
    # YAML 1.1 reads 1e-4 as text.
    if isinstance(value, bool):
        raise TypeError(f"must be a number, is {value}")
    return float(value)


def _read_whole_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"must be a whole number, is {value!r}")
    return value


def _read_text(value: Any) -> str:
    # YAML reads 2.7 as a number, and 1.10 as the same one as 1.1.
    if not isinstance(value, str):
        raise TypeError(f"must be a text, in quotes, is {value!r}")
    return value


def _read_names(value: Any) -> frozenset[str]:
    return frozenset(str(name) for name in _read_list(value))


def _read_list(value: Any) -> Any:
    if isinstance(value, str):
        raise TypeError(f"must be a list of names, is {value!r}")
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "tolerances": _read_tolerances,
        "severities": _read_severities,
        "switched_off": _read_names,
        "allowed_ops": _read_names,
        "load_time_s": _read_number,
        "run_time_s": _read_number,
        "memory_bytes": lambda value: None if value is None else _read_whole_number(value),
        "batch_sizes": lambda value: tuple(_read_whole_number(size) for size in value),
        "target": _read_text,
        "runtimes": lambda value: tuple(_read_text(version) for version in _read_list(value)),
    }
)
