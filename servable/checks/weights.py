"""Check `weights`: are all values readable, undamaged, finite, and something that was trained?

What passes through: every value of every variable, a chunk at a time, so that memory stays the same however
large the model is; and constants of the graph, where the weights of a frozen model lie.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from servable.checks.comparison import count_not_finite, is_inexact
from servable.checks.context import Check, Context, describe_error, make_error, make_warning
from servable.checks.figures import ValueFigures
from servable.checks.tolerances import DEFAULT_TOLERANCES
from servable.errors import SourceError
from servable.formats.checkpoints.bundle import OBJECT_GRAPH_KEY, BundleEntry, iter_values
from servable.report import Finding, Report

_NAME = "weights"
_MAX_SHOWN = 200
_LEAST_VALUES = 16
_ADVICE = "Take an earlier checkpoint, from before the training diverged."
# How the keys of tf.train.Checkpoint's variables end.
_OBJECT_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_FLOAT_CONSTANTS: dict[int, Any] = {1: np.float32, 2: np.float64, 19: np.float16}


def _check_weights(context: Context) -> Report:
    findings = list(_check_constants(context))
    variables: list[dict[str, Any]] = []
    if context.has_variables:
        findings += _check_variables(context, variables)
    largest = sorted(variables, key=lambda variable: -variable["size_bytes"])[:_MAX_SHOWN]
    return context.make_report(_NAME, findings, {"weights": largest} if largest else {})


def _check_variables(context: Context, described: list[dict[str, Any]]) -> Iterator[Finding]:
    try:
        bundle = context.bundle
    except SourceError as error:
        yield make_error(_NAME, describe_error(error), where="variables/variables.index")
        return
    entries = {key: entry for key, entry in bundle.entries.items() if key != OBJECT_GRAPH_KEY}
    total = sum(entry.size_bytes for entry in entries.values())
    done = 0
    for key, entry in entries.items():
        nan = inf = position = 0
        first: int | None = None
        figures = ValueFigures()
        try:
            for values in iter_values(bundle, key):
                if is_inexact(values.dtype):
                    more_nan, more_inf, at = count_not_finite(values)
                    if at and first is None:
                        first = position + at[0]
                    nan, inf = nan + more_nan, inf + more_inf
                figures.add(values)
                position += values.size
        except SourceError as error:
            yield make_error(
                _NAME, describe_error(error), where=key, advice="Copy the files again, or export again."
            )
        if first is not None:
            index = [int(i) for i in np.unravel_index(first, entry.shape)] if entry.shape else []
            message = f"{nan} NaN and {inf} infinite values of {position}, first at {index}"
            yield make_error(_NAME, message, where=f"variable {key}", advice=_ADVICE)
        yield from _judge_spread(key, entry, figures.to_facts())
        described.append(
            {
                "name": key.removesuffix(_OBJECT_SUFFIX),
                "dtype": entry.dtype,
                "shape": list(entry.shape),
                "size_bytes": entry.size_bytes,
                **figures.to_facts(),
            }
        )
        done += entry.size_bytes
        if context.progress is not None:
            context.progress(_NAME, done, total)


def _judge_spread(key: str, entry: BundleEntry, facts: Mapping[str, float | None]) -> Iterator[Finding]:
    # Biases and scales rightly start as zeros and ones; no matrix of weights does, and none ends so.
    is_matrix = len(entry.shape) > 1 and math.prod(entry.shape) >= _LEAST_VALUES
    value = facts.get("min")
    if value == 0 and "bias" in key.lower():
        return  # that of a GRU has two rows
    if is_matrix and value is not None and value == facts["max"] and entry.dtype in DEFAULT_TOLERANCES:
        message = f"all {math.prod(entry.shape)} values are {value:g}: training has never touched them"
        advice = "Look whether the checkpoint was restored into this variable before the export."
        yield make_warning(_NAME, message, where=f"variable {key}", advice=advice)


def _check_constants(context: Context) -> Iterator[Finding]:
    for placed in context.reach.iterate_all():
        node = placed.node
        if node.op != "Const" or node.attr["dtype"].type not in _FLOAT_CONSTANTS:
            continue
        # Infinite constants are common: masks and limits of a range. NaN is nobody's intention.
        nan = _count_nan(node.attr["value"].tensor)
        if nan and (placed.place, node.name) in context.reach.purposes:
            yield make_error(_NAME, f"{nan} NaN values in a constant", where=placed.where, advice=_ADVICE)


def _count_nan(tensor: Any) -> int:
    if tensor.tensor_content:
        dtype = np.dtype(_FLOAT_CONSTANTS[tensor.dtype])
        usable = len(tensor.tensor_content) // dtype.itemsize * dtype.itemsize
        values = np.frombuffer(tensor.tensor_content[:usable], dtype)
    elif tensor.half_val:
        values = np.array(tensor.half_val, dtype=np.uint16).view(np.float16)
    else:
        values = np.array([*tensor.float_val, *tensor.double_val], dtype=np.float64)
    return int(np.isnan(values).sum())


CHECK = Check(_NAME, _check_weights, needs=("variables",))
