"""`python -m pipelines kubeflow CONFIG`: compile the pipeline for Kubeflow Pipelines 2.x or Vertex AI."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipelines.commands.common import EXIT_DONE, quieten_log, say
from pipelines.settings import Settings

_MODEL: Final = "{model}"

HELP: Final = "compile the pipeline for Kubeflow Pipelines 2.x or Vertex AI"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "--runner",
        type=Path,
        required=True,
        metavar="FILE",
        help="runner file, such as configs/kubeflow.yaml",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="*.yaml for Kubeflow, *.json for Vertex AI; with {model} in its name, one file for each model",
    )


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Compiles and writes, and says what was written and when it wants to run.

    Raises:
        SettingsError: The runner file has faults, or does not go with the settings.
        SourceError: A model has no `kind` and its source tells none.
        OSError: The file cannot be written.
    """
    from pipelines.kubeflow_v2 import compile_settings
    from pipelines.on_kubeflow.runner_file import Backend, load_kubeflow_settings
    from pipelines.on_kubeflow.writing import check_out_path, write_job

    runner = load_kubeflow_settings(arguments.runner)
    check_out_path(runner, arguments.out)
    quieten_log(verbose=False)
    say("Importing TFX takes half a minute.")
    for part, path in _list_files(settings, arguments.out):
        job = compile_settings(part, runner)
        write_job(job, runner, path)
        spec = job["pipelineSpec"]
        count = len(spec["root"]["dag"]["tasks"])
        say(f"Pipeline {spec['pipelineInfo']['name']}: {count} tasks, image {runner.image}, in {path}")
    if settings.pipeline.schedule:
        # Kubeflow's recurring runs count seconds first.
        seconds = "0 " if runner.backend is Backend.KFP else ""
        say(f"Recurring run: cron {seconds}{settings.pipeline.schedule}")
    return EXIT_DONE


def _list_files(settings: Settings, out: Path) -> Iterator[tuple[Settings, Path]]:
    if _MODEL not in str(out):
        yield settings, out
        return
    for model in settings.models:
        yield settings.select(model.name), Path(str(out).replace(_MODEL, model.name))
