"""Section `metrics` of the policy: the label, the task, what the model must reach.

What passes through: plain data comes in, a `MetricsPolicy` goes out, or every fault of the data at once.
No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from servable.checks.plain_values import (
    read_flag,
    read_list,
    read_names,
    read_number,
    read_section,
    read_text,
    read_whole_number,
)


class Task(StrEnum):
    """What a model's output is, and so what is measured."""

    CLASSIFICATION = "classification"  # scores by class, or the class itself
    BINARY = "binary"  # one probability
    REGRESSION = "regression"  # numbers


# Figure to whether more of it is better.
FIGURES_OF_TASKS: Mapping[Task, Mapping[str, bool]] = MappingProxyType(
    {
        Task.CLASSIFICATION: MappingProxyType({"accuracy": True}),
        Task.BINARY: MappingProxyType({"accuracy": True, "auc": True}),
        Task.REGRESSION: MappingProxyType({"mse": False, "mae": False}),
    }
)
# Shares of all rows that may at most be so; nothing is let pass by default.
SHARES = ("unusable_share", "differing_share")


@dataclass(frozen=True, slots=True)
class MetricsPolicy:
    """What is measured on labelled examples.

    Attributes:
        label: Feature with the right answer: a class number or name, 0 or 1, or numbers; "" for no metrics.
        task: What the output is.
        signature: The one that is asked; "" for serving_default, or the only one.
        output: The output that is judged; "" for the only one.
        inputs: Input key to the feature that fills it; one that is not named takes the feature of its name.
        serialized_inputs: String inputs that take the whole serialized tf.Example.
        source_outputs: Output key to the feature with the source framework's own answer: compared row by row,
            and the candidate's metrics with its metrics.
        classes: Names of the classes in the output's order, where the label is a name.
        logits: The one score of a binary task is no probability, but goes through a sigmoid first.
        split: Of an Examples artifact.
        batch_rows: Rows of a request.
        max_samples: Rows that are shown of each fault.
        budget: What must be reached: `accuracy` and `auc` at least, `mse` and `mae` at most; beside the
            source and a previous model `accuracy_drop`, `auc_drop`, `mse_rise`, `mae_rise` at most; of all
            rows `unusable_share` and `differing_share` at most, which are 0 by default.

    Raises:
        ValueError: Values do not go together; all faults at once.
    """

    label: str = ""
    task: Task = Task.CLASSIFICATION
    signature: str = ""
    output: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    serialized_inputs: frozenset[str] = frozenset()
    source_outputs: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    logits: bool = False
    split: str = "eval"
    batch_rows: int = 1000
    max_samples: int = 20
    budget: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = []
        if not self.label and not self.source_outputs:
            faults.append(
                "names neither a label nor source_outputs, so that there is nothing to compare with"
            )
        if both := sorted(self.serialized_inputs & set(self.inputs)):
            faults.append(f"inputs: {', '.join(both)} cannot be a feature and the whole example")
        if self.classes and self.task is not Task.CLASSIFICATION:
            faults.append(f"classes: go with classification, not with {self.task}")
        if self.logits and self.task is not Task.BINARY:
            faults.append(f"logits: go with binary, not with {self.task}")
        faults += [
            f"{name}: must be 1 or more, is {getattr(self, name)}"
            for name in ("batch_rows", "max_samples")
            if getattr(self, name) < 1
        ]
        known = list_budget_names(self.task)
        faults += [
            f"budget: {name!r} does not go with {self.task}, expected some of {', '.join(known)}"
            for name in self.budget
            if name not in known
        ]
        faults += [
            f"budget: {name} must be 0 or more, is {v}" for name, v in self.budget.items() if not v >= 0
        ]
        if faults:
            raise ValueError("; ".join(faults))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Reads the section, keys as the attributes.

        Raises:
            TypeError: The section is no mapping.
            ValueError: Keys are not known, values are of the wrong type or do not go together.
        """
        if not isinstance(settings, Mapping):
            raise TypeError(f"must be a section with a label, is {settings!r}")
        values, faults = read_section(settings, _READERS)
        if faults:
            raise ValueError("; ".join(faults))
        return cls(**values)


def list_budget_names(task: Task) -> tuple[str, ...]:
    """Lists what a budget may name."""
    figures = FIGURES_OF_TASKS[task]
    return (*figures, *map(name_worsening, figures), *SHARES)


def name_worsening(figure: str) -> str:
    """Gives the budget's name of how much worse a figure may be than a baseline's."""
    more_is_better = {name: better for names in FIGURES_OF_TASKS.values() for name, better in names.items()}
    return f"{figure}_drop" if more_is_better[figure] else f"{figure}_rise"


def _read_pairs(value: Any) -> dict[str, str]:
    return {read_text(key): read_text(item) for key, item in value.items()}


_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "label": read_text,
        "task": Task,
        "signature": read_text,
        "output": read_text,
        "inputs": _read_pairs,
        "serialized_inputs": read_names,
        "source_outputs": _read_pairs,
        "classes": lambda value: tuple(read_text(name) for name in read_list(value)),
        "logits": read_flag,
        "split": read_text,
        "batch_rows": read_whole_number,
        "max_samples": read_whole_number,
        "budget": lambda value: {str(name): read_number(limit) for name, limit in value.items()},
    }
)
