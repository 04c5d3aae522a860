"""What a report means to TFX's InfraBlessing: can a server load the model and answer with it?

What passes through: a report comes in; the marker file, the custom properties and, where it is wanted, a copy
of the model with warm-up requests go out, in the form of TFX's own InfraValidator, so that a stock Pusher
takes them. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from components.artifacts import find_local_dir, set_properties
from components.blessing import describe_runtimes
from servable.baseline import Baseline
from servable.deploy.warm_up import WarmUp, add_warm_up
from servable.report import Report
from servable.runtime.outcome import Limits

# Names of tfx/components/infra_validator/executor.py and tfx/utils/path_utils.py.
INFRA_BLESSED_FILE = "INFRA_BLESSED"
INFRA_NOT_BLESSED_FILE = "INFRA_NOT_BLESSED"
STAMPED_MODEL_DIR = "stamped_model"

# What decides whether a model can be served at all; the others ask whether its answers are right.
SERVING_CHECKS = frozenset(
    {
        "layout",
        "tags",
        "signatures",
        "ops",
        "target",
        "variables",
        "serving_load",
        "batch",
        "cost",
        "runtimes",
    }
)
# Without it nobody has seen the model answer.
_INDISPENSABLE = "serving_load"


def list_reasons(report: Report) -> tuple[str, ...]:
    """Says why a model cannot be served; nothing where it can."""
    reasons = [f"{f.check}: {f.message}" for f in report.errors if f.check in SERVING_CHECKS]
    if _INDISPENSABLE not in report.checked:
        skipped = next(
            (s.reason for s in report.skipped if s.check == _INDISPENSABLE), "it was not asked for"
        )
        reasons.append(f"{_INDISPENSABLE}: nobody has seen the model answer: {skipped}")
    return tuple(reasons)


def write_infra_blessing(
    artifact: Any,
    report: Report,
    *,
    target: str,
    saved_model_dir: Path,
    baseline: Baseline | None,
    make_warmup: bool,
    limits: Limits,
) -> None:
    """Fills an InfraBlessing.

    Args:
        artifact: Its directory is there and empty.
        report: Of the model's checks.
        target: The runtime that the model was checked for.
        saved_model_dir: The model. It is not changed.
        baseline: Whose inputs become the warm-up requests.
        make_warmup: Whether a copy of the model with warm-up requests is wanted. Where none can be proven,
            the model is not blessed: a Pusher that was promised a model would find none.
        limits: Of the runtime that answers the warm-up requests.
    """
    folder = find_local_dir(artifact.uri)
    reasons = list_reasons(report)
    warm_up: WarmUp | None = None
    if make_warmup and not reasons:
        stamped_dir = folder / STAMPED_MODEL_DIR
        shutil.copytree(saved_model_dir, stamped_dir)
        warm_up = add_warm_up(stamped_dir, baseline or Baseline({}), limits=limits)
        reasons = tuple(f"warm-up: {fault}" for fault in warm_up.faults)
        if reasons:
            shutil.rmtree(stamped_dir)
    (folder / (INFRA_NOT_BLESSED_FILE if reasons else INFRA_BLESSED_FILE)).touch()
    set_properties(artifact, describe_infra_blessing(report, reasons, target=target, warm_up=warm_up))


def describe_infra_blessing(
    report: Report, reasons: tuple[str, ...], *, target: str, warm_up: WarmUp | None
) -> dict[str, str | int]:
    """Gives the custom properties of an InfraBlessing.

    Args:
        report: Of the model's checks.
        reasons: Why the model cannot be served.
        target: The runtime that the model was checked for.
        warm_up: What became of its requests; None where none were wanted.

    Returns:
        `blessed` (1 or 0), `reasons`, one line for each, `runtime` and those of `describe_runtimes`; with a
        stamped model also `has_model` and `warmup_requests`.
    """
    properties: dict[str, str | int] = {
        "blessed": int(not reasons),
        "reasons": "\n".join(reasons),
        "runtime": str(report.facts.get("runtime", "")),
        **describe_runtimes(report, target=target),
    }
    if warm_up is not None and not warm_up.faults:
        properties |= {"has_model": 1, "warmup_requests": warm_up.requests}
    return properties
