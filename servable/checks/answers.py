"""What a model's output says by task: a class, a probability or numbers, and what does not say it.

What passes through: labels and outputs of many rows as arrays come in; answers as the accumulators of
`servable.checks.measures` take them go out, with a reason for every row that has none. No TensorFlow here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from servable.checks.comparison import is_inexact
from servable.checks.example_inputs import Refused
from servable.checks.metrics_policy import MetricsPolicy, Task
from servable.formats.tf_examples import Column


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers, or labels, of some rows.

    Attributes:
        values: One row each; rows that have none are filled with anything.
        refused: Why rows have none.
    """

    values: np.ndarray
    refused: tuple[Refused, ...] = ()


def find_output_fault(policy: MetricsPolicy, output: np.ndarray) -> str:
    """Says why an output does not go with the task at all; "" when it does.

    Args:
        policy: With the task.
        output: [rows, ...], of at least one row.
    """
    is_number = is_inexact(output.dtype) and output.dtype.kind != "c"
    width = output[0].size
    shape = f"{output.dtype.name} {['?', *output.shape[1:]]}".replace("'", "")
    if policy.task is Task.CLASSIFICATION:
        if width == 1 and not is_number:
            return ""
        if is_number and width > 1 and output.ndim == 2:
            return ""
        return f"classification needs scores [?, classes] or the class itself [?], received {shape}"
    if policy.task is Task.BINARY:
        if is_number and width in (1, 2):
            return ""
        return f"binary needs one probability a row, or two that add up to 1, received {shape}"
    return "" if is_number or output.dtype.kind in "iu" else f"regression needs numbers, received {shape}"


def read_answers(policy: MetricsPolicy, output: np.ndarray) -> Answers:
    """Reads what an output answers.

    Args:
        policy: With the task.
        output: [rows, ...], one that has no fault.
    """
    rows = len(output)
    flat = output.reshape(rows, -1)
    if policy.task is Task.CLASSIFICATION and not is_inexact(flat.dtype):
        if flat.dtype == object:
            return _name_classes(policy, flat[:, 0], "the model names a class that is not among `classes`")
        return Answers(flat[:, 0].astype(np.int64))
    numbers = flat.astype(np.float64)
    unusable = np.asarray(~np.isfinite(numbers).all(axis=1))
    refused = [Refused("the model answers NaN or infinity", unusable)]
    if policy.task is Task.CLASSIFICATION:
        return Answers(np.argmax(np.where(unusable[:, None], 0.0, numbers), axis=1), _keep(refused))
    if policy.task is Task.REGRESSION:
        return Answers(numbers, _keep(refused))
    scores = np.where(unusable, 0.0, numbers[:, -1])
    if policy.logits:
        scores = 1 / (1 + np.exp(-np.clip(scores, -700, 700)))
    outside = (scores < 0) | (scores > 1)
    reason = "the score is no probability: it is not between 0 and 1 (logits: true takes such scores)"
    return Answers(np.clip(scores, 0, 1), _keep([*refused, Refused(reason, outside, scores)]))


def read_labels(policy: MetricsPolicy, column: Column | None, rows: int, *, width: int) -> Answers:
    """Reads the label of each row.

    Args:
        policy: With the feature's name.
        column: The feature; None where no row has it.
        rows: How many there are.
        width: How many numbers a regression's label has.
    """
    wanted = width if policy.task is Task.REGRESSION else 1
    if column is None:
        every = np.ones(rows, bool)
        return Answers(np.zeros((rows, wanted)), (Refused(f"label {policy.label} is missing", every),))
    missing = column.lengths == 0
    wrong = (column.lengths != wanted) & ~missing
    refused = [
        Refused(f"label {policy.label} is missing", missing),
        Refused(f"label {policy.label} has not {wanted} values", wrong, column.lengths),
    ]
    usable = ~missing & ~wrong
    held = column.values[np.repeat(usable, np.maximum(column.lengths, 0))]
    values = np.zeros((rows, wanted), held.dtype)
    values[usable] = held.reshape(-1, wanted)
    if policy.task is Task.REGRESSION:
        return _read_numbers(policy, values, refused, usable)
    found = _read_classes(policy, values[:, 0], usable)
    return Answers(found.values, _keep([*refused, *found.refused]))


def _read_numbers(
    policy: MetricsPolicy, values: np.ndarray, refused: list[Refused], usable: np.ndarray
) -> Answers:
    if values.dtype == object:
        return Answers(
            np.zeros(values.shape), _keep([*refused, Refused(f"label {policy.label} is a text", usable)])
        )
    numbers = values.astype(np.float64)
    bad = usable & ~np.isfinite(numbers).all(axis=1)
    return Answers(numbers, _keep([*refused, Refused(f"label {policy.label} is NaN or infinite", bad)]))


def _read_classes(policy: MetricsPolicy, values: np.ndarray, usable: np.ndarray) -> Answers:
    if values.dtype == object:
        reason = f"label {policy.label} is not among `classes`"
        found = _name_classes(policy, values, reason)
        return Answers(
            found.values, tuple(Refused(r.reason, r.mask & usable, r.received) for r in found.refused)
        )
    numbers = values.astype(np.float64)
    odd = usable & ~((numbers == np.floor(numbers)) & np.isfinite(numbers))
    if policy.task is Task.BINARY:
        odd |= usable & (numbers != 0) & (numbers != 1)
        reason = f"label {policy.label} is neither 0 nor 1"
    else:
        reason = f"label {policy.label} is no whole number"
    whole = np.where(odd | ~usable, 0, numbers) if values.dtype.kind == "f" else values
    return Answers(whole.astype(np.int64), (Refused(reason, odd, values),))


def _name_classes(policy: MetricsPolicy, names: np.ndarray, reason: str) -> Answers:
    """Turns names into numbers where `classes` are given; else names are compared as they stand."""
    if not policy.classes:
        return Answers(names)
    numbers = {name.encode(): number for number, name in enumerate(policy.classes)}
    found = np.array([numbers.get(name, -1) for name in names.tolist()], np.int64)
    return Answers(found, _keep([Refused(reason, found < 0, names)]))


def _keep(refused: list[Refused]) -> tuple[Refused, ...]:
    return tuple(one for one in refused if one.mask.any())
