"""Check `cost`: what does the model take in bytes and seconds, and is that within the budget?

What passes through: sizes of files, the runtime's memory, latencies by number of rows. Figures are facts;
only a budget of the policy makes findings of them. Beside a previous model both are loaded anew and asked in
turns, so that one and the same machine, under one and the same load, decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from servable.checks import layout, ops, tags
from servable.checks.budgets import find_excesses, find_regressions, is_compared, is_timed
from servable.checks.context import Check, Context, make_error, make_warning
from servable.checks.rows import count_rows, has_free_rows, take_rows
from servable.checks.timing import Latencies, measure_latencies
from servable.formats.checkpoints.bundle import OBJECT_GRAPH_KEY
from servable.report import Finding, Report, Severity
from servable.runtime.session import Session, open_session
from servable.signature import Signature

_NAME = "cost"
_GLANCE_S = 0.02  # for each size of request, where nothing depends on it
_MEASUREMENT_S = 0.5
_GLANCE_RUN_S = 0.25  # a model that takes longer is not asked again only for facts


def _check_cost(context: Context) -> Report:
    budget = context.policy.budget
    latencies = _measure(context, [context.session], [context.signatures])[0]
    figures: dict[str, float] = {
        **_weigh(context),
        "peak_memory_bytes": context.session.peak_memory_bytes,
        "load_time_s": round(context.session.load_time_s, 3),
        **_summarize(latencies),
    }
    findings = [
        make_error(_NAME, message, where=str(context.saved_model_dir), advice=_ADVICE)
        for message in find_excesses(budget, figures)
    ]
    facts: dict[str, Any] = {**figures, "latencies": _list_facts(latencies)}
    if context.previous is not None:
        found, facts["previous"] = _compare(context, context.previous)
        findings += found
    elif is_compared(budget):
        message = "the budget has ratios, and there is no previous model to compare with"
        findings.append(Finding(_NAME, Severity.INFO, message))
    return context.make_report(_NAME, findings, {"cost": facts})


_ADVICE = "Make the model smaller or faster, or raise the budget in the policy."
_Latencies = dict[str, list[Latencies]]


def _measure(
    context: Context, sessions: list[Session], signatures: list[Mapping[str, Signature]]
) -> list[_Latencies]:
    """Measures each session's latencies, by signature."""
    decides = is_timed(context.policy.budget)
    found: list[_Latencies] = [{} for _ in sessions]
    for name, visit in context.distinct_visits.items():
        if any(name not in offered for offered in signatures):
            continue
        if not decides and len(sessions) == 1 and visit.elapsed_s > _GLANCE_RUN_S:
            continue
        signature = context.signatures[name]
        total = count_rows(signature, visit.inputs)
        sizes, _ = context.list_batch_sizes(signature) if total else ([], {})
        for size in sorted({min(sizes), max(sizes)}) if sizes else [0]:
            inputs = (
                take_rows(signature, visit.inputs, [i % total for i in range(size)])
                if total and size
                else visit.inputs
            )
            both = measure_latencies(
                sessions,
                [offered[name] for offered in signatures],
                inputs,
                rows=size or _count_fixed_rows(signature),
                time_s=_MEASUREMENT_S * len(sessions) if decides else _GLANCE_S,
            )
            for one, latencies in zip(found, both or (), strict=False):
                one.setdefault(name, []).append(latencies)
    return found


def _count_fixed_rows(signature: Signature) -> int:
    shapes = [spec.shape for spec in signature.inputs.values() if not has_free_rows(spec) and spec.shape]
    return shapes[0][0] or 1 if shapes else 1


def _summarize(latencies: _Latencies) -> dict[str, float]:
    """Gives the slowest signature's latencies of the smallest requests, and its most rows a second."""
    if not latencies:
        return {}
    firsts = [sizes[0] for sizes in latencies.values()]
    return {
        "latency_p50_s": max(first.p50_s for first in firsts),
        "latency_p90_s": max(first.p90_s for first in firsts),
        "latency_p99_s": max(first.p99_s for first in firsts),
        "rows_per_s": min(max(one.rows_per_s for one in sizes) for sizes in latencies.values()),
    }


def _list_facts(latencies: _Latencies) -> dict[str, dict[str, Any]]:
    return {name: {str(one.rows): one.to_facts() for one in sizes} for name, sizes in latencies.items()}


def _weigh(context: Context) -> dict[str, float]:
    entries = context.bundle.entries.items() if context.has_variables else ()
    return {
        "variable_bytes": sum(entry.size_bytes for key, entry in entries if key != OBJECT_GRAPH_KEY),
        "graph_bytes": context.model_path.stat().st_size,
    }


def _compare(context: Context, previous_dir: Path) -> tuple[list[Finding], dict[str, Any]]:
    """Measures this model and the previous one side by side."""
    budget, limits = context.policy.budget, context.policy.make_limits()
    with ExitStack() as stack:
        previous = Context(
            previous_dir, requests=(), baseline=None, policy=context.policy, progress=None, stack=stack
        )
        # The previous model is a stranger here, too: nothing is run before these have passed it.
        if any(check.run(previous).errors for check in (layout.CHECK, tags.CHECK, ops.CHECK)):
            return _give_up("it does not pass the static checks", previous_dir), {}
        sessions = [
            stack.enter_context(open_session(folder, limits=limits))
            for folder in (context.moved[0], previous_dir)
        ]
        if not all(session.alive for session in sessions):
            return _give_up("it does not load", previous_dir), {}
        measured = _measure(context, sessions, [context.signatures, previous.signatures])
        if is_timed(budget) and not all(measured):
            return _give_up("it does not answer this model's requests", previous_dir), {}
        figures = [
            {
                **_weigh(one),
                "peak_memory_bytes": session.peak_memory_bytes,
                "load_time_s": session.load_time_s,
                **_summarize(latencies),
            }
            for one, session, latencies in zip((context, previous), sessions, measured, strict=True)
        ]
    ratios = {
        name: round(value / figures[1][name], 4) for name, value in figures[0].items() if figures[1].get(name)
    }
    findings = [
        make_error(_NAME, message, where=str(context.saved_model_dir), advice=_ADVICE)
        for message in find_regressions(budget, ratios)
    ]
    return findings, {"subject": str(previous_dir), "ratios": ratios, "latencies": _list_facts(measured[1])}


def _give_up(reason: str, previous_dir: Path) -> list[Finding]:
    message = f"the previous model could not be compared with: {reason}"
    return [make_warning(_NAME, message, where=str(previous_dir), advice="Name another model, or none.")]


CHECK = Check(_NAME, _check_cost, needs=("serving_load",))
