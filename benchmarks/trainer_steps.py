"""What a trainer does between two runs: nothing, a new step, the same step anew, half of one.

What passes through: the digits example is trained, and trained on; a folder for each state of the trainer's
own comes out, from which a runner's copy is filled.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from examples.digits.places import KERAS_MODEL, TF1_MODEL, Places

_NEW_STEP, _HALF_STEP, _LAST_STEP = 700, 800, 900


@dataclass(frozen=True, slots=True)
class Step:
    """A state of the trainer's folder, and how the run after it goes.

    Attributes:
        name: For people.
        state: The folder that holds the state; several steps may have the same.
        is_killed: Whether a run is killed in the middle, and the next one counts.
    """

    name: str
    state: str
    is_killed: bool = False


STEPS = (
    Step("first run", "trained"),
    Step("unchanged", "trained"),
    Step("new step", "new_step"),
    Step("overwritten in place", "overwritten"),
    Step("half-written step", "half_written"),
    Step("after kill -9 in mid-task", "next_step", is_killed=True),
)


def prepare_trainings(out_dir: Path) -> Path:
    """Trains both models, and makes every state.

    Args:
        out_dir: Takes one folder a state, each with one folder a model and the held-out scans. Those that are
            there already are kept.

    Returns:
        The same.
    """
    from examples.digits.training import train_missing

    base = Places(out_dir / "base")
    train_missing(base)
    before = base.held_out_path.parent
    for state in dict.fromkeys(step.state for step in STEPS):
        if not (out_dir / state).exists():
            shutil.rmtree(out_dir / "next", ignore_errors=True)
            shutil.copytree(before, out_dir / "next")
            if state != STEPS[0].state:
                _advance(out_dir / "next" / TF1_MODEL, state)
            (out_dir / "next").rename(out_dir / state)
        before = out_dir / state
    return out_dir


def take_step(step: Step, trainings: Path, training_dir: Path) -> None:
    """Brings a runner's copy of the trainer's folder into the step's state; what has not changed stays."""
    for source in sorted((trainings / step.state).rglob("*")):
        target = training_dir / source.relative_to(trainings / step.state)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.is_file() or target.read_bytes() != source.read_bytes():
            shutil.copy2(source, target)
    if not (training_dir / KERAS_MODEL).is_dir():
        raise FileNotFoundError(training_dir / KERAS_MODEL)


def _advance(checkpoint_dir: Path, state: str) -> None:
    if state == "overwritten":
        _train_on(checkpoint_dir)
    elif state == "new_step":
        _add_step(checkpoint_dir, _NEW_STEP)
    elif state == "half_written":
        _add_step(checkpoint_dir, _HALF_STEP)
        data = checkpoint_dir / f"model.ckpt-{_HALF_STEP}.data-00000-of-00001"
        data.write_bytes(data.read_bytes()[:-100])
    else:
        for path in checkpoint_dir.glob(f"model.ckpt-{_HALF_STEP}.*"):
            path.unlink()
        _name_newest(checkpoint_dir, _NEW_STEP)
        _add_step(checkpoint_dir, _LAST_STEP)


def _add_step(checkpoint_dir: Path, step: int) -> None:
    """Saves a further step beside the others: the newest one, trained on."""
    newest = max(
        checkpoint_dir.glob("model.ckpt-*.index"), key=lambda path: int(path.stem.rpartition("-")[2])
    )
    before = newest.stem
    kept = {path.name: path.read_bytes() for path in checkpoint_dir.glob(f"{before}.*")}
    _train_on(checkpoint_dir)
    for path in list(checkpoint_dir.glob(f"{before}.*")):
        path.rename(path.with_name(path.name.replace(before, f"model.ckpt-{step}")))
    for name, content in kept.items():
        (checkpoint_dir / name).write_bytes(content)
    _name_newest(checkpoint_dir, step)


def _name_newest(checkpoint_dir: Path, step: int) -> None:
    (checkpoint_dir / "checkpoint").write_text(f'model_checkpoint_path: "model.ckpt-{step}"\n')


def _train_on(checkpoint_dir: Path) -> None:
    code = "import sys, pathlib; from examples.digits.train_tf1 import overwrite_newest; "
    code += "overwrite_newest(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(checkpoint_dir)], check=True, capture_output=True)
