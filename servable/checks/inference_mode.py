"""Check `inference_mode`: does the model answer as in inference, or is training still switched on?

What passes through: the same request twice (dropout and other noise differ), rows alone and together (batch
statistics differ), and the ops on each signature's path that could do such things, with their layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from servable.checks import op_groups
from servable.checks.context import Check, Context, make_error
from servable.checks.neighbours import Seen, compare_answers, compare_rows
from servable.checks.reach import PlacedNode
from servable.checks.rows import is_row_wise
from servable.checks.switches import find_switches
from servable.checks.visits import Visit
from servable.graphs.batch_norm import FUSED_OPS
from servable.report import Finding, Report, Severity, Skipped
from servable.signature import Signature
from servable.targets.verdict import find_origin

_NAME = "inference_mode"
_MAX_SHOWN = 5
_ADVICE = (
    "Export in inference mode: call the model with training=False, or freeze its training switch to the "
    "inference value."
)
_ROWS_ADVICE = _ADVICE + " If rows belong together by design, switch this check off in the policy."


def _check_inference_mode(context: Context) -> Report:
    findings: list[Finding] = []
    for name, signature in context.signatures.items():
        visit = context.visits.get(name)
        noise = rows = Seen.NOTHING
        if visit is not None:
            differences = list(_compare_repeated(signature, visit, context))
            noise = Seen.EFFECT if differences else Seen.NO_EFFECT
            findings += differences
            if not differences and context.session.alive and is_row_wise(signature):
                rows, differences = compare_rows(_NAME, signature, visit, context, advice=_ROWS_ADVICE)
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
    # The first run of a graph takes longer than any other; what a larger request costs is told by this one.
    fastest_s = min(visit.elapsed_s, result.elapsed_s)
    context.visits[signature.name] = dataclasses.replace(visit, elapsed_s=fastest_s)
    for key, message in compare_answers(visit.outputs, result.outputs, signature.name, context):
        yield make_error(
            _NAME,
            f"the same request is answered differently the second time: {message}",
            where=f"{where}, output {key}",
            advice=_ADVICE,
        )


def _find_training_ops(name: str, context: Context, *, noise: Seen, rows: Seen) -> Iterator[Finding]:
    random, seeded, statistics = [], [], []
    for placed in context.reach.iterate_nodes(name):
        op = placed.node.op
        if op in op_groups.RANDOM_OPS:
            random.append(_name_place(placed))
        elif op.startswith(op_groups.STATELESS_RANDOM_PREFIX):
            seeded.append(_name_place(placed))
        elif op in FUSED_OPS:
            attributes = placed.node.attr
            if "is_training" not in attributes or attributes["is_training"].b:
                statistics.append(_name_place(placed))
    # By itself none of these proves anything: the op may stand in a branch that is not taken, and tf_keras
    # computes LayerNormalization with a FusedBatchNorm in training mode. What was seen in a run decides.
    for places, seen, what in (
        (random, noise, "draws random numbers"),
        # The same noise each time: a repeated run can't show it.
        (seeded, rows if rows is Seen.EFFECT else Seen.NOTHING, "draws random numbers from a seed"),
        (statistics, rows, "normalizes with the statistics of the batch (is_training=true)"),
    ):
        if places:
            more = f" and {len(places) - _MAX_SHOWN} more" if len(places) > _MAX_SHOWN else ""
            yield Finding(
                _NAME,
                Severity.WARNING if seen is Seen.NOTHING else Severity.INFO,
                f"the path of signature {name} {what}; {seen.value}",
                ", ".join(places[:_MAX_SHOWN]) + more,
                _ADVICE if seen is Seen.NOTHING else "",
            )


def _name_place(placed: PlacedNode) -> str:
    origin = find_origin(placed.node.name)
    return f"{placed.where} ({placed.node.op}{f' of {origin}' if origin else ''})"


CHECK = Check(_NAME, _check_inference_mode, needs=("serving_load",))
