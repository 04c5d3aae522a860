"""The same bottles twice: what BulkInferrer was answered, and what the trainer's own net said.

What passes through: TFRecords of PredictionLogs and the trainer's `record.npz` come in, a comparison bottle
by bottle goes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from examples.stock_tfx.data import BOTTLE
from servable.errors import ServableError
from servable.formats.protos import Example
from servable.formats.tfrecords import read_record_file

# As the user's module names them.
RECORD_FILE = "record.npz"
_INPUT, _OUTPUT = "examples", "scores"
# Two float32 programs for the same sums; the scores themselves are at most 1.
_TOLERANCE = 1e-5


class AnswersError(ServableError):
    """Answers are missing, or belong to other bottles."""


@dataclass(frozen=True, slots=True)
class TrainerRecord:
    """What the trainer measured on the rows that it did not learn from.

    Attributes:
        bottles: int64 [n], their numbers.
        labels: int64 [n], 0 to 2.
        scores: float32 [n, 3].
        learnt: Rows that it did learn from.
        seconds: It took.
    """

    bottles: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    learnt: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of the held-out bottles read correctly, 0 to 1."""
        return float(np.mean(self.scores.argmax(-1) == self.labels))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Trainer and pushed model on the same bottles.

    Attributes:
        bottles: How many.
        trainer_accuracy: Share that the trainer's net reads correctly, 0 to 1.
        accuracy: Share that the pushed model reads correctly.
        differing: Bottles that the two read differently.
        worst: The largest difference of any score.
    """

    bottles: int
    trainer_accuracy: float
    accuracy: float
    differing: int
    worst: float

    @property
    def is_same(self) -> bool:
        """Whether no bottle is read differently, and no score is beyond rounding."""
        return self.differing == 0 and self.worst <= _TOLERANCE


def load_record(run_dir: Path) -> TrainerRecord:
    """Reads what the trainer left in its ModelRun."""
    with np.load(run_dir / RECORD_FILE, allow_pickle=False) as file:
        return TrainerRecord(
            file["bottles"], file["labels"], file["scores"], int(file["learnt"]), float(file["seconds"])
        )


def read_answers(inference_dir: Path) -> dict[int, np.ndarray]:
    """Reads the scores that BulkInferrer was given, float32 [3], by bottle.

    Raises:
        CheckError: A file is damaged.
    """
    from tensorflow import make_ndarray
    from tensorflow_serving.apis import prediction_log_pb2

    answers = {}
    for path in sorted(inference_dir.glob("*.gz")):
        for record in read_record_file(path):
            log = prediction_log_pb2.PredictionLog.FromString(record).predict_log
            example = Example.FromString(log.request.inputs[_INPUT].string_val[0])
            scores: Any = make_ndarray(log.response.outputs[_OUTPUT])
            answers[int(example.features.feature[BOTTLE].int64_list.value[0])] = scores.reshape(-1)
    return answers


def compare_answers(record: TrainerRecord, answers: dict[int, np.ndarray]) -> Comparison:
    """Compares bottle by bottle.

    Raises:
        AnswersError: The answers are not to the very bottles that the trainer held out.
    """
    wanted = [int(bottle) for bottle in record.bottles]
    if sorted(wanted) != sorted(answers):
        raise AnswersError(
            "BulkInferrer did not answer to the bottles that the trainer held out.",
            expected=f"{len(wanted)} bottles: {sorted(wanted)}",
            received=f"{len(answers)} bottles: {sorted(answers)}",
        )
    scores = np.stack([answers[bottle] for bottle in wanted])
    read, read_by_trainer = scores.argmax(-1), record.scores.argmax(-1)
    return Comparison(
        bottles=len(wanted),
        trainer_accuracy=record.accuracy,
        accuracy=float(np.mean(read == record.labels)),
        differing=int(np.sum(read != read_by_trainer)),
        worst=float(np.max(np.abs(scores - record.scores))),
    )
