"""Check `fidelity`: does the SavedModel in the runtime answer what the source framework answered?

What passes through: the baseline's outputs and the candidate's, compared element by element.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from servable.baseline import Sample
from servable.checks.comparison import compare_arrays, count_not_finite
from servable.checks.context import Check, Context, make_error, make_warning
from servable.checks.figures import compare_in_figures
from servable.checks.visits import Visit
from servable.report import Finding, Report, Skipped
from servable.signature import Signature

_NAME = "fidelity"
# A report stays small however many outputs a model has; the checks themselves look at all of them.
_MAX_FIGURES = 24


def _check_fidelity(context: Context) -> Report:
    if context.baseline is None or not context.baseline.samples:
        reason = "there is no baseline: nothing is known of what the source framework answers"
        return Report(str(context.saved_model_dir), skipped=(Skipped(_NAME, reason),))
    findings: list[Finding] = []
    worst: dict[str, dict[str, float | None]] = {}
    figures: dict[str, dict[str, Any]] = {}
    for name, sample in context.baseline.samples.items():
        visit = context.visits.get(name)
        if visit is None:
            message = (
                "the baseline's request has no answer to compare"
                if name in context.signatures
                else (
                    f"the baseline is of a signature that is not there: found {', '.join(context.signatures)}"
                )
            )
            findings.append(make_error(_NAME, message, where=f"signature {name}"))
            continue
        found, differences = _compare(name, sample, visit, context)
        findings += found
        worst[name] = differences
        if (room := _MAX_FIGURES - sum(map(len, figures.values()))) > 0:
            figures[name] = _describe_in_figures(name, visit, context, room)
    findings += _find_uncompared(context, worst)
    facts = {"worst_differences": worst, "comparisons": {name: own for name, own in figures.items() if own}}
    return context.make_report(_NAME, findings, facts)


def _describe_in_figures(name: str, visit: Visit, context: Context, room: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    wanted = context.baseline.samples[name].outputs if context.baseline else {}
    for key in [key for key in wanted if key in visit.outputs][:room]:
        expected = wanted[key]
        tolerance = context.policy.find_tolerance(expected.dtype.name, signature=name, output=key)
        figure = compare_in_figures(expected, visit.outputs[key], atol=tolerance.atol, rtol=tolerance.rtol)
        if figure is not None:
            figures[key] = figure
    return figures


def _find_uncompared(context: Context, compared: Collection[str]) -> Iterator[Finding]:
    # A default signature often is another name for the one that was asked for.
    known = {_list_tensors(context.signatures[name]) for name in compared}
    unknown = [name for name in context.visits if _list_tensors(context.signatures[name]) not in known]
    if unknown and compared:
        yield make_warning(
            _NAME,
            "there is no baseline of these signatures: their answers were compared with nothing",
            where=f"signatures {', '.join(unknown)}",
            advice="Write the baseline with all signatures that clients call, or leave the others out.",
        )


def _list_tensors(signature: Signature) -> tuple[frozenset[str], frozenset[str]]:
    inputs, outputs = signature.inputs.values(), signature.outputs.values()
    return frozenset(spec.tensor for spec in inputs), frozenset(spec.tensor for spec in outputs)


def _compare(
    name: str, sample: Sample, visit: Visit, context: Context
) -> tuple[list[Finding], dict[str, float | None]]:
    findings: list[Finding] = []
    differences: dict[str, float | None] = {}
    for key, expected in sample.outputs.items():
        where = f"signature {name}, output {key}"
        nan, inf, first = count_not_finite(expected)
        if first or nan or inf:
            message = f"the source framework itself answers {nan} NaN and {inf} infinite values"
            findings.append(make_error(_NAME, f"{message}, first at {list(first)}", where=where))
        if key not in visit.outputs:
            found = ", ".join(visit.outputs)
            findings.append(make_error(_NAME, f"the output is missing: found {found}", where=where))
            continue
        received = visit.outputs[key]
        tolerance = context.policy.find_tolerance(expected.dtype.name, signature=name, output=key)
        difference = compare_arrays(expected, received, tolerance)
        differences[key] = difference.worst
        if difference.message:
            findings.append(
                make_error(
                    _NAME,
                    difference.message,
                    where=where,
                    advice="Compare training switches, moving averages and preprocessing with the trainer's "
                    "own inference; raise the tolerance in the policy only if the difference is rounding.",
                )
            )
    unknown = [key for key in visit.outputs if key not in sample.outputs]
    if unknown and sample.outputs:
        message = f"the baseline has no values of {', '.join(unknown)}: they were compared with nothing"
        findings.append(make_warning(_NAME, message, where=f"signature {name}"))
    return findings, differences


CHECK = Check(_NAME, _check_fidelity, needs=("serving_load",))
