"""Check `inference_mode`: does the model answer as in inference, or is training still switched on?

What passes through: the same request twice (dropout and other noise differ), rows alone and together (batch
statistics differ), and the ops on each signature's path that could do such things.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

import numpy as np

from servable.checks import op_groups
from servable.checks.comparison import compare_arrays, is_inexact
from servable.checks.context import Check, Context, Visit, make_error, make_warning
from servable.checks.policy import Tolerance
from servable.checks.rows import count_rows, is_row_wise, take_rows
from servable.checks.switches import find_switches
from servable.graphs.batch_norm import FUSED_OPS
from servable.report import Finding, Report, Severity, Skipped
from servable.runtime.outcome import CallResult
from servable.signature import Signature

_NAME = "inference_mode"
_MAX_ROWS_ALONE = 3
_MAX_SHOWN = 5
_ADVICE = (
    "Export in inference mode: call the model with training=False, or freeze its training switch to the "
    "inference value."
)


class _Seen(StrEnum):
    """What runs have shown of an effect that an op could have."""

    NOTHING = "no run could show what that does to the answers"
    NO_EFFECT = "runs show no effect on the answers"
    EFFECT = "this may be why the answers differ"


def _check_inference_mode(context: Context) -> Report:
    findings: list[Finding] = []
    for name, signature in context.signatures.items():
        visit = context.visits.get(name)
        noise = rows = _Seen.NOTHING
        if visit is not None:
            differences = list(_compare_repeated(signature, visit, context))
            noise = _Seen.EFFECT if differences else _Seen.NO_EFFECT
            findings += differences
            if not differences and context.session.alive and is_row_wise(signature):
                rows, differences = _compare_rows(signature, visit, context)
                findings += differences
        findings += _find_training_ops(name, context, noise=noise, rows=rows)
        findings += find_switches(_NAME, name, context)
    report = context.make_report(_NAME, findings)
    if not context.visits and not findings:
        reason = "no signature could be run, and nothing in the graph looks like training"
        return Report(report.subject, skipped=(Skipped(_NAME, reason),))
    return report


def _compare_repeated(signature: Signature, visit: Visit, context: Context) -> Iterator[Finding]:
    result = context.call(signature, visit.inputs)
    where = f"signature {signature.name}"
    if result.fault is not None:
        yield make_error(
            _NAME, f"the same request fails the second time: {result.fault.message}", where=where
        )
        return
    for key, message in _compare(visit.outputs, result.outputs, context):
        yield make_error(
            _NAME,
            f"the same request is answered differently the second time: {message}",
            where=f"{where}, output {key}",
            advice=_ADVICE,
        )


def _compare_rows(signature: Signature, visit: Visit, context: Context) -> tuple[_Seen, list[Finding]]:
    total = count_rows(signature, visit.inputs)
    if total is None or total < 2 or any(out.shape[:1] != (total,) for out in visit.outputs.values()):
        return _Seen.NOTHING, []
    where = f"signature {signature.name}"
    for row in range(min(total, _MAX_ROWS_ALONE)):
        result: CallResult = context.call(signature, take_rows(signature, visit.inputs, [row]))
        if result.fault is not None:
            message = f"row {row} alone could not be run: {' '.join(result.fault.message.split())}"
            return _Seen.NOTHING, [make_warning(_NAME, message, where=where)]
        together = {key: value[row : row + 1] for key, value in visit.outputs.items()}
        differences = [
            make_error(
                _NAME,
                f"row {row} alone is answered otherwise than among {total} rows: {message}",
                where=f"{where}, output {key}",
                advice=_ADVICE + " If rows belong together by design, switch this check off in the policy.",
            )
            for key, message in _compare(together, result.outputs, context)
        ]
        if differences:
            return _Seen.EFFECT, differences
    return _Seen.NO_EFFECT, []


def _compare(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], context: Context
) -> Iterator[tuple[str, str]]:
    for key, expected in first.items():
        base = context.policy.find_tolerance(expected.dtype.name)
        message = compare_arrays(expected, second[key], _scale(base, expected)).message
        if message:
            yield key, message


def _scale(tolerance: Tolerance, values: np.ndarray) -> Tolerance:
    """Fits the absolute part to the outputs' own size: noise in small probabilities is noise too."""
    if not is_inexact(values.dtype) or values.size == 0:
        return tolerance
    wide = np.abs(values.astype(np.complex128 if values.dtype.kind == "c" else np.float64))
    finite = wide[np.isfinite(wide)]
    size = float(finite.max()) if finite.size else 0.0
    return Tolerance(tolerance.atol * min(1.0, size), tolerance.rtol)


def _find_training_ops(name: str, context: Context, *, noise: _Seen, rows: _Seen) -> Iterator[Finding]:
    random, seeded, statistics = [], [], []
    for placed in context.reach.iterate_nodes(name):
        op = placed.node.op
        if op in op_groups.RANDOM_OPS:
            random.append(placed.where)
        elif op.startswith(op_groups.STATELESS_RANDOM_PREFIX):
            seeded.append(placed.where)
        elif op in FUSED_OPS:
            attributes = placed.node.attr
            if "is_training" not in attributes or attributes["is_training"].b:
                statistics.append(placed.where)
    # By itself none of these proves anything: the op may stand in a branch that is not taken, and tf_keras
    # computes LayerNormalization with a FusedBatchNorm in training mode. What was seen in a run decides.
    for places, seen, what in (
        (random, noise, "draws random numbers"),
        # The same noise each time: a repeated run can't show it.
        (seeded, rows if rows is _Seen.EFFECT else _Seen.NOTHING, "draws random numbers from a seed"),
        (statistics, rows, "normalizes with the statistics of the batch (is_training=true)"),
    ):
        if places:
            more = f" and {len(places) - _MAX_SHOWN} more" if len(places) > _MAX_SHOWN else ""
            yield Finding(
                _NAME,
                Severity.WARNING if seen is _Seen.NOTHING else Severity.INFO,
                f"the path of signature {name} {what}; {seen.value}",
                ", ".join(places[:_MAX_SHOWN]) + more,
                _ADVICE if seen is _Seen.NOTHING else "",
            )


CHECK = Check(_NAME, _check_inference_mode, needs=("serving_load",))
