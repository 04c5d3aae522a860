"""Where everything of the example lies below its output folder, and what its nodes are called.

What passes through: the output folder goes in, paths come out. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REPOSITORY_DIR = Path(__file__).resolve().parents[2]
DEFAULT_OUT_DIR = REPOSITORY_DIR / "out" / "stock_tfx"
# In a folder of its own: TFX packs all modules beside it.
USER_MODULE = Path(__file__).resolve().parent / "training" / "wine_model.py"

PIPELINE_NAME = "stock_tfx"


@dataclass(frozen=True, slots=True)
class Branch:
    """What one of the two trained files goes through: ids of its nodes.

    Attributes:
        name: Of the model.
    """

    name: str

    @property
    def convert(self) -> str:
        """CheckpointImporter or KerasConverter."""
        return f"convert_{self.name}"

    @property
    def resolve(self) -> str:
        """TFX's Resolver of the latest blessed model."""
        return f"resolve_{self.name}"

    @property
    def validate(self) -> str:
        """SavedModelValidator."""
        return f"validate_{self.name}"

    @property
    def push(self) -> str:
        """TFX's Pusher."""
        return f"push_{self.name}"


CHECKPOINT = Branch("wine_checkpoint")
KERAS = Branch("wine_keras")
BRANCHES = (CHECKPOINT, KERAS)


@dataclass(frozen=True, slots=True)
class Places:
    """The folders and files of the example.

    Attributes:
        out_dir: The folder that holds all of them, absolute.
    """

    out_dir: Path

    @property
    def csv_dir(self) -> Path:
        """What CsvExampleGen reads."""
        return self.out_dir / "csv"

    @property
    def samples_path(self) -> Path:
        """`.npz` of a few bottles, on which the conversion of the checkpoint compares."""
        return self.out_dir / "samples.npz"

    @property
    def root_dir(self) -> Path:
        """TFX's artifacts."""
        return self.out_dir / "pipeline"

    @property
    def metadata_path(self) -> Path:
        """ML Metadata, one SQLite file."""
        return self.out_dir / "metadata.sqlite"

    @property
    def log_path(self) -> Path:
        """What TensorFlow, Beam and TFX say."""
        return self.out_dir / "run.log"

    def get_push_dir(self, branch: Branch) -> Path:
        """The folder whose sub-folders are the pushed versions of a model."""
        return self.out_dir / "pushed" / branch.name
