"""Does a row's answer depend on the rows that it travels with? Found by running, for `inference_mode`.

What passes through: a signature's first answer comes in. Each row is asked alone, in requests of other sizes,
in another order and beside other rows; what differs goes out as findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import numpy as np

from servable.checks.comparison import compare_arrays, is_inexact
from servable.checks.context import Context, make_error, make_warning
from servable.checks.decisions import find_other_decision
from servable.checks.rows import count_rows, join_rows, make_neighbour, take_rows
from servable.checks.tolerances import Tolerance
from servable.checks.visits import Visit
from servable.report import Finding, Severity
from servable.runtime.outcome import CallResult, FaultKind
from servable.signature import Signature

_MAX_ROWS_ALONE = 3
_DECISION_ADVICE = (
    "Keep the server from batching requests of several clients: their rows change each other's answers."
)


class Seen(StrEnum):
    """What runs have shown of an effect that an op could have."""

    NOTHING = "no run could show what that does to the answers"
    NO_EFFECT = "runs show no effect on the answers"
    EFFECT = "this may be why the answers differ"


def compare_rows(
    check: str, signature: Signature, visit: Visit, context: Context, *, advice: str
) -> tuple[Seen, list[Finding]]:
    """Asks the rows of the first request in other company.

    Args:
        check: Name to put into the findings.
        signature: All of whose inputs and outputs have a free first dimension.
        visit: Its first answer.
        context: The SavedModel.
        advice: For a row that is answered otherwise.
    """
    total = count_rows(signature, visit.inputs)
    if not total or any(out.shape[:1] != (total,) for out in visit.outputs.values()):
        return Seen.NOTHING, []
    where = f"signature {signature.name}"
    compared = 0
    decided: list[Finding] = []
    for rows, what in _list_companies(total, context.list_batch_sizes(signature)[0]):
        result = context.call_rows(signature, rows)
        if result.fault is not None:
            return Seen.NOTHING, _judge_fault(check, result, rows, where)
        differences = list(_compare_company(visit.outputs, result.outputs, rows, signature.name, context))
        if differences:
            words = f"{what} is answered otherwise than among {total} rows"
            asked = take_rows(signature, visit.inputs, rows)
            found = _judge_differences(
                check,
                differences,
                signature,
                words=words,
                requests=(visit.inputs, asked),
                context=context,
                advice=advice,
            )
            if found[0].severity is Severity.ERROR:
                return Seen.EFFECT, found
            # Other companies may show more than what the graph decides by itself.
            decided = decided or found
        compared += len(rows) != total
    if total == 1:
        return _compare_beside_another(check, signature, visit, context, advice=advice)
    if decided:
        return Seen.EFFECT, decided
    return (Seen.NO_EFFECT if compared else Seen.NOTHING), []


def _judge_differences(
    check: str,
    differences: Sequence[tuple[str, str]],
    signature: Signature,
    *,
    words: str,
    requests: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]],
    context: Context,
    advice: str,
) -> list[Finding]:
    """Makes errors, or warnings where the graph itself decides by all rows of a request."""
    decision = find_other_decision(signature, *requests, context=context)
    findings = []
    for key, message in differences:
        where = f"signature {signature.name}, output {key}"
        if decision is None:
            findings.append(make_error(check, f"{words}: {message}", where=where, advice=advice))
        else:
            reason = f"the model's own branch, which {decision} chooses, goes by all rows of a request"
            findings.append(
                make_warning(check, f"{words}: {message}; {reason}", where=where, advice=_DECISION_ADVICE)
            )
    return findings


def compare_answers(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], signature: str, context: Context
) -> Iterator[tuple[str, str]]:
    """Yields the key of each output that differs, and how; tolerances fit the outputs' own size."""
    for key, expected in first.items():
        base = context.policy.find_tolerance(expected.dtype.name, signature=signature, output=key)
        message = compare_arrays(expected, second[key], _scale(base, expected)).message
        if message:
            yield key, message


def _list_companies(total: int, sizes: Sequence[int]) -> Iterator[tuple[list[int], str]]:
    for row in range(min(total, _MAX_ROWS_ALONE) if total > 1 else 0):
        yield [row], f"row {row} alone"
    for size in sizes:
        if size not in (1, total):
            # The same rows as the check of batch sizes asks for, so that they are asked once.
            yield [i % total for i in range(size)], f"a row in a request of {size}"
    if total > 1:
        yield list(reversed(range(total))), "a row in another order"


def _judge_fault(check: str, result: CallResult, rows: Sequence[int], where: str) -> list[Finding]:
    assert result.fault is not None
    words = " ".join(result.fault.message.split())
    if result.fault.kind is not FaultKind.STATUS:
        # The runtime is gone, and with it whatever could say this later.
        return [make_error(check, f"a request of {len(rows)} rows ends the runtime: {words}", where=where)]
    if len(rows) > 1:
        return []  # that a size fails is for the check of batch sizes to say
    return [make_warning(check, f"row {rows[0]} alone could not be run: {words}", where=where)]


def _compare_company(
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    rows: Sequence[int],
    signature: str,
    context: Context,
) -> Iterator[tuple[str, str]]:
    if any(value.shape[:1] != (len(rows),) for value in second.values()):
        return  # likewise
    expected = {key: value[list(rows)] for key, value in first.items()}
    # Where other sizes follow from the company, such as of a padding, elements have no counterparts.
    if all(second[key].shape == value.shape for key, value in expected.items()):
        yield from compare_answers(expected, second, signature, context)


def _compare_beside_another(
    check: str, signature: Signature, visit: Visit, context: Context, *, advice: str
) -> tuple[Seen, list[Finding]]:
    """Puts a made-up row beside the only one that is known."""
    others = make_neighbour(visit.inputs, signature)
    if all(np.array_equal(others[key], value) for key, value in visit.inputs.items()):
        return Seen.NOTHING, []
    joined = join_rows(visit.inputs, others, signature)
    result = context.call(signature, joined)
    if result.fault is not None:
        return Seen.NOTHING, _judge_fault(check, result, (0, 1), f"signature {signature.name}")
    if any(value.shape[:1] != (2,) for value in result.outputs.values()):
        return Seen.NOTHING, []
    alone = {key: value[:1] for key, value in result.outputs.items()}
    differences = list(compare_answers(visit.outputs, alone, signature.name, context))
    if not differences:
        return Seen.NO_EFFECT, []
    words = "the row beside another one is answered otherwise than alone"
    return Seen.EFFECT, _judge_differences(
        check,
        differences,
        signature,
        words=words,
        requests=(visit.inputs, joined),
        context=context,
        advice=advice,
    )


def _scale(tolerance: Tolerance, values: np.ndarray) -> Tolerance:
    """Fits the absolute part to the outputs' own size: noise in small probabilities is noise too."""
    if not is_inexact(values.dtype) or values.size == 0:
        return tolerance
    wide = np.abs(values.astype(np.complex128 if values.dtype.kind == "c" else np.float64))
    finite = wide[np.isfinite(wide)]
    size = float(finite.max()) if finite.size else 0.0
    return Tolerance(tolerance.atol * min(1.0, size), tolerance.rtol)
