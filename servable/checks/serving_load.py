"""Check `serving_load`: does the C++ loader of TensorFlow Serving load the model and run every signature?

What passes through: one request per signature, with the baseline's inputs where there are any, else with
made-up ones. Its answers are kept for the checks that follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from servable.baseline import FREE_SIZE, invent_inputs
from servable.checks.context import Check, Context, Visit, make_error, make_warning
from servable.report import Finding, Report
from servable.runtime.outcome import Fault, FaultKind
from servable.runtime.tensors import find_numpy_dtype
from servable.signature import Shape, Signature, TensorSpec

_NAME = "serving_load"
_MAX_INVENTED_VALUES = 1 << 27
# google.rpc codes that a kernel gives when it does not like the values (INVALID_ARGUMENT, OUT_OF_RANGE).
_VALUE_CODES = frozenset({3, 11})
# The same codes, but no other value would help (core/framework/op_kernel.cc, core/kernels/constant_op.cc).
_STRUCTURAL_WORDS = ("No OpKernel was registered", "No registered '", "must feed a value for placeholder")


def _check_serving_load(context: Context) -> Report:
    session = context.session
    facts: dict[str, object] = {"runtime": f"tensorflow {session.runtime_version} (C++ loader)"}
    if session.load_fault is not None:
        message = f"the model does not load: {_describe(session.load_fault)}"
        return context.make_report(_NAME, [make_error(_NAME, message, where=str(context.saved_model_dir))])
    findings: list[Finding] = []
    run_times_s = {}
    for signature in context.signatures.values():
        where = f"signature {signature.name}"
        inputs, invented, faults = _choose_inputs(signature, context)
        findings += faults
        if inputs is None:
            continue
        result = context.call(signature, inputs)
        if result.fault is not None:
            findings.append(_judge_fault(result.fault, where, invented=invented))
            continue
        run_times_s[signature.name] = round(result.elapsed_s, 6)
        faulty = [
            f
            for key, spec in signature.outputs.items()
            for f in _judge(result.outputs[key], key, spec, where)
        ]
        findings += faulty
        context.visits[signature.name] = Visit(inputs, result.outputs, invented)
    facts |= {
        "load_time_s": round(session.load_time_s, 3),
        "first_run_times_s": run_times_s,
        "peak_memory_bytes": session.peak_memory_bytes,
    }
    return context.make_report(_NAME, findings, facts)


def _choose_inputs(
    signature: Signature, context: Context
) -> tuple[Mapping[str, np.ndarray] | None, bool, list[Finding]]:
    where = f"signature {signature.name}"
    sample = context.baseline.samples.get(signature.name) if context.baseline else None
    if sample is not None and context.baseline is not None:
        if set(sample.inputs) == set(signature.inputs):
            return sample.inputs, context.baseline.invented, []
        received = ", ".join(sorted(sample.inputs)) or "none"
        expected = ", ".join(sorted(signature.inputs)) or "none"
        message = f"the baseline has other inputs: expected {expected}, received {received}"
        return None, False, [make_error(_NAME, message, where=where)]
    reason = next((r for spec in signature.inputs.values() if (r := _find_obstacle(spec))), "")
    if reason:
        advice = "Give inputs of your own."
        return None, True, [make_warning(_NAME, f"could not be run: {reason}", where=where, advice=advice)]
    return invent_inputs(signature), True, []


def _find_obstacle(spec: TensorSpec) -> str:
    """Says why no input can be made up; "" when one can."""
    if spec.dtype.startswith(("q", "complex", "resource", "variant", "dtype")):
        return f"no input of type {spec.dtype} can be made up"
    size = math.prod(FREE_SIZE if axis is None else axis for axis in spec.shape or ())
    return f"an input of {size} values is too large to be made up" if size > _MAX_INVENTED_VALUES else ""


def _judge_fault(fault: Fault, where: str, *, invented: bool) -> Finding:
    structural = any(words in fault.message for words in _STRUCTURAL_WORDS)
    about_values = fault.kind is FaultKind.STATUS and fault.code in _VALUE_CODES and not structural
    if invented and about_values:
        # A parser of tf.Examples or a range of ids may rightly refuse what was made up.
        return make_warning(
            _NAME,
            f"made-up inputs were refused, so that nothing is known: {_describe(fault)}",
            where=where,
            advice="Give real inputs (--inputs FILE.npz).",
        )
    return make_error(_NAME, f"the request fails: {_describe(fault)}", where=where, advice=_advise(fault))


def _advise(fault: Fault) -> str:
    if fault.kind is FaultKind.TIMEOUT:
        return "Raise run_time_s in the policy if the model is rightly that slow."
    if fault.kind is FaultKind.OUT_OF_MEMORY:
        return "Raise memory_bytes in the policy, or make the model smaller."
    return ""


def _describe(fault: Fault) -> str:
    return f"{fault.kind.value}: {' '.join(fault.message.split())}"


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
