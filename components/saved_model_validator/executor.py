"""Executor of SavedModelValidator: a Model and its baseline come in, a blessing and a report go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import logging
from tfx.dsl.components.base import base_executor
from tfx.utils import path_utils

from components.artifacts import find_local_dir, fresh_output_dirs, get_artifact, set_properties
from components.blessing import (
    BLESSED_FILE,
    NOT_BLESSED_FILE,
    describe_blessing,
    describe_runtimes,
    find_input_name,
)
from components.conversion import BASELINE_FILE
from components.options import read_object, read_signatures
from servable.baseline import load_baseline
from servable.checks.policy import CheckPolicy
from servable.checks.suite import check_servable
from servable.errors import CheckError
from servable.report import Report
from servable.report_page import render_page
from servable.signature import SignatureRequest

REPORT_FILE = "report.json"
PAGE_FILE = "report.html"


class Executor(base_executor.BaseExecutor):
    """Unpacks artifacts, checks once, packs artifacts."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the model.

        Args:
            input_dict: `model`, and `baseline` where there is one.
            output_dict: `blessing` and `report`; filled in place.
            exec_properties: `policy` and `signatures`, JSON objects.

        Raises:
            CheckError: A check could not be made. A model that failed one is not an error.
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
            report = _check_model(model, get_artifact(input_dict, "baseline"), wanted, policy)
            logging.info("%s", report.summarize())
            _write_report(output_dict["report"][0], report, policy.target, title=f"Checks of {model.uri}")
            _write_blessing(output_dict["blessing"][0], report, policy.target, model)


def _check_model(
    model: Any, baseline: Any | None, signatures: Sequence[SignatureRequest], policy: CheckPolicy
) -> Report:
    # The very path that TFX's Pusher takes: what is checked is what is pushed.
    serving_path = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
    answers = None if baseline is None else load_baseline(find_local_dir(baseline.uri) / BASELINE_FILE)
    return check_servable(
        find_local_dir(serving_path),
        signatures=signatures,
        # Without samples there is nothing to compare with, which the checks then say.
        baseline=answers if answers is not None and answers.samples else None,
        policy=policy,
    )


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
