"""Both trainings, for a few steps: they leave behind what old projects leave behind.

Each runs in a process of its own, because TensorFlow's version 1 behaviour cannot be undone in one.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples.digits import training
from examples.digits.places import KERAS_MODEL, REPOSITORY_DIR, TF1_MODEL, Places
from examples.digits.records import load_record
from servable.formats.checkpoints.bundle import open_bundle, read_tensor
from servable.formats.protos import MetaGraphDef, parse_message

pytestmark = pytest.mark.tensorflow


def _run_python(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    finished = subprocess.run(command, cwd=REPOSITORY_DIR, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def tf1_dirs(tmp_path_factory):
    trained_dir = tmp_path_factory.mktemp("trained") / "net"
    overwritten_dir = tmp_path_factory.mktemp("overwritten") / "net"
    _run_python(
        "import shutil, sys\n"
        "from pathlib import Path\n"
        "from examples.digits.train_tf1 import overwrite_newest, train\n"
        "trained, overwritten = map(Path, sys.argv[1:])\n"
        "train(trained, steps=8, steps_per_save=2)\n"
        "shutil.copytree(trained, overwritten)\n"
        "overwrite_newest(overwritten, steps=3)\n",
        trained_dir,
        overwritten_dir,
    )
    return trained_dir, overwritten_dir


def test_tf1_keeps_the_three_newest_checkpoints_and_a_state_file(tf1_dirs):
    trained_dir, _ = tf1_dirs
    prefixes = {path.name.removesuffix(".index") for path in trained_dir.glob("*.index")}
    assert prefixes == {"model.ckpt-4", "model.ckpt-6", "model.ckpt-8"}
    assert all((trained_dir / f"{prefix}.meta").is_file() for prefix in prefixes)
    state = (trained_dir / "checkpoint").read_text()
    assert 'model_checkpoint_path: "model.ckpt-8"' in state.splitlines()


def test_tf1_checkpoint_has_moving_averages_that_moved_and_adams_slots(tf1_dirs):
    bundle = open_bundle(tf1_dirs[0] / "model.ckpt-8")
    variables = {"conv1/kernel", "conv1/batch_normalization/gamma", "fc1/weights", "logits/biases"}
    for name in variables:
        assert {name, f"{name}/Adam", f"{name}/Adam_1"} <= set(bundle.entries)
    for scope in ("conv1", "conv2"):
        name = f"{scope}/batch_normalization"
        assert f"{name}/moving_mean/Adam" not in bundle.entries
        assert np.any(read_tensor(bundle, f"{name}/moving_mean") != 0)
        assert np.any(read_tensor(bundle, f"{name}/moving_variance") != 1)
    assert int(read_tensor(bundle, "global_step")) == 8


def test_tf1_graph_is_one_of_old(tf1_dirs):
    graph = parse_message(MetaGraphDef, tf1_dirs[0] / "model.ckpt-8.meta").graph_def
    ops = {node.name: node.op for node in graph.node}
    assert ops["images"] == ops["is_training"] == "Placeholder"
    assert ops["keep_prob"] == "PlaceholderWithDefault"
    assert ops["scores"] == "Softmax"
    assert {"VariableV2", "Switch", "Merge", "FusedBatchNormV3", "AssignSub", "ApplyAdam"} <= set(
        ops.values()
    )
    assert not {"VarHandleOp", "If", "StatelessIf"} & set(ops.values())


def test_overwriting_changes_the_newest_checkpoint_alone(tf1_dirs):
    trained_dir, overwritten_dir = tf1_dirs
    names = {path.name for path in trained_dir.iterdir()}
    assert {path.name for path in overwritten_dir.iterdir()} == names
    data = "model.ckpt-{}.data-00000-of-00001"
    for step in (4, 6):
        assert (trained_dir / data.format(step)).read_bytes() == (
            overwritten_dir / data.format(step)
        ).read_bytes()
    assert (trained_dir / data.format(8)).read_bytes() != (overwritten_dir / data.format(8)).read_bytes()
    assert (overwritten_dir / "checkpoint").read_text().count("all_model_checkpoint_paths") == 3
    assert (
        load_record(trained_dir / "record.npz").steps,
        load_record(overwritten_dir / "record.npz").steps,
    ) == (8, 11)


def test_keras_saves_model_optimizer_and_record(tmp_path):
    import h5py

    _run_python(
        "import sys\n"
        "from pathlib import Path\n"
        "from examples.digits.train_keras import train\n"
        "train(Path(sys.argv[1]), epochs=1)\n",
        tmp_path,
    )
    with h5py.File(tmp_path / "digits.h5", "r") as file:
        assert file.attrs["keras_version"].startswith("2.")
        assert {"model_weights", "optimizer_weights"} <= set(file)
    record = load_record(tmp_path / "record.npz")
    assert record.steps == -(-1437 // 64)
    assert record.scores.shape == (360, 10)
    assert np.allclose(record.scores.sum(axis=1), 1, atol=1e-5)


def _fake_trainings(monkeypatch, *, failing=()):
    runs = []

    def run(command, **options):
        model_dir = Path(command[command.index("--out") + 1])
        runs.append(model_dir.name)
        if model_dir.name in failing:
            return subprocess.CompletedProcess(command, 1, "", "no space left")
        assert not model_dir.exists()
        model_dir.mkdir(parents=True)
        (model_dir / "record.npz").touch()
        return subprocess.CompletedProcess(command, 0, "done\n", "")

    monkeypatch.setattr(training.subprocess, "run", run)
    return runs


def test_only_what_is_missing_is_trained(monkeypatch, tmp_path):
    runs = _fake_trainings(monkeypatch)
    places = Places(tmp_path)
    assert training.train_missing(places) == (TF1_MODEL, KERAS_MODEL)
    assert training.train_missing(places) == ()
    # A training that was killed left files but no record: it starts over in an empty folder.
    places.get_record_path(KERAS_MODEL).unlink()
    assert training.train_missing(places) == (KERAS_MODEL,)
    assert training.train_missing(places, retrain=True) == (TF1_MODEL, KERAS_MODEL)
    assert runs == [TF1_MODEL, KERAS_MODEL, KERAS_MODEL, TF1_MODEL, KERAS_MODEL]


def test_failed_training_is_told_in_its_own_words(monkeypatch, tmp_path):
    _fake_trainings(monkeypatch, failing=(TF1_MODEL,))
    with pytest.raises(training.TrainingError, match="digits_tf1 failed") as caught:
        training.train_missing(Places(tmp_path))
    assert caught.value.received == "no space left"
