"""Check `robustness`: does the model stand what a client may rightly send?

What passes through: each signature's first request with extreme values (see `probes`), empty texts, no rows.
A request may be refused; it must neither end the runtime nor turn numbers into NaN. Warnings by default, for
not every model has to stand every value; the policy makes errors of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from servable.checks.comparison import count_not_finite
from servable.checks.context import Check, Context, make_warning
from servable.checks.probes import Probe, list_probes
from servable.checks.requests import describe_fault
from servable.checks.visits import Visit
from servable.report import Finding, Report, Skipped
from servable.runtime.outcome import FaultKind
from servable.signature import Signature

_NAME = "robustness"
_MAX_RUN_S = 1.0  # a dozen of such requests would take longer than all other checks
_ADVICE = "Clip the values in the model, or refuse them in front of it."


def _check_robustness(context: Context) -> Report:
    findings: list[Finding] = []
    refused: dict[str, list[str]] = {}
    visits = context.distinct_visits
    left_out = [name for name, visit in visits.items() if visit.elapsed_s > _MAX_RUN_S]
    asked = [name for name in visits if name not in left_out]
    if not asked:
        reason = f"each request takes more than {_MAX_RUN_S:g} s" if left_out else "no signature could be run"
        return Report(str(context.saved_model_dir), skipped=(Skipped(_NAME, reason),))
    for name in asked:
        if not context.session.alive:
            break
        findings += _probe(context.signatures[name], visits[name], context, refused)
    return context.make_report(_NAME, findings, {"refused_requests": refused} if refused else None)


def _probe(
    signature: Signature, visit: Visit, context: Context, refused: dict[str, list[str]]
) -> Iterator[Finding]:
    where = f"signature {signature.name}"
    # Where a harmless request is answered with NaN, an extreme one says nothing new.
    honest = {key for key, value in visit.outputs.items() if not count_not_finite(value)[0]}
    nan: dict[str, list[str]] = {}
    for probe in list_probes(signature, visit.inputs):
        result = context.call(signature, probe.inputs)
        if result.fault is None:
            for key in honest if probe.is_finite else ():
                if count_not_finite(result.outputs[key])[0]:
                    nan.setdefault(key, []).append(probe.what)
        elif result.fault.kind is FaultKind.STATUS:
            refused.setdefault(signature.name, []).append(probe.what)
        else:
            yield _report_end(probe, describe_fault(result.fault), where)
            break
    for key, probes in nan.items():
        message = f"finite inputs are answered with NaN: {', '.join(probes)}"
        yield make_warning(_NAME, message, where=f"{where}, output {key}", advice=_ADVICE)


def _report_end(probe: Probe, fault: str, where: str) -> Finding:
    message = f"a request of {probe.what} ends the runtime: {fault}"
    return make_warning(_NAME, message, where=where, advice=_ADVICE + " Any client can end such a server.")


CHECK = Check(_NAME, _check_robustness, needs=("serving_load",))
