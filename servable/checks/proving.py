"""The room's second door: `prove_servable` runs a SavedModel in named runtimes, and makes no other verdict.

What passes through: a SavedModel and versions come in, a `Report` goes out. What has to be known before a
foreign graph may be run is looked at first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from servable.baseline import Baseline
from servable.checks import layout, ops, runtimes, serving_load, signatures, tags
from servable.checks.context import Check
from servable.checks.policy import CheckPolicy
from servable.checks.suite import make_checks
from servable.model import Progress
from servable.report import Report, Severity
from servable.targets.catalog import CURRENT

_STATIC: tuple[Check, ...] = (layout.CHECK, tags.CHECK, signatures.CHECK, ops.CHECK)


def prove_servable(
    saved_model_dir: Path,
    versions: Sequence[str],
    *,
    baseline: Baseline | None = None,
    policy: CheckPolicy | None = None,
    progress: Progress | None = None,
) -> Report:
    """Loads a SavedModel in each runtime, runs every signature and compares the answers.

    Args:
        saved_model_dir: The folder with `saved_model.pb`. Nothing in it is changed.
        versions: Runtimes, such as "1.15.5", "2.7" or "current".
        baseline: Inputs and right answers. Without it inputs are made up, and the answers compared with those
            of the installed TensorFlow, or of the newest of `versions` where that one cannot load the model.
        policy: Tolerances, limits, severities; `CheckPolicy()` by default.
        progress: Told how many bytes of variables are done.

    Returns:
        What was found. `facts["runtimes"]` has for each version what it ran, and how far off that was.

    Raises:
        SettingsError: One of `versions` is no version.
        CheckError: A runtime is damaged, or there is no TensorFlow to ask in place of a baseline.

    Example:
        >>> report = prove_servable(Path("model/1"), ["1.15.5"], baseline=load_baseline(Path("baseline.npz")))
        >>> report.facts["runtimes"]["1.15.5"]["loaded"]
        True
    """
    rules = policy or CheckPolicy()
    rules = dataclasses.replace(
        rules,
        runtimes=tuple(versions),
        target=CURRENT,
        # What today's runtime makes of the model is not asked here; it only stands in for a baseline.
        severities={serving_load.CHECK.name: Severity.WARNING, **rules.severities},
    )
    reference = () if baseline is not None and baseline.samples else (serving_load.CHECK,)
    checks = (*_STATIC, *reference, runtimes.CHECK)
    return make_checks(checks, saved_model_dir, baseline=baseline, policy=rules, progress=progress)
