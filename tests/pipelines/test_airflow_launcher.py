"""TFX's AirflowDagRunner with our launcher, under a user's own pipeline of stock nodes."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from pipelines.metadata.store import make_connection_config, open_store

if importlib.util.find_spec("airflow") is None:
    pytest.skip("Airflow has an environment of its own: nox -s airflow", allow_module_level=True)

# Airflow 2.11 and what it is made of warn of their own future when they are imported.
pytestmark = [pytest.mark.airflow, pytest.mark.tfx, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory):
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))


@pytest.fixture
def model_dir(tmp_path, keras_saver) -> Path:
    """A Model artifact as a trainer leaves it."""
    import keras

    keras.models.load_model(keras_saver(tmp_path / "model.keras")).export(
        tmp_path / "trained" / "Format-Serving"
    )
    return tmp_path / "trained"


def make_dag(folder: Path, model_dir: Path):
    """Importer, our validator and TFX's Pusher, twice: both importers have an output `result` of one type."""
    from tfx.components.pusher.component import Pusher
    from tfx.dsl.components.common.importer import Importer
    from tfx.orchestration import pipeline
    from tfx.orchestration.airflow.airflow_dag_runner import AirflowDagRunner, AirflowPipelineConfig
    from tfx.proto import pusher_pb2
    from tfx.types import standard_artifacts

    from components.saved_model_validator import SavedModelValidator
    from pipelines.on_airflow.launcher import AttemptLauncher

    nodes = []
    for name in ("one", "two"):
        importer = Importer(source_uri=str(model_dir), artifact_type=standard_artifacts.Model)
        importer = importer.with_id(f"import_{name}")
        validator = SavedModelValidator(model=importer.outputs["result"]).with_id(f"validate_{name}")
        destination = pusher_pb2.PushDestination.Filesystem(base_directory=str(folder / "out" / name))
        pusher = Pusher(
            model=importer.outputs["result"],
            model_blessing=validator.outputs["blessing"],
            push_destination=pusher_pb2.PushDestination(filesystem=destination),
        ).with_id(f"push_{name}")
        nodes += [importer, validator, pusher]
    stock = pipeline.Pipeline(
        pipeline_name="stock",
        pipeline_root=str(folder / "stock"),
        components=nodes,
        enable_cache=True,
        metadata_connection_config=make_connection_config(folder / "stock.sqlite"),
    )
    config = AirflowPipelineConfig(
        airflow_dag_config={"schedule": None}, supported_launcher_classes=[AttemptLauncher]
    )
    return AirflowDagRunner(config).run(stock)


def test_stock_nodes_run_and_run_again(tmp_path, model_dir):
    from pipelines.on_airflow.node import StandInRun

    dag = make_dag(tmp_path, model_dir)
    # Twice in one run, as after a "clear" of all tasks.
    for _ in range(2):
        for task in dag.topological_sort():
            task.python_callable(**task.op_kwargs, ti=StandInRun("r1"))
    for name in ("one", "two"):
        [version] = (tmp_path / "out" / name).iterdir()
        assert (version / "saved_model.pb").is_file()
    pushes = [
        execution.properties["state"].string_value
        for execution in open_store(tmp_path / "stock.sqlite").get_executions()
        if execution.properties["component_id"].string_value == "push_one"
    ]
    assert pushes == ["complete", "cached"]
