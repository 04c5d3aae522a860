"""Check `serving_load`: does the C++ loader of TensorFlow Serving load the model and run every signature?

What passes through: one request per signature, with the baseline's inputs where there are any, else with
made-up ones. Its answers are kept for the checks that follow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from servable.checks.context import Check, Context, make_error
from servable.checks.requests import choose_inputs, describe_fault, judge_fault
from servable.checks.visits import Visit
from servable.report import Finding, Report
from servable.runtime.tensors import find_numpy_dtype
from servable.signature import Shape, TensorSpec

_NAME = "serving_load"


def _check_serving_load(context: Context) -> Report:
    session = context.session
    facts: dict[str, object] = {"runtime": f"tensorflow {session.runtime_version} (C++ loader)"}
    facts["loaded_from"] = str(context.moved[1])
    fault = context.load_fault
    if fault is not None:
        message = f"the model does not load: {describe_fault(fault)}"
        return context.make_report(_NAME, [make_error(_NAME, message, where=str(context.saved_model_dir))])
    findings: list[Finding] = []
    run_times_s = {}
    for signature in context.signatures.values():
        where = f"signature {signature.name}"
        inputs, invented, faults = choose_inputs(signature, context, _NAME)
        findings += faults
        if inputs is None:
            continue
        result = context.call(signature, inputs)
        if result.fault is not None:
            findings.append(judge_fault(result.fault, where, _NAME, invented=invented))
            continue
        run_times_s[signature.name] = round(result.elapsed_s, 6)
        faulty = [
            f
            for key, spec in signature.outputs.items()
            for f in _judge(result.outputs[key], key, spec, where)
        ]
        findings += faulty
        context.visits[signature.name] = Visit(inputs, result.outputs, invented, result.elapsed_s)
    facts |= {
        "load_time_s": round(session.load_time_s, 3),
        "first_run_times_s": run_times_s,
        "peak_memory_bytes": session.peak_memory_bytes,
    }
    return context.make_report(_NAME, findings, facts)


def _judge(value: np.ndarray, key: str, spec: TensorSpec, where: str) -> Iterator[Finding]:
    at = f"{where}, output {key}"
    if value.dtype != find_numpy_dtype(spec.dtype):
        yield make_error(_NAME, f"type: declared {spec.dtype}, received {value.dtype.name}", where=at)
    if not _fits(value.shape, spec.shape):
        yield make_error(_NAME, f"shape: declared {spec}, received {list(value.shape)}", where=at)


def _fits(shape: tuple[int, ...], declared: Shape) -> bool:
    if declared is None:
        return True
    return len(shape) == len(declared) and all(
        want is None or want == got for want, got in zip(declared, shape, strict=True)
    )


CHECK = Check(_NAME, _check_serving_load, needs=("tags", "signatures", "ops", "variables"))
