"""Rows of tf.Examples as requests: which feature fills which input, and which rows do not fit.

What passes through: a signature and a batch of columns come in, requests by input key go out, each with the
positions of its rows; a row that does not fit is told with the reason. No TensorFlow here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable.checks.metrics_policy import MetricsPolicy
from servable.checks.rows import has_free_rows
from servable.formats.tf_examples import OTHER_KIND, Column, ExampleBatch
from servable.runtime.tensors import find_numpy_dtype
from servable.signature import Signature, TensorSpec

# Keys under which trainers of TFX and of Estimators offer an input of serialized tf.Examples.
SERIALIZED_KEYS = frozenset({"examples", "example", "serialized_examples", "serialized_example"})
_PARSING_METHODS = frozenset({"classify", "regress"})
_KINDS: Mapping[str, str] = {"f": "float", "i": "int64", "O": "bytes"}


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows that cannot be used.

    Attributes:
        reason: One of few, so that reasons can be counted.
        mask: bool [rows], which ones.
        received: What each row has instead, for samples; None where that says nothing.
    """

    reason: str
    mask: np.ndarray
    received: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Rows that are asked together.

    Attributes:
        rows: int64, their positions in the batch.
        inputs: Arrays by input key.
    """

    rows: np.ndarray
    inputs: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class InputPlan:
    """What fills each input of a signature.

    Attributes:
        features: Input key to feature.
        serialized: Inputs that take the whole example.
    """

    features: Mapping[str, str]
    serialized: frozenset[str]


def plan_inputs(signature: Signature, policy: MetricsPolicy) -> InputPlan:
    """Decides what fills each input.

    An input takes the whole example where the policy says so, where the signature's method prescribes it, or
    where it is the only one, of strings, and has the name that trainers give it.
    """
    serialized = set(policy.serialized_inputs)
    if len(signature.inputs) == 1:
        ((key, spec),) = signature.inputs.items()
        is_usual = signature.method in _PARSING_METHODS or key in SERIALIZED_KEYS
        if spec.dtype == "string" and is_usual and key not in policy.inputs:
            serialized.add(key)
    features = {key: policy.inputs.get(key, key) for key in signature.inputs if key not in serialized}
    return InputPlan(features, frozenset(serialized))


def find_plan_faults(signature: Signature, policy: MetricsPolicy) -> Iterator[str]:
    """Yields why a signature cannot be asked with examples at all."""
    for key in sorted({*policy.inputs, *policy.serialized_inputs} - set(signature.inputs)):
        yield f"the policy fills input {key}, and there is none: found {', '.join(signature.inputs)}"
    for key, spec in signature.inputs.items():
        if not has_free_rows(spec):
            yield f"input {key}: {spec} has no free number of rows, so that examples cannot be batched"
        elif sum(size is None for size in (spec.shape or ())[1:]) > 1:
            yield f"input {key}: {spec} has several free sizes, which a flat feature does not tell"
        elif spec.dtype.startswith(("complex", "q", "resource", "variant")):
            yield f"input {key}: no feature holds values of type {spec.dtype}"


def make_requests(
    signature: Signature, plan: InputPlan, batch: ExampleBatch
) -> tuple[list[Request], list[Refused]]:
    """Makes requests of a batch: one, or where an input has a free size one for each size that occurs.

    Args:
        signature: One without faults.
        plan: Of it.
        batch: Rows; those that do not fit are left out and refused.
    """
    usable = np.ones(batch.size, bool)
    usable[list(batch.broken)] = False
    refused = [Refused("this is no tf.Example", ~usable)] if batch.broken else []
    for key, feature in plan.features.items():
        for one in _refuse_rows(feature, batch.columns.get(feature), signature.inputs[key], key, batch.size):
            fresh = one.mask & usable
            if fresh.any():
                refused.append(Refused(one.reason, fresh, one.received))
                usable &= ~fresh
    sizes = [
        batch.columns[feature].lengths
        for key, feature in plan.features.items()
        if feature in batch.columns and _has_free_size(signature.inputs[key])
    ]
    return [
        Request(rows, _fill(signature, plan, batch, rows)) for rows in _group(np.flatnonzero(usable), sizes)
    ], refused


def _fill(
    signature: Signature, plan: InputPlan, batch: ExampleBatch, rows: np.ndarray
) -> dict[str, np.ndarray]:
    inputs = {}
    for key, spec in signature.inputs.items():
        if key in plan.serialized:
            whole = np.empty(len(rows), dtype=object)
            whole[:] = [batch.serialized[row] for row in rows]
            inputs[key] = whole.reshape(-1, *[1] * (len(spec.shape or (None,)) - 1))
        else:
            inputs[key] = take_values(batch.columns[plan.features[key]], spec, rows)
    return inputs


def take_values(column: Column, spec: TensorSpec, rows: np.ndarray) -> np.ndarray:
    """Gives rows of a column in the shape and type of one end of a signature.

    Args:
        column: A feature.
        spec: The end; the rows fit it, and have the same number of values each.
        rows: Positions.
    """
    values = column.values
    if len(rows) != len(column.lengths):
        chosen = np.zeros(len(column.lengths), bool)
        chosen[rows] = True
        values = values[np.repeat(chosen, np.maximum(column.lengths, 0))]
    dtype = find_numpy_dtype(spec.dtype)
    shaped = values.reshape(_complete_shape(spec, len(rows), int(column.lengths[rows[0]])))
    return shaped if shaped.dtype == dtype else shaped.astype(dtype)


def find_unfit_rows(column: Column, spec: TensorSpec) -> np.ndarray:
    """Says which rows have another number of values than an end of a signature takes: bool [rows]."""
    size = math.prod(axis for axis in (spec.shape or ())[1:] if axis is not None)
    if not _has_free_size(spec):
        return np.asarray(column.lengths != size)
    if not size:
        return np.asarray(column.lengths != 0)
    return np.asarray((column.lengths <= 0) | (column.lengths % size != 0))


def _refuse_rows(
    feature: str, column: Column | None, spec: TensorSpec, key: str, rows: int
) -> Iterator[Refused]:
    if column is None:
        yield Refused(f"feature {feature} is missing", np.ones(rows, bool))
        return
    yield Refused(f"feature {feature} is missing", column.lengths == 0)
    reason = _find_other_type(column.values, spec)
    if reason:
        yield Refused(f"feature {feature} {reason}", np.ones(rows, bool))
        return
    yield Refused(f"feature {feature} has values of several types", column.lengths == OTHER_KIND)
    unfit = find_unfit_rows(column, spec)
    yield Refused(
        f"feature {feature} has not as many values as input {key} takes: {spec}", unfit, column.lengths
    )
    if column.values.dtype.kind == "i" and spec.dtype.startswith(("int", "uint", "bool")):
        outside = _find_outside(column, spec)
        if outside is not None:
            yield Refused(f"feature {feature} has values that input {key} cannot hold: {spec}", outside)


def _find_other_type(values: np.ndarray, spec: TensorSpec) -> str:
    kind = values.dtype.kind
    if spec.dtype == "string":
        fits = kind == "O"
    elif spec.dtype.startswith(("int", "uint", "bool")):
        fits = kind == "i"
    else:
        # Trainers parse whole numbers, such as pixels, and cast them.
        fits = kind in "fi"
    return "" if fits else f"is of type {_KINDS.get(kind, kind)}, expected {spec.dtype}"


def _find_outside(column: Column, spec: TensorSpec) -> np.ndarray | None:
    dtype: Any = find_numpy_dtype(spec.dtype)
    if spec.dtype in ("int64", "int4", "uint4"):
        return None
    low, high = (0, 1) if spec.dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    bad = (column.values < low) | (column.values > high)
    if not bad.any():
        return None
    owners = np.repeat(np.arange(len(column.lengths)), np.maximum(column.lengths, 0))
    mask = np.zeros(len(column.lengths), bool)
    mask[owners[bad]] = True
    return mask


def _has_free_size(spec: TensorSpec) -> bool:
    return spec.shape is None or None in spec.shape[1:]


def _complete_shape(spec: TensorSpec, rows: int, length: int) -> tuple[int, ...]:
    if spec.shape is None:
        return (rows,) if length == 1 else (rows, length)
    known = math.prod(axis for axis in spec.shape[1:] if axis is not None)
    return (rows, *(length // known if axis is None else axis for axis in spec.shape[1:]))


def _group(rows: np.ndarray, sizes: list[np.ndarray]) -> Iterator[np.ndarray]:
    if not len(rows):
        return
    if not sizes:
        yield rows
        return
    table = np.stack([size[rows] for size in sizes], axis=1)
    _, group = np.unique(table, axis=0, return_inverse=True)
    group = group.reshape(-1)
    for number in range(int(group.max()) + 1):
        yield rows[group == number]
