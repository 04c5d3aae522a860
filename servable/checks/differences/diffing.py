"""The door to differences: first what the files say, then what the models answer.

What passes through: two SavedModel folders come in, a `ServableDiff` goes out. Neither model is run before
the static checks have passed both.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from servable.baseline import Baseline
from servable.checks import layout, ops, signatures, tags
from servable.checks.comparison import compare_arrays
from servable.checks.context import Context, call_signature
from servable.checks.differences.changes import Change, Kind, ServableDiff
from servable.checks.differences.graphs import compare_graphs, compare_signatures
from servable.checks.differences.variables import compare_assets, compare_variables, open_variables
from servable.checks.policy import CheckPolicy
from servable.checks.requests import choose_inputs, describe_fault
from servable.errors import BrokenSourceError
from servable.graphs.saved_model_parts import SERVE_TAG
from servable.model import Progress
from servable.report import Skipped
from servable.runtime.outcome import CallResult
from servable.runtime.session import open_session
from servable.signature import Signature

_ANSWERS = "answers"
_STATIC = (layout.CHECK, tags.CHECK, signatures.CHECK, ops.CHECK)


def diff_servables(
    first_dir: Path,
    second_dir: Path,
    *,
    baseline: Baseline | None = None,
    policy: CheckPolicy | None = None,
    progress: Progress | None = None,
) -> ServableDiff:
    """Says how two SavedModels differ.

    Args:
        first_dir: A folder with `saved_model.pb`. Nothing in it is changed.
        second_dir: Another one.
        baseline: Its inputs are what both are asked; without it they are made up.
        policy: Answers within its tolerances are no difference; limits of the runtime.
        progress: Told how many bytes of variables are done.

    Returns:
        Signatures, ops, variables and assets as the files have them, and answers to the same requests in the
        C++ runtime.

    Raises:
        BrokenSourceError: A file of one of them is missing or damaged, or it has no graph to serve.
        UnsafeSourceError: A file of one of them leads out of its folder.
        CheckError: TensorFlow's C++ library is not there.

    Example:
        >>> diff_servables(Path("digits/1"), Path("digits/2")).is_same
        False
    """
    rules = policy or CheckPolicy()
    with ExitStack() as stack:
        both = [
            Context(folder, requests=(), baseline=baseline, policy=rules, progress=progress, stack=stack)
            for folder in (first_dir, second_dir)
        ]
        for context in both:
            _require_graph(context)
        before, after = both
        changes = compare_signatures(before.signatures, after.signatures)
        op_changes, facts = compare_graphs(before.meta_graph, after.meta_graph)
        found, skipped, variables = compare_variables(
            open_variables(first_dir), open_variables(second_dir), progress=progress
        )
        changes += [*op_changes, *found, *compare_assets(first_dir, second_dir)]
        answers, left_out, worst = _compare_answers(before, after, stack)
    return ServableDiff(
        str(first_dir),
        str(second_dir),
        (*changes, *answers),
        (*skipped, *left_out),
        {**facts, "variables": variables, "worst_differences": worst},
    )


def _require_graph(context: Context) -> None:
    if context.meta_graph is None:
        found = ["{" + ", ".join(g.meta_info_def.tags) + "}" for g in context.saved_model.meta_graphs]
        raise BrokenSourceError(
            "This SavedModel has no graph that a server takes.",
            expected=f"one whose only tag is {SERVE_TAG}",
            received=", ".join(found) or "none",
            where=str(context.saved_model_dir),
            advice="servable inspect says what to type to convert it",
        )


def _compare_answers(
    before: Context, after: Context, stack: ExitStack
) -> tuple[list[Change], list[Skipped], dict[str, dict[str, float | None]]]:
    for context in (before, after):
        faults = [fault for check in _STATIC for fault in check.run(context).errors]
        if faults:
            reason = f"{context.saved_model_dir} is not run: {faults[0].check}: {faults[0].message}"
            return [], [Skipped(_ANSWERS, reason)], {}
    limits = before.policy.make_limits()
    sessions = [
        stack.enter_context(open_session(context.saved_model_dir, limits=limits))
        for context in (before, after)
    ]
    for context, session in zip((before, after), sessions, strict=True):
        if session.load_fault is not None:
            reason = f"{context.saved_model_dir} does not load: {describe_fault(session.load_fault)}"
            return [], [Skipped(_ANSWERS, reason)], {}
    changes: list[Change] = []
    skipped: list[Skipped] = []
    worst: dict[str, dict[str, float | None]] = {}
    for name in sorted(before.signatures.keys() & after.signatures.keys()):
        inputs, reason = _choose_request(before, name, after.signatures[name])
        if inputs is None:
            skipped.append(Skipped(_ANSWERS, f"signature {name}: {reason}"))
            continue
        results = [
            call_signature(session, context.signatures[name], inputs)
            for context, session in zip((before, after), sessions, strict=True)
        ]
        if all(result.fault is not None for result in results):
            skipped.append(Skipped(_ANSWERS, f"signature {name}: both fail: {_describe(results[0])}"))
            continue
        found, worst[name] = _compare_results(name, results, before.policy)
        changes += found
    return changes, skipped, worst


def _choose_request(
    context: Context, name: str, other: Signature
) -> tuple[Mapping[str, np.ndarray] | None, str]:
    signature = context.signatures[name]
    ends = [{key: spec.dtype for key, spec in found.inputs.items()} for found in (signature, other)]
    if ends[0] != ends[1]:
        return None, "no request fits the inputs of both"
    inputs, _, faults = choose_inputs(signature, context, _ANSWERS)
    return inputs, faults[0].message if faults else ""


def _compare_results(
    name: str, results: list[CallResult], policy: CheckPolicy
) -> tuple[list[Change], dict[str, float | None]]:
    where = f"signature {name}"
    if any(result.fault is not None for result in results):
        return [Change(_ANSWERS, Kind.CHANGED, where, *map(_describe, results))], {}
    changes: list[Change] = []
    worst: dict[str, float | None] = {}
    before, after = (result.outputs for result in results)
    for key in sorted(before.keys() & after.keys()):
        tolerance = policy.find_tolerance(before[key].dtype.name, signature=name, output=key)
        difference = compare_arrays(before[key], after[key], tolerance)
        worst[key] = difference.worst
        if difference.message:
            # The comparison calls the first one expected.
            changes.append(Change(_ANSWERS, Kind.CHANGED, f"{where}, output {key}", after=difference.message))
    return changes, worst


def _describe(result: CallResult) -> str:
    return "answers" if result.fault is None else describe_fault(result.fault)
