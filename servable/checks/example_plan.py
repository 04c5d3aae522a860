"""What a model is asked with examples and how it is judged, as values that any machine can be sent.

What passes through: a signature and the policy make an `ExamplesPlan`; with it a process loads the models and
cuts files into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from servable.checks.context import call_signature
from servable.checks.example_inputs import plan_inputs
from servable.checks.metrics_policy import MetricsPolicy
from servable.checks.tallies import CANDIDATE, PREVIOUS
from servable.checks.tolerances import Tolerance
from servable.errors import CheckError
from servable.formats.tf_examples import ExampleBatch, batch_records, parse_examples
from servable.report import Report
from servable.runtime.outcome import CallResult, Limits
from servable.runtime.session import open_session
from servable.signature import Signature

Ask = Callable[[Mapping[str, np.ndarray]], CallResult]


@dataclass(frozen=True, slots=True)
class ExamplesPlan:
    """What is asked and how it is judged; plain values throughout.

    Attributes:
        saved_model_dir: The model, which has passed the static checks.
        signature: The one that is asked.
        output: The output that is judged by the label; "" where only the source's outputs are compared.
        policy: Labels, features, budget.
        tolerances: By output key.
        limits: Of each process that runs a model.
        previous_dir: The model that this one is to replace.
        previous: Its signature of the same keys; None where there is none to compare with.
    """

    saved_model_dir: Path
    signature: Signature
    output: str
    policy: MetricsPolicy
    tolerances: Mapping[str, Tolerance]
    limits: Limits
    previous_dir: Path | None = None
    previous: Signature | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The features that are looked at."""
        names = [*plan_inputs(self.signature, self.policy).features.values()]
        names += [*self.policy.source_outputs.values(), self.policy.label]
        return tuple(dict.fromkeys(name for name in names if name))

    def open_models(self, stack: ExitStack) -> dict[str, Ask]:
        """Loads the models; they end with the stack.

        Returns:
            Calls by side. A previous model that does not load is left out.

        Raises:
            CheckError: The model, which has loaded before, does not load now, or TensorFlow's C++ library is
                not there.
        """
        session = stack.enter_context(open_session(self.saved_model_dir, limits=self.limits))
        if session.load_fault is not None:
            raise CheckError(
                "The model to ask does not load here.",
                expected="the SavedModel that has been checked, at the same path on every worker",
                received=session.load_fault.message,
                where=str(self.saved_model_dir),
                advice="put the pipeline root on a path that all workers have mounted",
            )
        asks: dict[str, Ask] = {CANDIDATE: partial(call_signature, session, self.signature)}
        if self.previous_dir is not None and self.previous is not None:
            older = stack.enter_context(open_session(self.previous_dir, limits=self.limits))
            if older.load_fault is None:
                asks[PREVIOUS] = partial(call_signature, older, self.previous)
        return asks


class ExamplesSource(Protocol):
    """Labelled rows, here or on a cluster, that a model can be asked."""

    def judge(self, plan: ExamplesPlan) -> Report:
        """Asks the model every row, and judges its answers."""
        ...


def read_batches(records: Iterable[bytes], plan: ExamplesPlan, *, origin: str) -> Iterator[ExampleBatch]:
    """Turns a file's records into batches of the plan's size.

    Args:
        records: Serialized tf.Examples.
        plan: With the features that are looked at.
        origin: Name of the file.
    """
    features = plan.features
    for first, rows in batch_records(records, plan.policy.batch_rows):
        yield parse_examples(rows, features, origin=origin, first=first)
