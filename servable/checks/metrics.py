"""Check `metrics`: does the model answer labelled examples as well as it must?

What passes through: examples, however many and wherever they are counted, come in as an `ExamplesSource`;
what was counted becomes findings and facts here. Neither this file nor those that it uses know of pipelines.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from servable.checks import layout, ops, tags
from servable.checks.context import Check, Context, make_error
from servable.checks.example_inputs import find_plan_faults
from servable.checks.example_plan import ExamplesPlan
from servable.checks.measures import AUC_BINS
from servable.checks.metrics_policy import FIGURES_OF_TASKS, MetricsPolicy, Task, name_worsening
from servable.checks.tallies import CANDIDATE, PREVIOUS, SOURCE, FailingRows, Tally, Times
from servable.errors import BrokenSourceError
from servable.report import Finding, Report, Severity, Skipped
from servable.signature import DEFAULT_SIGNATURE, Signature

_NAME = "metrics"
_SHOWN_IN_MESSAGE = 3
_BASELINES = {SOURCE: "the source's own answers", PREVIOUS: "the previous model"}


def judge_tally(tally: Tally, plan: ExamplesPlan) -> Report:
    """Turns what was counted into findings and facts.

    Args:
        tally: Of all examples.
        plan: What was asked.
    """
    figures = {side: measure.list_figures() for side, measure in tally.measures.items()}
    findings = [*_judge_rows(tally, plan.policy), *_judge_figures(figures, tally, plan)]
    facts: dict[str, Any] = {
        "task": plan.policy.task.value,
        "label": plan.policy.label,
        "signature": plan.signature.name,
        "output": plan.output,
        "rows": tally.rows,
        "unusable_rows": tally.unusable,
        **{side: {name: round(v, 9) for name, v in found.items()} for side, found in figures.items()},
    }
    if plan.policy.task is Task.BINARY:
        facts["auc_bins"] = AUC_BINS
    if tally.differences:
        facts["differences"] = {
            key: {
                "rows": one.rows,
                "differing_rows": one.failing.count,
                "worst": one.worst if math.isfinite(one.worst) else None,
                "samples": _show(one.failing),
            }
            for key, one in tally.differences.items()
        }
    if tally.reasons:
        facts["unusable"] = {
            reason: {"rows": rows.count, "samples": _show(rows)} for reason, rows in tally.reasons.items()
        }
    facts["times"] = {side: _list_times(times) for side, times in tally.times.items()}
    return Report(str(plan.saved_model_dir), (_NAME,), tuple(findings), facts={_NAME: facts})


def _check_metrics(context: Context) -> Report:
    policy = context.policy.metrics
    if policy is None or context.examples is None:
        reason = "the policy wants metrics, and there are no examples"
        return Report(str(context.saved_model_dir), skipped=(Skipped(_NAME, reason),))
    plan = _make_plan(context, policy)
    if isinstance(plan, ExamplesPlan):
        return context.examples.judge(plan)
    advice = "Correct section metrics of the policy."
    return context.make_report(_NAME, [make_error(_NAME, fault, advice=advice) for fault in plan])


def _make_plan(context: Context, policy: MetricsPolicy) -> ExamplesPlan | list[str]:
    """Makes the plan, or says in words why the model cannot be asked as the policy wants."""
    signature = _choose(context.signatures, policy.signature, DEFAULT_SIGNATURE)
    if signature is None:
        wanted = policy.signature or f"{DEFAULT_SIGNATURE}, or one alone"
        return [f"expected signature {wanted}, found {', '.join(context.signatures) or 'none'}"]
    faults = list(find_plan_faults(signature, policy))
    outputs = signature.outputs
    faults += [
        f"there is no output {key}: found {', '.join(outputs)}"
        for key in policy.source_outputs
        if key not in outputs
    ]
    output = policy.output or (next(iter(outputs)) if len(outputs) == 1 else "")
    if policy.label and output not in outputs:
        wanted = policy.output or "one to be named"
        faults.append(f"which output is judged? expected {wanted}, found {', '.join(outputs)}")
    if faults:
        return faults
    tolerances = {
        key: context.policy.find_tolerance(spec.dtype, signature=signature.name, output=key)
        for key, spec in outputs.items()
    }
    plan = ExamplesPlan(
        context.saved_model_dir,
        signature,
        output if policy.label else "",
        policy,
        tolerances,
        context.policy.make_limits(),
    )
    previous = _find_previous(context, plan)
    if previous is None:
        return plan
    return dataclasses.replace(plan, previous_dir=context.previous, previous=previous)


def _find_previous(context: Context, plan: ExamplesPlan) -> Signature | None:
    """Gives the previous model's signature where it takes the same requests and passes the static checks."""
    if context.previous is None or not plan.output:
        return None
    previous = Context(
        context.previous,
        requests=(),
        baseline=None,
        policy=context.policy,
        progress=None,
        stack=context.stack,
    )
    try:
        if any(check.run(previous).errors for check in (layout.CHECK, tags.CHECK, ops.CHECK)):
            return None
        signature = _choose(previous.signatures, plan.signature.name, plan.signature.name)
    except BrokenSourceError:
        return None
    if signature is None or plan.output not in signature.outputs:
        return None
    same = {key: spec.dtype for key, spec in plan.signature.inputs.items()}
    return signature if {key: spec.dtype for key, spec in signature.inputs.items()} == same else None


def _choose(signatures: Mapping[str, Signature], name: str, usual: str) -> Signature | None:
    if name or usual in signatures or len(signatures) != 1:
        return signatures.get(name or usual)
    return next(iter(signatures.values()))


def _judge_rows(tally: Tally, policy: MetricsPolicy) -> Iterator[Finding]:
    if not tally.rows:
        yield make_error(_NAME, "there is not one example", advice="Name files that hold some.")
        return
    for fault, batches in sorted(tally.faults.items()):
        yield make_error(
            _NAME, f"{fault} ({batches} requests)", advice="Correct section metrics of the policy."
        )
    is_too_much = tally.unusable / tally.rows > policy.budget.get("unusable_share", 0.0)
    for reason, rows in sorted(tally.reasons.items()):
        message = f"{rows.count} of {tally.rows} rows cannot be used: {reason}{_show_some(rows)}"
        advice = "Mend the examples, or let a share of them pass with unusable_share in the budget."
        yield Finding(_NAME, Severity.ERROR if is_too_much else Severity.INFO, message, advice=advice)
    for key, one in sorted(tally.differences.items()):
        if one.failing.count:
            is_too_much = one.failing.count / one.rows > policy.budget.get("differing_share", 0.0)
            message = f"the answer differs from the source's own in {one.failing.count} of {one.rows} rows"
            yield Finding(
                _NAME,
                Severity.ERROR if is_too_much else Severity.INFO,
                message + _show_some(one.failing),
                f"output {key}",
                "Compare preprocessing and training switches; tolerances are those of check fidelity.",
            )


def _judge_figures(
    figures: Mapping[str, Mapping[str, float]], tally: Tally, plan: ExamplesPlan
) -> Iterator[Finding]:
    policy = plan.policy
    where = f"signature {plan.signature.name}, output {plan.output}"
    own = figures.get(CANDIDATE, {})
    for name, more_is_better in FIGURES_OF_TASKS[policy.task].items():
        limit, worsening = policy.budget.get(name), name_worsening(name)
        if name not in own:
            wanted = [given for given in (name, worsening) if given in policy.budget]
            if wanted:
                message = f"the budget has {', '.join(wanted)}, and the rows do not tell {name}"
                advice = "Take examples with labels of both kinds." if name == "auc" else ""
                yield make_error(_NAME, message, where=where, advice=advice)
            continue
        if limit is not None and (own[name] < limit if more_is_better else own[name] > limit):
            bound = "at least" if more_is_better else "at most"
            message = f"{name} is {own[name]:.6g} over {tally.rows} rows, expected {bound} {limit:g}"
            yield make_error(_NAME, message, where=where, advice="Train better, or lower the budget.")
        yield from _judge_worsening(name, figures, policy, more_is_better=more_is_better, where=where)


def _judge_worsening(
    name: str,
    figures: Mapping[str, Mapping[str, float]],
    policy: MetricsPolicy,
    *,
    more_is_better: bool,
    where: str,
) -> Iterator[Finding]:
    worsening = name_worsening(name)
    limit = policy.budget.get(worsening)
    if limit is None:
        return
    sides = [side for side in _BASELINES if name in figures.get(side, {})]
    if not sides:
        message = f"the budget has {worsening}, and there is neither a previous model nor the source's output"
        yield Finding(
            _NAME, Severity.WARNING, message, where, "Name source_outputs, or give a previous model."
        )
    for side in sides:
        own, other = figures[CANDIDATE][name], figures[side][name]
        worse = other - own if more_is_better else own - other
        # A share of rows is a rounded number; a limit that is met exactly is met.
        if worse > limit + 1e-12:
            message = f"{name} is {own:.6g}, and {other:.6g} with {_BASELINES[side]}: worse by {worse:.6g}"
            advice = "Look at what has changed, or raise the budget."
            yield make_error(_NAME, f"{message}, expected at most {limit:g}", where=where, advice=advice)


def _show(rows: FailingRows) -> list[str]:
    return [str(sample) for sample in rows.samples]


def _show_some(rows: FailingRows) -> str:
    return f", such as {'; '.join(_show(rows)[:_SHOWN_IN_MESSAGE])}"


def _list_times(times: Times) -> dict[str, float]:
    return {
        "requests": int(times.bins.sum()),
        "rows_per_s": round(times.rows / times.total_s, 1) if times.total_s else 0.0,
        **{f"request_p{p}_s": round(times.find_quantile_s(p / 100), 6) for p in (50, 90, 99)},
    }


CHECK = Check(
    _NAME,
    _check_metrics,
    needs=("serving_load",),
    is_asked=lambda policy: policy.metrics is not None,
)
