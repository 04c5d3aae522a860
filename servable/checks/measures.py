"""Accuracy, AUC and errors as accumulators: rows are added in any portions, portions are merged in any order.

What passes through: labels and a model's answers come in, figures go out. The memory that they take does not
grow with the rows. No TensorFlow here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np

from servable.checks.metrics_policy import Task

# Scores this close together count as equal. The error that this makes is known, and told.
AUC_BINS = 10_000
_THRESHOLD = 0.5


class Measure(Protocol):
    """What all accumulators do."""

    def add(self, labels: np.ndarray, answers: np.ndarray) -> None:
        """Adds rows."""
        ...

    def merge(self, other: Self) -> None:
        """Adds the rows of another one."""
        ...

    def list_figures(self) -> dict[str, float]:
        """Gives the figures so far; none where there were no rows."""
        ...


@dataclass(slots=True)
class Hits:
    """Accuracy of class numbers or names.

    Attributes:
        rows: How many were added.
        hits: In how many the answer is the label.
    """

    rows: int = 0
    hits: int = 0

    def add(self, labels: np.ndarray, answers: np.ndarray) -> None:
        """Adds rows.

        Args:
            labels: int64 or object [rows].
            answers: Likewise.
        """
        self.rows += len(labels)
        self.hits += int(np.sum(labels == answers))

    def merge(self, other: Hits) -> None:
        """Adds the rows of another one."""
        self.rows += other.rows
        self.hits += other.hits

    def list_figures(self) -> dict[str, float]:
        """Gives `accuracy`, 0 to 1."""
        return {"accuracy": self.hits / self.rows} if self.rows else {}


@dataclass(slots=True)
class ScoreBins:
    """Accuracy at 0.5, and the area under the ROC curve, of probabilities.

    Attributes:
        hits: Rows on the right side of 0.5, where 0.5 itself counts as 1.
        positives: int64 [AUC_BINS], rows of label 1 by score.
        negatives: int64 [AUC_BINS], rows of label 0 by score.
    """

    hits: int = 0
    positives: np.ndarray = field(default_factory=lambda: np.zeros(AUC_BINS, np.int64))
    negatives: np.ndarray = field(default_factory=lambda: np.zeros(AUC_BINS, np.int64))

    def add(self, labels: np.ndarray, answers: np.ndarray) -> None:
        """Adds rows.

        Args:
            labels: int64 [rows], 0 or 1.
            answers: float64 [rows], 0 to 1.
        """
        bins = np.minimum((answers * AUC_BINS).astype(np.int64), AUC_BINS - 1)
        positive = labels == 1
        self.positives += np.bincount(bins[positive], minlength=AUC_BINS)
        self.negatives += np.bincount(bins[~positive], minlength=AUC_BINS)
        self.hits += int(np.sum((answers >= _THRESHOLD) == positive))

    def merge(self, other: ScoreBins) -> None:
        """Adds the rows of another one."""
        self.hits += other.hits
        self.positives = self.positives + other.positives
        self.negatives = self.negatives + other.negatives

    def list_figures(self) -> dict[str, float]:
        """Gives `accuracy` and, where both labels occur, `auc` and how far `auc_error` it may be off.

        The area is the share of pairs of a positive and a negative row in which the positive one's score is
        higher; a pair within one bin counts half, which is wrong by a half at most.
        """
        positives, negatives = int(self.positives.sum()), int(self.negatives.sum())
        if not positives + negatives:
            return {}
        figures = {"accuracy": self.hits / (positives + negatives)}
        if positives and negatives:
            # As floats: pairs of 100 million rows do not fit into 64 bits with ease.
            pairs = float(positives) * float(negatives)
            below = np.cumsum(self.negatives) - self.negatives
            tied = float(self.positives.astype(float) @ self.negatives.astype(float)) / 2
            won = float(self.positives.astype(float) @ below.astype(float))
            figures |= {"auc": (won + tied) / pairs, "auc_error": tied / pairs}
        return figures


@dataclass(slots=True)
class Errors:
    """Mean squared and mean absolute error of all values.

    Attributes:
        values: How many were added.
        squares: Sum of the squared errors.
        absolutes: Sum of the errors' sizes.
    """

    values: int = 0
    squares: float = 0.0
    absolutes: float = 0.0

    def add(self, labels: np.ndarray, answers: np.ndarray) -> None:
        """Adds rows.

        Args:
            labels: float64 [rows, n].
            answers: float64 [rows, n].
        """
        errors = answers - labels
        self.values += errors.size
        self.squares += float(np.sum(errors * errors))
        self.absolutes += float(np.sum(np.abs(errors)))

    def merge(self, other: Errors) -> None:
        """Adds the rows of another one."""
        self.values += other.values
        self.squares += other.squares
        self.absolutes += other.absolutes

    def list_figures(self) -> dict[str, float]:
        """Gives `mse` and `mae`."""
        if not self.values:
            return {}
        return {"mse": self.squares / self.values, "mae": self.absolutes / self.values}


def make_measure(task: Task) -> Hits | ScoreBins | Errors:
    """Gives an empty accumulator for a task."""
    if task is Task.CLASSIFICATION:
        return Hits()
    return ScoreBins() if task is Task.BINARY else Errors()
