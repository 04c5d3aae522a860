"""Check `batch`: does each signature take any number of rows?

What passes through: the first request of each signature, made shorter and longer by taking its rows again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from servable.checks.context import Check, Context, make_error, make_warning
from servable.checks.rows import count_rows, has_free_rows
from servable.checks.visits import Visit
from servable.report import Finding, Report, Severity, Skipped
from servable.signature import Signature, TensorSpec

_NAME = "batch"
_FIXED_ANSWER = "any number of rows may be asked, and the number of rows that are answered is fixed"


def _check_batch(context: Context) -> Report:
    if not context.visits:
        return Report(str(context.saved_model_dir), skipped=(Skipped(_NAME, "no signature could be run"),))
    findings: list[Finding] = []
    for name, visit in context.visits.items():
        signature = context.signatures[name]
        free = [key for key, spec in signature.inputs.items() if has_free_rows(spec)]
        findings += _find_fixed(signature, signature.inputs, "the number of rows is fixed")
        if free:
            findings += _find_fixed(signature, signature.outputs, _FIXED_ANSWER)
            findings += _try_sizes(signature, visit, context)
    return context.make_report(_NAME, findings)


def _find_fixed(signature: Signature, ends: Mapping[str, TensorSpec], what: str) -> Iterator[Finding]:
    fixed = [f"{key}: {spec}" for key, spec in ends.items() if not has_free_rows(spec)]
    if fixed:
        yield make_warning(
            _NAME,
            f"{what}: {', '.join(fixed)}",
            where=f"signature {signature.name}",
            advice="Export again with a free first dimension, so that requests can be batched.",
        )


def _try_sizes(signature: Signature, visit: Visit, context: Context) -> Iterator[Finding]:
    where = f"signature {signature.name}"
    total = count_rows(signature, visit.inputs)
    if not total:
        yield make_warning(
            _NAME, "inputs have no number of rows in common: sizes were not tried", where=where
        )
        return
    sizes, too_large = context.list_batch_sizes(signature)
    received: dict[str, dict[int, tuple[int, ...]]] = {}
    for size in sizes:
        result = context.call_rows(signature, [i % total for i in range(size)])
        if result.fault is not None:
            message = f"a request of {size} rows fails: {' '.join(result.fault.message.split())}"
            yield make_error(
                _NAME,
                message,
                where=where,
                advice="Look for a shape that the graph fixes (a reshape to the training batch, say).",
            )
            return
        for key, value in result.outputs.items():
            received.setdefault(key, {})[size] = value.shape
    for key, shapes in received.items():
        if has_free_rows(signature.outputs[key]):
            # An input of a fixed size may say how many rows there are, as that of a sparse tensor does.
            is_all = all(has_free_rows(spec) for spec in signature.inputs.values())
            yield from _judge_rows(shapes, f"{where}, output {key}", is_all=is_all)
    for size, reason in too_large.items():
        yield Finding(_NAME, Severity.INFO, f"a request of {size} rows was not tried: {reason}", where)


def _judge_rows(shapes: Mapping[int, tuple[int, ...]], where: str, *, is_all: bool) -> Iterator[Finding]:
    wrong = {size: shape for size, shape in shapes.items() if shape[:1] != (size,)}
    if not wrong:
        return
    shown = "; ".join(f"{size} rows in, {list(shape)} out" for size, shape in wrong.items())
    message = f"{shown}: a server that batches can't split this"
    counts = {shape[0] for shape in shapes.values() if shape}
    if is_all and len(shapes) > 1 and len(counts) == 1 and all(shapes.values()):
        # Declared free, and the same for each request: all rows but these stay without an answer.
        advice = "Look for a batch size that the graph has as a constant (a tile, a broadcast, a reduction)."
        yield make_error(_NAME, message, where=where, advice=advice)
    else:
        yield make_warning(_NAME, message, where=where)


CHECK = Check(_NAME, _check_batch, needs=("serving_load",))
