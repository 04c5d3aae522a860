"""First answers of signatures, on which later checks build: which are the same, and what larger ones cost.

What passes through: visits and signatures by name come in, names and sizes go out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from servable.checks.rows import count_rows, find_expense
from servable.signature import Signature


@dataclass(frozen=True, slots=True)
class Visit:
    """What one signature was asked first and what it answered, by serving key.

    Attributes:
        inputs: Arrays as fed.
        outputs: Arrays as returned.
        invented: True when the inputs were made up.
        elapsed_s: Time of the run.
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    invented: bool
    elapsed_s: float = 0.0


def find_first_name(name: str, visits: Mapping[str, Visit], signatures: Mapping[str, Signature]) -> str:
    """Names the first signature that was asked the same: a default one often is another's double."""
    own, visit = signatures[name], visits[name]
    for other, theirs in visits.items():
        twin = signatures[other]
        is_same = (twin.inputs, twin.outputs) == (own.inputs, own.outputs)
        if is_same and (theirs.inputs is visit.inputs or (theirs.invented and visit.invented)):
            return other
    return name


def sort_sizes(signature: Signature, visit: Visit, sizes: Iterable[int]) -> tuple[list[int], dict[int, str]]:
    """Tells numbers of rows that can be tried from those that would be too expensive, with the reasons.

    Args:
        signature: The one that was asked.
        visit: Its first answer.
        sizes: Numbers of rows.
    """
    total = count_rows(signature, visit.inputs) or 1
    reasons = {
        size: find_expense(visit.inputs, visit.outputs, visit.elapsed_s, size / total) for size in sizes
    }
    return [size for size in reasons if not reasons[size]], {s: r for s, r in reasons.items() if r}
