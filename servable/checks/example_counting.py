"""Asks a model batch after batch of examples, and counts what comes of it.

What passes through: an `ExamplesPlan` and batches of rows come in, a `Tally` goes out. One process counts
files by itself (`example_files`); pipelines spread batches over many and merge the tallies.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from servable.checks.answers import find_output_fault, read_answers, read_labels
from servable.checks.example_inputs import (
    InputPlan,
    Refused,
    Request,
    find_unfit_rows,
    make_requests,
    plan_inputs,
    take_values,
)
from servable.checks.example_plan import Ask, ExamplesPlan
from servable.checks.measures import make_measure
from servable.checks.row_differences import compare_rows
from servable.checks.tallies import (
    CANDIDATE,
    PREVIOUS,
    SOURCE,
    Difference,
    FailingRows,
    Sample,
    Tally,
    Times,
)
from servable.formats.tf_examples import ExampleBatch
from servable.runtime.outcome import CallResult, FaultKind

# Halving a request that fails finds the rows that are to blame; so many times for each process, since a model
# that refuses every row would be asked twice for each of them.
_MOST_SEARCHES = 200


class BatchCounter:
    """Counts batches in one process; while the model answers one, the next is read and the last is judged.

    Args:
        plan: What to ask.
        asks: By side, as `ExamplesPlan.open_models` gives them; called from one thread.
    """

    def __init__(self, plan: ExamplesPlan, asks: Mapping[str, Ask]) -> None:
        self._plan = plan
        self._asks = asks
        self._inputs: InputPlan = plan_inputs(plan.signature, plan.policy)
        self._searches = 0
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: tuple[Request, ExampleBatch, Future[CallResult]] | None = None
        self._tally = Tally()

    def count(self, batch: ExampleBatch) -> None:
        """Asks the model the rows of a batch."""
        self._tally.rows += batch.size
        requests, refused = make_requests(self._plan.signature, self._inputs, batch)
        for one in refused:
            self._refuse(one, np.arange(batch.size), batch)
        for request in requests:
            answer = self._thread.submit(self._asks[CANDIDATE], request.inputs)
            self._settle()
            self._pending = request, batch, answer

    def take(self) -> Tally:
        """Gives what was counted so far, and begins anew."""
        self._settle()
        tally, self._tally = self._tally, Tally()
        return tally

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _settle(self) -> None:
        if self._pending is not None:
            (request, batch, answer), self._pending = self._pending, None
            self._take_answer(answer.result(), request, batch)

    def _ask(self, side: str, request: Request) -> CallResult:
        # By the same thread: a model is asked one question at a time.
        return self._thread.submit(self._asks[side], request.inputs).result()

    def _take_answer(self, result: CallResult, request: Request, batch: ExampleBatch) -> None:
        if result.fault is None:
            self._note_time(CANDIDATE, request, result)
            self._judge(request, result.outputs, batch)
            return
        is_about_rows = result.fault.kind is FaultKind.STATUS and len(request.rows) > 1
        if is_about_rows and self._searches < _MOST_SEARCHES:
            self._searches += 1
            middle = len(request.rows) // 2
            for part in (slice(None, middle), slice(middle, None)):
                inputs = {key: value[part] for key, value in request.inputs.items()}
                half = Request(request.rows[part], inputs)
                self._take_answer(self._ask(CANDIDATE, half), half, batch)
            return
        words = " ".join(result.fault.message.split())
        details = np.full(len(request.rows), words, dtype=object)
        reason = f"the model does not answer: {result.fault.kind}"
        self._refuse(Refused(reason, np.ones(len(request.rows), bool), details), request.rows, batch)

    def _judge(self, request: Request, outputs: Mapping[str, np.ndarray], batch: ExampleBatch) -> None:
        rows = len(request.rows)
        for key in {*self._plan.policy.source_outputs, self._plan.output} - {""}:
            if outputs[key].shape[:1] != (rows,):
                self._fault(f"output {key}: {rows} rows in, {list(outputs[key].shape)} out")
                return
        usable = np.ones(rows, bool)
        for key, feature in self._plan.policy.source_outputs.items():
            usable &= self._compare(key, feature, request, outputs[key], batch, usable)
        if self._plan.output:
            self._measure(request, outputs[self._plan.output], batch, usable)

    def _measure(self, request: Request, output: np.ndarray, batch: ExampleBatch, usable: np.ndarray) -> None:
        """Adds up what the judged output says, for rows that have no fault yet."""
        plan = self._plan
        fault = find_output_fault(plan.policy, output)
        if fault:
            self._fault(f"output {plan.output}: {fault}")
            return
        labels = read_labels(
            plan.policy, batch.columns.get(plan.policy.label), batch.size, width=output[0].size
        )
        for one in labels.refused:
            chosen = None if one.received is None else one.received[request.rows]
            fresh = Refused(one.reason, one.mask[request.rows] & usable, chosen)
            usable = usable & ~self._refuse(fresh, request.rows, batch)
        answers = read_answers(plan.policy, output)
        for one in answers.refused:
            fresh = Refused(one.reason, one.mask & usable, one.received)
            usable = usable & ~self._refuse(fresh, request.rows, batch)
        right = labels.values[request.rows]
        if right.dtype == object and answers.values.dtype != object:
            self._fault(
                f"label {plan.policy.label} is a text and output {plan.output} a number: name `classes`"
            )
            return
        self._add(CANDIDATE, right, answers.values, usable)
        others = self._ask_others(request, batch)
        for side, other in others.items():
            if not find_output_fault(plan.policy, other) and other[0].size == output[0].size:
                found = read_answers(plan.policy, other)
                bad = np.zeros(len(request.rows), bool)
                for one in found.refused:
                    bad |= one.mask
                self._add(side, right, found.values, usable & ~bad)

    def _ask_others(self, request: Request, batch: ExampleBatch) -> dict[str, np.ndarray]:
        """Gives the judged output of the source and of the previous model, as far as they have answers."""
        plan = self._plan
        others: dict[str, np.ndarray] = {}
        column = batch.columns.get(plan.policy.source_outputs.get(plan.output, ""))
        spec = plan.signature.outputs[plan.output]
        if column is not None and not find_unfit_rows(column, spec)[request.rows].any():
            others[SOURCE] = take_values(column, spec, request.rows)
        if PREVIOUS in self._asks:
            result = self._ask(PREVIOUS, request)
            output = result.outputs.get(plan.output)
            if output is not None and output.shape[:1] == (len(request.rows),):
                self._note_time(PREVIOUS, request, result)
                others[PREVIOUS] = output
        return others

    def _add(self, side: str, labels: np.ndarray, answers: np.ndarray, usable: np.ndarray) -> None:
        measure = self._tally.measures.setdefault(side, make_measure(self._plan.policy.task))
        measure.add(labels[usable], answers[usable])

    def _compare(
        self,
        key: str,
        feature: str,
        request: Request,
        output: np.ndarray,
        batch: ExampleBatch,
        usable: np.ndarray,
    ) -> np.ndarray:
        """Compares an output with the source's own, row by row; gives which rows have the latter."""
        limit = self._plan.policy.max_samples
        difference = self._tally.differences.setdefault(key, Difference(FailingRows(limit)))
        column = batch.columns.get(feature)
        spec = self._plan.signature.outputs[key]
        unfit = np.ones(len(request.rows), bool)
        if column is not None and (column.values.dtype == object) == (spec.dtype == "string"):
            unfit = column.lengths[request.rows] != output[0].size
        reason = f"feature {feature} is missing, or is not what output {key} is: {spec}"
        self._refuse(Refused(reason, unfit & usable), request.rows, batch)
        kept = np.flatnonzero(~unfit)
        if column is None or not len(kept):
            return ~unfit
        expected = take_values(column, spec, request.rows[kept])
        found = compare_rows(expected, output[kept], self._plan.tolerances[key])
        difference.rows += len(kept)
        difference.worst = max(difference.worst, float(found.distances.max()))
        differing = np.flatnonzero(found.differs)
        shown = differing[np.argsort(-found.distances[differing], kind="stable")[:limit]]
        samples = [
            Sample(
                -float(found.distances[at]),
                batch.origin,
                batch.first + int(request.rows[kept[at]]),
                f"off by {found.distances[at]:.6g}",
            )
            for at in shown
        ]
        difference.failing.add(len(differing), samples)
        return ~unfit

    def _refuse(self, refused: Refused, rows: np.ndarray, batch: ExampleBatch) -> np.ndarray:
        """Notes rows that cannot be used, and gives their mask."""
        at = np.flatnonzero(refused.mask)
        if len(at):
            limit = self._plan.policy.max_samples
            failing = self._tally.reasons.setdefault(refused.reason, FailingRows(limit))
            details = [
                "" if refused.received is None else f"received {refused.received[i]}" for i in at[:limit]
            ]
            failing.add(
                len(at),
                [
                    Sample(0.0, batch.origin, batch.first + int(rows[i]), detail)
                    for i, detail in zip(at[:limit], details, strict=True)
                ],
            )
            self._tally.unusable += len(at)
        return refused.mask

    def _fault(self, words: str) -> None:
        self._tally.faults[words] = self._tally.faults.get(words, 0) + 1

    def _note_time(self, side: str, request: Request, result: CallResult) -> None:
        self._tally.times.setdefault(side, Times()).add(len(request.rows), result.elapsed_s)
