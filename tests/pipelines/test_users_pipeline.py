"""A pipeline that a user wrote around TFX's own Trainer, of which only the validator is this project's."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.metadata.records import read_executions

pytestmark = [
    pytest.mark.tfx,
    # TFX 1.21, Beam 2.77 and what they import warn in dozens of places, none of them ours.
    pytest.mark.filterwarnings("ignore"),
]

# Named for the way in which the module saves its model.
GOOD = ("keras_export", "saved_model_save")
REFUSED = {
    "dropout_left_on": "inference_mode",
    # What TensorFlow saves of a Keras 3 model in a tf.Module has variables that only Python's loader fills: a
    # server answers each request with an error (keras-team/keras, 20095).
    "keras_in_a_module": "serving_load",
}

# As users write it. The weights are those of the rule by which the rows are made, so that its error is known.
USERS_MODULE = """
import keras
import numpy as np
import tensorflow as tf

FEATURES = {name: tf.io.FixedLenFeature([1], tf.float32) for name in ("x1", "x2")}


def make_net():
    columns = {name: keras.Input((1,), name=name) for name in FEATURES}
    last = keras.layers.Dense(1, name="last")
    net = keras.Model(columns, {"y_hat": last(keras.layers.Concatenate()(list(columns.values())))})
    last.set_weights([np.array([[2.0], [-1.0]]), np.array([1.0])])
    return net


class Line(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable([[2.0], [-1.0]])
        self.b = tf.Variable(1.0)

    def __call__(self, columns):
        return {"y_hat": tf.concat([columns["x1"], columns["x2"]], 1) @ self.w + self.b}


def save_with_parser(net, model_dir):
    server = tf.Module()
    server.net = net

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        return net(tf.io.parse_example(examples, FEATURES))

    tf.saved_model.save(server, model_dir, signatures={"serving_default": serve})


def keras_export(fn_args):
    make_net().export(fn_args.serving_model_dir, verbose=False)


def saved_model_save(fn_args):
    save_with_parser(Line(), fn_args.serving_model_dir)


def dropout_left_on(fn_args):
    line = Line()

    @tf.function(input_signature=[{name: tf.TensorSpec([None, 1], name=name) for name in FEATURES}])
    def serve(columns):
        return line({name: tf.nn.dropout(column, 0.5) for name, column in columns.items()})

    tf.saved_model.save(line, fn_args.serving_model_dir, signatures={"serving_default": serve})


def keras_in_a_module(fn_args):
    save_with_parser(make_net(), fn_args.serving_model_dir)
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> SimpleNamespace:
    """Runs the pipeline once: one ExampleGen, and a Trainer, a validator and a Pusher for each branch."""
    folder = tmp_path_factory.mktemp("users_pipeline")
    (folder / "modules").mkdir()
    (folder / "modules" / "users_trainer_module.py").write_text(USERS_MODULE)
    (folder / "csv").mkdir()
    rows = [(i / 8, (i % 7) / 4) for i in range(60)]
    lines = [f"{x1!r},{x2!r},{2 * x1 - x2 + 1!r}" for x1, x2 in rows]
    (folder / "csv" / "rows.csv").write_text("\n".join(["x1,x2,y", *lines]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "modules"))
        _run(folder, patch)
    records = read_executions(folder / "metadata.sqlite", "users_own")
    return SimpleNamespace(folder=folder, nodes={record.node_id: record for record in records})


def _run(folder: Path, patch: pytest.MonkeyPatch) -> None:
    from apache_beam.options.pipeline_options import StandardOptions
    from tfx.components.example_gen.csv_example_gen.component import CsvExampleGen
    from tfx.components.pusher.component import Pusher
    from tfx.components.trainer.component import Trainer
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.proto import pusher_pb2

    from components.saved_model_validator.component import SavedModelValidator

    # Beam's own default first tries to download another runner.
    runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    patch.setattr(StandardOptions, "DEFAULT_RUNNER", runner)
    example_gen = CsvExampleGen(input_base=str(folder / "csv"))
    nodes = [example_gen]
    for branch in (*GOOD, *REFUSED):
        trainer = Trainer(
            run_fn=f"users_trainer_module.{branch}", examples=example_gen.outputs["examples"]
        ).with_id(f"train_{branch}")
        validator = SavedModelValidator(
            model=trainer.outputs["model"],
            examples=example_gen.outputs["examples"],
            policy={"metrics": {"label": "y", "task": "regression", "budget": {"mse": 1e-9}}},
        ).with_id(f"validate_{branch}")
        destination = pusher_pb2.PushDestination.Filesystem(base_directory=str(folder / "pushed" / branch))
        pusher = Pusher(
            model=trainer.outputs["model"],
            model_blessing=validator.outputs["blessing"],
            infra_blessing=validator.outputs["infra_blessing"],
            push_destination=pusher_pb2.PushDestination(filesystem=destination),
        ).with_id(f"push_{branch}")
        nodes += [trainer, validator, pusher]
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="users_own",
            pipeline_root=str(folder / "root"),
            components=nodes,
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(folder / "metadata.sqlite")
            ),
        )
    )


@pytest.mark.parametrize("branch", GOOD)
def test_a_good_model_of_the_stock_trainer_is_blessed_and_pushed(outcome, branch):
    assert outcome.nodes[f"validate_{branch}"].outputs["blessing"].get_flag("blessed")
    assert outcome.nodes[f"push_{branch}"].outputs["pushed_model"].get_flag("pushed")
    (version,) = (outcome.folder / "pushed" / branch).iterdir()
    assert (version / "saved_model.pb").is_file()


@pytest.mark.parametrize("branch", GOOD)
def test_its_error_on_the_held_out_rows_is_that_of_the_rule(outcome, branch):
    report = json.loads(
        (Path(outcome.nodes[f"validate_{branch}"].outputs["report"].uri) / "report.json").read_text()
    )
    figures = report["facts"]["metrics"]
    # The rows are sums of eighths and quarters, which float32 holds exactly.
    assert figures["candidate"] == {"mse": 0.0, "mae": 0.0}
    assert 0 < figures["rows"] < 60
    assert {finding["severity"] for finding in report["findings"]} <= {"warning"}


@pytest.mark.parametrize(("branch", "check"), REFUSED.items())
def test_a_model_that_a_server_cannot_serve_is_refused_and_pusher_obeys(outcome, branch, check):
    blessing = outcome.nodes[f"validate_{branch}"].outputs["blessing"]
    assert not blessing.get_flag("blessed")
    assert check in {reason.partition(":")[0] for reason in blessing.get_text("reasons").splitlines()}
    assert not outcome.nodes[f"push_{branch}"].outputs["pushed_model"].get_flag("pushed")
    assert not (outcome.folder / "pushed" / branch).exists()
