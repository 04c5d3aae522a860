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

from servable.checks.budgets import find_budget_faults, read_budget
from servable.checks.metrics_policy import MetricsPolicy
from servable.checks.plain_values import (
    read_flag,
    read_list,
    read_names,
    read_number,
    read_section,
    read_text,
    read_whole_number,
)
from servable.checks.tolerances import DEFAULT_TOLERANCES, EXACT, Tolerance, find_faults, read_tolerances
from servable.errors import SettingsError
from servable.report import Severity
from servable.runtime.installed import is_version
from servable.runtime.outcome import Limits
from servable.targets.catalog import CURRENT, find_target

__all__ = ["CHECK_NAMES", "INDISPENSABLE", "CheckPolicy", "Tolerance"]

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
    "cost",
    "robustness",
    "runtimes",
    "metrics",
)
# Without these two there is no graph that others could look at: neither can be left out, nor what it says be
# lowered.
INDISPENSABLE = frozenset({"layout", "tags"})


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """What the checks tolerate.

    Attributes:
        tolerances: By dtype of the output; a dtype that is not named has its default.
        output_tolerances: By output, "KEY" or "SIGNATURE/KEY", in place of its dtype's.
        severities: Check name to the severity that its warnings and errors get instead of their own.
            Lowering "ops" also lets the runtime run a graph that reads files or runs code.
        switched_off: Checks that are not made.
        allowed_ops: Ops that run code, touch files or go online and are a warning all the same, not an error.
        load_time_s: Time limit for loading the model in the runtime.
        run_time_s: Time limit for each request.
        memory_bytes: Of the runtime's process; None for the machine's memory.
        batch_sizes: Rows of the requests that the checks of rows make; a size that would be too expensive
            for the model is left out, and that is said.
        version_folder: Whether the folder is meant to be a version that a server picks up, so that its own
            name has to be a number.
        budget: What the model may cost, by the names of `servable.checks.budgets`.
        metrics: What is measured on labelled examples; None measures nothing.
        target: The runtime that is to serve the model, as in `servable.targets.catalog`.
        runtimes: Versions of TensorFlow in whose own runtime the model is run, such as "1.15.5", "1.15" for
            the newest installed of these, or "current". That of the target is taken too where it is
            installed.

    Raises:
        SettingsError: A check, dtype or target is not known, a version is none, or a number is out of its
            range; all faults at once.
    """

    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    output_tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    switched_off: frozenset[str] = frozenset()
    allowed_ops: frozenset[str] = frozenset()
    load_time_s: float = 300.0
    run_time_s: float = 60.0
    memory_bytes: int | None = None
    batch_sizes: tuple[int, ...] = (1, 2, 3, 7, 64)
    version_folder: bool = False
    budget: Mapping[str, float] = field(default_factory=dict)
    metrics: MetricsPolicy | None = None
    target: str = CURRENT
    runtimes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        faults = [f"switched_off: no check {name!r}" for name in sorted(self.switched_off - {*CHECK_NAMES})]
        faults += [
            f"switched_off: {name} is always made" for name in sorted(self.switched_off & INDISPENSABLE)
        ]
        faults += [f"severities: no check {name!r}" for name in sorted({*self.severities} - {*CHECK_NAMES})]
        faults += find_faults(self.tolerances, self.output_tolerances)
        faults += find_budget_faults(self.budget)
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
                `severities` as ``{weights: warning}``, `budget` as ``{load_time_s: 5}``, `switched_off`,
                `allowed_ops`, `batch_sizes` and `runtimes` as lists. A key that is missing has its default.

        Raises:
            SettingsError: Keys are not known or values are of the wrong type; all faults at once.
        """
        readers = dict(sorted(_READERS.items()))
        values, faults = read_section(settings, readers)
        _raise_faults(faults, expected="keys " + ", ".join(readers))
        return cls(**values)

    def find_tolerance(self, dtype: str, *, signature: str = "", output: str = "") -> Tolerance:
        """Gives the tolerance of an output, else of its dtype; nothing is tolerated where values are exact.

        Args:
            dtype: TensorFlow's name of the type.
            signature: Whose output it is.
            output: Its serving key; "" for what holds for the dtype.
        """
        for name in (f"{signature}/{output}", output):
            if output and name in self.output_tolerances:
                return self.output_tolerances[name]
        return self.tolerances.get(dtype) or DEFAULT_TOLERANCES.get(dtype, EXACT)

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


def _read_severities(value: Any) -> dict[str, Severity]:
    return {str(name): Severity(severity) for name, severity in value.items()}


_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "tolerances": read_tolerances,
        "output_tolerances": read_tolerances,
        "severities": _read_severities,
        "switched_off": read_names,
        "allowed_ops": read_names,
        "load_time_s": read_number,
        "run_time_s": read_number,
        "memory_bytes": lambda value: None if value is None else read_whole_number(value),
        "batch_sizes": lambda value: tuple(read_whole_number(size) for size in value),
        "version_folder": read_flag,
        "budget": read_budget,
        "metrics": lambda value: None if value is None else MetricsPolicy.from_dict(value),
        "target": read_text,
        "runtimes": lambda value: tuple(read_text(version) for version in read_list(value)),
    }
)
