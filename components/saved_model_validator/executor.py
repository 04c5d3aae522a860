"""Executor of SavedModelValidator: a Model, its baseline and examples come in, blessings and a report go out.

Examples are asked in a Beam pipeline with the user's `beam_pipeline_args`; without them Beam is not touched.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging
from tfx.dsl.components.base import base_beam_executor, base_executor

from components.artifacts import (
    find_local_dir,
    find_serving_dir,
    fresh_output_dirs,
    get_artifact,
    read_baseline,
    read_properties,
    set_properties,
)
from components.blessing import (
    BLESSED_FILE,
    NOT_BLESSED_FILE,
    describe_blessing,
    describe_runtimes,
    find_input_name,
)
from components.infra_blessing import write_infra_blessing
from components.options import read_flag, read_object, read_signatures
from components.rejection import ModelRejectedError, keep_report
from components.saved_model_validator.examples_reading import choose_runner, open_examples
from components.served_model import resolve_served
from servable.baseline import Baseline
from servable.checks.compatibility import add_compatibility
from servable.checks.example_plan import ExamplesSource
from servable.checks.policy import CheckPolicy
from servable.checks.suite import check_servable
from servable.errors import CheckError
from servable.report import Report
from servable.report_page import render_page
from servable.signature import SignatureRequest

REPORT_FILE = "report.json"
PAGE_FILE = "report.html"

# What the converters note of where a model comes from.
_LINEAGE = (
    "source_path",
    "source_format",
    "source_step",
    "source_digest",
    "framework",
    "framework_version",
    "saved_model_digest",
    "toolchain",
)


class Executor(base_beam_executor.BaseBeamExecutor):
    """Unpacks artifacts, checks once, packs artifacts."""

    def __init__(self, context: Any = None) -> None:
        # Not TFX's own: whenever there are arguments, it packs itself for workers, which takes seconds, and
        # ours do without.
        base_executor.BaseExecutor.__init__(self, context)
        self._beam_pipeline_args = choose_runner(getattr(context, "beam_pipeline_args", None) or ())
        self._make_beam_pipeline_fn = getattr(context, "make_beam_pipeline_fn", None)

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the model.

        Args:
            input_dict: `model`, and `baseline`, `baseline_model` and `examples` where there are any.
            output_dict: `blessing`, `report` and, where it is there, `infra_blessing`; filled in place.
            exec_properties: `policy` and `signatures`, JSON objects; `make_warmup` and `raise_on_rejection`,
                1 or 0; `examples_files`, a glob; `served_dir`, a directory of versions.

        Raises:
            CheckError: A check could not be made. A model that failed one is not an error,
            ModelRejectedError: unless `raise_on_rejection` makes it one.
            SettingsError: The policy is wrong, or an artifact is not on a local file system.
            RuntimeError: Something in the checks ended the process.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        with fresh_output_dirs(output_dict):
            model = get_artifact(input_dict, "model")
            if model is None:
                raise CheckError("There is no model to check.", expected="one Model artifact")
            policy = CheckPolicy.from_dict(read_object(exec_properties.get("policy"), "policy"))
            wanted = read_signatures(exec_properties.get("signatures"))
            # The very path that TFX's Pusher takes: what is checked is what is pushed.
            serving_dir = find_serving_dir(model)
            baseline = read_baseline(get_artifact(input_dict, "baseline"))
            examples = open_examples(
                input_dict.get("examples") or (),
                exec_properties.get("examples_files"),
                policy.metrics,
                output_dir=find_local_dir(output_dict["report"][0].uri),
                make_pipeline=self._make_beam_pipeline,
            )
            previous_dir = _find_previous(input_dict, exec_properties)
            report = _check_model(serving_dir, baseline, wanted, policy, previous_dir, examples)
            lineage = {"model_uri": model.uri, **read_properties(model, _LINEAGE)}
            report = dataclasses.replace(report, facts={**report.facts, "lineage": lineage})
            logging.info("%s", report.summarize())
            _write_report(output_dict["report"][0], report, policy.target, title=f"Checks of {model.uri}")
            _write_blessing(output_dict["blessing"][0], report, policy.target, model)
            infra_blessing = get_artifact(output_dict, "infra_blessing")
            if infra_blessing is not None:
                write_infra_blessing(
                    infra_blessing,
                    report,
                    target=policy.target,
                    saved_model_dir=serving_dir,
                    baseline=baseline,
                    make_warmup=read_flag(exec_properties.get("make_warmup")),
                    limits=policy.make_limits(),
                )
            if not report.passed and read_flag(exec_properties.get("raise_on_rejection")):
                raise ModelRejectedError(report, keep_report(find_local_dir(output_dict["report"][0].uri)))


def _find_previous(input_dict: dict[str, list[Any]], exec_properties: dict[str, Any]) -> Path | None:
    previous = get_artifact(input_dict, "baseline_model")
    if previous is not None:
        return find_serving_dir(previous)
    served = resolve_served(exec_properties, input_dict)
    return None if served is None else served.version_dir


def _check_model(
    serving_dir: Path,
    baseline: Baseline | None,
    signatures: Sequence[SignatureRequest],
    policy: CheckPolicy,
    previous_dir: Path | None,
    examples: ExamplesSource | None,
) -> Report:
    report = check_servable(
        serving_dir,
        signatures=signatures,
        baseline=baseline,
        previous=previous_dir,
        examples=examples,
        policy=policy,
    )
    return add_compatibility(report, serving_dir)


def _write_report(artifact: Any, report: Report, target: str, *, title: str) -> None:
    report_dir = find_local_dir(artifact.uri)
    (report_dir / REPORT_FILE).write_text(report.to_json(), encoding="utf-8")
    (report_dir / PAGE_FILE).write_text(render_page(report, title=title), encoding="utf-8")
    set_properties(artifact, {"summary": report.summarize(), "errors": len(report.errors)})
    set_properties(artifact, describe_runtimes(report, target=target))


def _write_blessing(artifact: Any, report: Report, target: str, model: Any) -> None:
    marker = BLESSED_FILE if report.passed else NOT_BLESSED_FILE
    (find_local_dir(artifact.uri) / marker).touch()
    properties = describe_blessing(
        report,
        model_id=model.id,
        model_uri=model.uri,
        model_name=find_input_name("model"),
        target=target,
    )
    set_properties(artifact, properties)
