"""The room's only door: `check_servable` makes every check on a SavedModel and gives one report.

What passes through: a SavedModel, what was asked of it and what its source answered come in, a `Report` goes
out. Static checks come first: nothing is run before they say that it may be. One process runs the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from servable.baseline import Baseline
from servable.checks import (
    batch,
    cost,
    fidelity,
    inference_mode,
    layout,
    metrics,
    ops,
    robustness,
    runtimes,
    serving_load,
    tags,
    target,
    variables,
    weights,
)
from servable.checks import (
    signatures as signatures_check,
)
from servable.checks.context import Check, Context
from servable.checks.example_plan import ExamplesSource
from servable.checks.policy import INDISPENSABLE, CheckPolicy
from servable.errors import SourceError
from servable.formats.file_hashes import digest_hashes, hash_tree
from servable.model import Progress
from servable.report import Finding, Report, Severity, Skipped, merge_reports
from servable.signature import SignatureRequest

CHECKS: tuple[Check, ...] = (
    layout.CHECK,
    tags.CHECK,
    signatures_check.CHECK,
    ops.CHECK,
    target.CHECK,
    variables.CHECK,
    weights.CHECK,
    serving_load.CHECK,
    fidelity.CHECK,
    inference_mode.CHECK,
    batch.CHECK,
    cost.CHECK,
    robustness.CHECK,
    runtimes.CHECK,
    metrics.CHECK,
)
_RUNS_THE_MODEL = frozenset({"fidelity", "inference_mode", "batch", "cost", "robustness"})


def check_servable(
    saved_model_dir: Path,
    *,
    signatures: Sequence[SignatureRequest] = (),
    baseline: Baseline | None = None,
    previous: Path | None = None,
    examples: ExamplesSource | None = None,
    policy: CheckPolicy | None = None,
    progress: Progress | None = None,
) -> Report:
    """Makes every check on a SavedModel, without Python TensorFlow.

    Args:
        saved_model_dir: The folder with `saved_model.pb`. Nothing in it is changed.
        signatures: What was asked for; each must be there.
        baseline: Inputs and the source framework's own outputs, by signature name and serving key.
        previous: The SavedModel that this one is to replace, such as the latest that was blessed; its cost is
            measured beside this one's, in the same minute, and so are its metrics.
        examples: Labelled rows for check `metrics`, such as `servable.checks.example_files.ExampleFiles`;
            the policy says what is measured.
        policy: Tolerances, limits, severities; `CheckPolicy()` by default.
        progress: Told how many bytes of variables are done.

    Returns:
        What was checked, found and skipped. A model that is not fit to serve is told by `Report.passed`.

    Raises:
        CheckError: A check could not be made, such as for want of TensorFlow's C++ library.

    Example:
        >>> report = check_servable(Path("model/1"), baseline=load_baseline(Path("baseline.npz")))
        >>> print(report.summarize())
    """
    # Before anything is looked at: what is packed later has to be what was checked here, to the byte.
    hashes = _hash_files(saved_model_dir, progress)
    report = make_checks(
        CHECKS,
        saved_model_dir,
        requests=tuple(signatures),
        baseline=baseline,
        previous=previous,
        examples=examples,
        policy=policy or CheckPolicy(),
        progress=progress,
    )
    return dataclasses.replace(report, facts={**report.facts, **hashes})


def _hash_files(saved_model_dir: Path, progress: Progress | None) -> dict[str, Any]:
    try:
        hashes = hash_tree(saved_model_dir, progress=progress)
    except SourceError:
        return {}  # check `layout` says what is wrong with the files
    return {"files": {"digest": digest_hashes(hashes), "sha256": hashes}}


def make_checks(
    checks: Sequence[Check],
    saved_model_dir: Path,
    *,
    requests: tuple[SignatureRequest, ...] = (),
    baseline: Baseline | None,
    previous: Path | None = None,
    examples: ExamplesSource | None = None,
    policy: CheckPolicy,
    progress: Progress | None,
) -> Report:
    """Makes some checks in their order; a check whose needs have failed is skipped.

    Args:
        checks: Some of `CHECKS`, in their order.
        saved_model_dir: The folder with `saved_model.pb`.
        requests: Signatures that must be there.
        baseline: Inputs and the source framework's own outputs.
        previous: The SavedModel that this one is to replace.
        examples: Labelled rows.
        policy: What is tolerated.
        progress: Told how many bytes of variables are done.

    Raises:
        CheckError: A check could not be made.
    """
    parts: list[Report] = []
    failed: dict[str, str] = {}
    with ExitStack() as stack:
        context = Context(
            saved_model_dir,
            requests=requests,
            baseline=baseline,
            policy=policy,
            progress=progress,
            stack=stack,
            previous=previous,
            examples=examples,
        )
        for check in checks:
            if not check.is_asked(policy):
                continue
            reason = _find_obstacle(check, failed, context)
            if reason:
                parts.append(Report(str(saved_model_dir), skipped=(Skipped(check.name, reason),)))
                if check.name not in policy.switched_off or check.name == serving_load.CHECK.name:
                    failed[check.name] = f"check {check.name} was not made"
                continue
            raw = check.run(context)
            part = _apply_severity(raw, policy.severities.get(check.name))
            if (raw if check.name in INDISPENSABLE else part).errors:
                failed[check.name] = f"check {check.name} found errors"
            parts.append(part)
        if context.visits:
            peak = {"peak_memory_bytes": context.session.peak_memory_bytes}
            parts.append(Report(str(saved_model_dir), facts=peak))
    return merge_reports(str(saved_model_dir), parts)


def _find_obstacle(check: Check, failed: dict[str, str], context: Context) -> str:
    if check.name in context.policy.switched_off:
        return "switched off by the policy"
    reason = next((failed[name] for name in check.needs if name in failed), "")
    if not reason and check.name in _RUNS_THE_MODEL and context.visits and not context.session.alive:
        return "the runtime ended in an earlier check"
    return reason


def _apply_severity(report: Report, severity: Severity | None) -> Report:
    if severity is None:
        return report
    findings = tuple(_change(finding, severity) for finding in report.findings)
    return dataclasses.replace(report, findings=findings)


def _change(finding: Finding, severity: Severity) -> Finding:
    return finding if finding.severity is Severity.INFO else dataclasses.replace(finding, severity=severity)
