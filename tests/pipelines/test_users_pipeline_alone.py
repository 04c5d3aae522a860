"""The validator as this project's only import in a process of its own, before all of TFX; nox -s stock."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.tfx, pytest.mark.timeout(1200)]

# As a user writes it, with a module file, which TFX packs and installs.
PIPELINE = """
import sys
from pathlib import Path

from components.saved_model_validator.component import SavedModelValidator

from tfx import v1 as tfx

here = Path(sys.argv[1])
example_gen = tfx.components.CsvExampleGen(input_base=str(here / "csv"))
trainer = tfx.components.Trainer(
    module_file=str(here / "module" / "trainer_module.py"), examples=example_gen.outputs["examples"]
)
validator = SavedModelValidator(model=trainer.outputs["model"])
folder = tfx.proto.PushDestination.Filesystem(base_directory=str(here / "pushed"))
pusher = tfx.components.Pusher(
    model=trainer.outputs["model"],
    model_blessing=validator.outputs["blessing"],
    push_destination=tfx.proto.PushDestination(filesystem=folder),
)
metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(here / "metadata.sqlite"))
tfx.orchestration.LocalDagRunner().run(
    tfx.dsl.Pipeline(
        pipeline_name="alone",
        pipeline_root=str(here / "root"),
        components=[example_gen, trainer, validator, pusher],
        metadata_connection_config=metadata,
    )
)
"""
TRAINER_MODULE = """
import keras


def run_fn(fn_args):
    inputs = keras.Input((2,), name="x")
    keras.Model(inputs, keras.layers.Dense(1, name="y")(inputs)).export(fn_args.serving_model_dir)
"""


def test_a_users_own_script_pushes_what_the_validator_blesses(request, tmp_path):
    if not request.config.getoption("--stock", default=False):
        pytest.skip("a process of its own that imports all of TFX: nox -s stock")
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "rows.csv").write_text("x1,x2\n" + "".join(f"{i}.5,{i}.25\n" for i in range(20)))
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "trainer_module.py").write_text(TRAINER_MODULE)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    finished = subprocess.run(
        [sys.executable, str(tmp_path / "pipeline.py"), str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    (version,) = (tmp_path / "pushed").iterdir()
    assert (version / "saved_model.pb").is_file()
