"""`python -m pipelines airflow CONFIG`: write the pipeline as a DAG of Airflow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from pipelines.commands.common import EXIT_DONE, say
from pipelines.settings import Settings

HELP: Final = "write the pipeline as a DAG of Airflow 2.11"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "--dags-folder", type=Path, required=True, metavar="DIR", help="where Airflow looks for DAGs"
    )
    parser.add_argument(
        "--runner", type=Path, metavar="FILE", help="runner file, such as configs/airflow.yaml"
    )
    parser.add_argument(
        "--no-measuring", action="store_true", help="do not parse the DAG with Airflow to take the time"
    )


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Writes description and DAG file, and says how long Airflow takes to parse it.

    Raises:
        SettingsError: The runner file has faults, or Airflow cannot import the DAG.
        OSError: The folder cannot be written.
    """
    from pipelines.on_airflow.compiling import describe_dag, measure_parsing, write_dag
    from pipelines.on_airflow.runner_file import load_airflow_settings

    runner = load_airflow_settings(arguments.runner)
    description = describe_dag(settings, runner, arguments.config, model=arguments.model)
    dag_path = write_dag(description, arguments.dags_folder.absolute())
    when = f"at {description.schedule} {description.timezone}" if description.schedule else "by hand"
    say(f"DAG {description.dag_id}: {len(description.nodes)} tasks, run {when}, in {dag_path}")
    if not arguments.no_measuring:
        parsing = measure_parsing(dag_path, description.interpreter)
        say(f"It parses in {parsing.dag_s:.2f} s, after Airflow's own import of {parsing.airflow_s:.1f} s.")
    return EXIT_DONE
