"""The requests with which the checks run a model, and what a failed one means.

What passes through: a signature comes in, its inputs go out, the baseline's where there are any, else made-up
ones; a fault of the runtime comes in, a finding goes out. `serving_load` and `runtimes` ask alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from servable.baseline import FREE_SIZE, Sample, invent_inputs
from servable.checks.context import Context, make_error, make_warning
from servable.checks.made_up_examples import invent_examples
from servable.report import Finding
from servable.runtime.outcome import Fault, FaultKind
from servable.signature import Signature, TensorSpec

_MAX_INVENTED_VALUES = 1 << 27
# google.rpc codes that a kernel gives when it does not like the values (INVALID_ARGUMENT, OUT_OF_RANGE).
_VALUE_CODES = frozenset({3, 11})
# The same codes, but no other value would help (core/framework/op_kernel.cc, core/kernels/constant_op.cc).
_STRUCTURAL_WORDS = ("No OpKernel was registered", "No registered '", "must feed a value for placeholder")


def choose_inputs(
    signature: Signature, context: Context, check: str
) -> tuple[Mapping[str, np.ndarray] | None, bool, list[Finding]]:
    """Chooses what to ask a signature.

    Args:
        signature: Of the model.
        context: With the baseline, if there is one.
        check: Whose findings they are.

    Returns:
        Arrays by serving key, or None with a finding that says why; and whether they are made up.
    """
    where = f"signature {signature.name}"
    sample = _find_sample(signature, context)
    if sample is not None and context.baseline is not None:
        if set(sample.inputs) == set(signature.inputs):
            if misfits := _find_misfits(sample.inputs, signature):
                message = f"the baseline's inputs are not as declared: {'; '.join(misfits)}"
                return None, False, [make_error(check, message, where=where)]
            return sample.inputs, context.baseline.invented, []
        received = ", ".join(sorted(sample.inputs)) or "none"
        expected = ", ".join(sorted(signature.inputs)) or "none"
        message = f"the baseline has other inputs: expected {expected}, received {received}"
        return None, False, [make_error(check, message, where=where)]
    reason = next((r for spec in signature.inputs.values() if (r := _find_obstacle(spec))), "")
    if reason:
        advice = "Give inputs of your own."
        return None, True, [make_warning(check, f"could not be run: {reason}", where=where, advice=advice)]
    return invent_examples(signature, context.reach) or invent_inputs(signature), True, []


def judge_fault(fault: Fault, where: str, check: str, *, invented: bool, runtime: str = "") -> Finding:
    """Turns the fault of a request into a finding.

    Args:
        fault: Of the runtime.
        where: The signature.
        check: Whose finding it is.
        invented: Whether the inputs were made up.
        runtime: Its name where it is not the only one.
    """
    structural = any(words in fault.message for words in _STRUCTURAL_WORDS)
    about_values = fault.kind is FaultKind.STATUS and fault.code in _VALUE_CODES and not structural
    place = f"in {runtime} " if runtime else ""
    if invented and about_values:
        # A parser of tf.Examples or a range of ids may rightly refuse what was made up.
        return make_warning(
            check,
            f"{place}made-up inputs were refused, so that nothing is known: {describe_fault(fault)}",
            where=where,
            advice="Give real inputs (--inputs FILE.npz).",
        )
    message = f"{place}the request fails: {describe_fault(fault)}"
    return make_error(check, message, where=where, advice=_advise(fault))


def describe_fault(fault: Fault) -> str:
    """Says a fault in one line."""
    return f"{fault.kind.value}: {' '.join(fault.message.split())}"


def _find_sample(signature: Signature, context: Context) -> Sample | None:
    """Finds the baseline's sample, else that of a signature with the same inputs under another name."""
    samples = context.baseline.samples if context.baseline else {}
    if signature.name in samples:
        return samples[signature.name]
    aliases = (
        samples[name]
        for name, own in context.signatures.items()
        if name in samples and own.inputs == signature.inputs
    )
    return next(aliases, None)


def _find_misfits(inputs: Mapping[str, np.ndarray], signature: Signature) -> list[str]:
    """Names inputs of another type or rank than declared; a server refuses such requests by itself."""
    misfits = []
    for key, value in inputs.items():
        spec = signature.inputs[key]
        dtype = "string" if value.dtype.kind in "OSU" else value.dtype.name
        if dtype != spec.dtype and not spec.dtype.startswith("q"):
            misfits.append(f"{key}: declared {spec.dtype}, received {dtype}")
        elif spec.shape is not None and len(spec.shape) != value.ndim:
            misfits.append(f"{key}: declared {spec}, received {list(value.shape)}")
    return misfits


def _find_obstacle(spec: TensorSpec) -> str:
    """Says why no input can be made up; "" when one can."""
    if spec.dtype.startswith(("q", "complex", "resource", "variant", "dtype")):
        return f"no input of type {spec.dtype} can be made up"
    size = math.prod(FREE_SIZE if axis is None else axis for axis in spec.shape or ())
    return f"an input of {size} values is too large to be made up" if size > _MAX_INVENTED_VALUES else ""


def _advise(fault: Fault) -> str:
    if fault.kind is FaultKind.TIMEOUT:
        return "Raise run_time_s in the policy if the model is rightly that slow."
    if fault.kind is FaultKind.OUT_OF_MEMORY:
        return "Raise memory_bytes in the policy, or make the model smaller."
    return ""
