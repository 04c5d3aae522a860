"""Where everything of the example lies below its output folder, in one place.

What passes through: the output folder goes in, paths come out. `configs/digits.yaml` names the same
places below `out/digits`, and `rebase_settings` moves all of them to another folder. No TensorFlow here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from servable.errors import SettingsError

if TYPE_CHECKING:
    from pipelines.settings import Settings

REPOSITORY_DIR = Path(__file__).resolve().parents[2]
CONFIG_PATH = REPOSITORY_DIR / "configs" / "digits.yaml"
DEFAULT_OUT_DIR = REPOSITORY_DIR / "out" / "digits"

TF1_MODEL = "digits_tf1"
KERAS_MODEL = "digits_keras"


@dataclass(frozen=True, slots=True)
class Places:
    """The folders and files of one run of the example.

    Attributes:
        out_dir: The folder that holds all of them, absolute.
    """

    out_dir: Path

    @property
    def held_out_path(self) -> Path:
        """`.npz` with the held-out scans, on which the conversion compares."""
        return self.out_dir / "training" / "held_out.npz"

    def get_training_dir(self, model: str) -> Path:
        """The folder that one training fills: the model's files and the trainer's `record.npz`."""
        return self.out_dir / "training" / model

    def get_record_path(self, model: str) -> Path:
        """The trainer's own record, written when its training is finished."""
        return self.get_training_dir(model) / "record.npz"

    def get_push_dir(self, model: str) -> Path:
        """The folder whose sub-folders are the pushed versions of one model."""
        return self.out_dir / "pushed" / model


def rebase_settings(settings: Settings, out_dir: Path) -> Settings:
    """Gives the same settings with every path below `out/digits` moved to another output folder.

    Args:
        settings: As `configs/digits.yaml` has them.
        out_dir: The output folder to use, absolute.

    Raises:
        SettingsError: A path that the run writes lies outside `out/digits`, so that `out_dir` would not
            hold it.
    """

    def move(path: Path) -> Path:
        if not path.is_relative_to(DEFAULT_OUT_DIR):
            raise SettingsError(
                "This path of the example's settings cannot be moved to another output folder.",
                expected=f"a path below {DEFAULT_OUT_DIR}",
                received=str(path),
                where=str(CONFIG_PATH),
            )
        return out_dir / path.relative_to(DEFAULT_OUT_DIR)

    pipeline = settings.pipeline
    models = tuple(
        model.model_copy(
            update={
                "source": move(Path(model.source)),
                "push": move(model.push),
                "inputs": None if model.inputs is None else move(model.inputs),
                "pack": model.pack and model.pack.model_copy(update={"to": move(model.pack.to)}),
            }
        )
        for model in settings.models
    )
    moved = {"root": move(pipeline.root), "metadata": move(Path(pipeline.metadata))}
    return settings.model_copy(update={"pipeline": pipeline.model_copy(update=moved), "models": models})
