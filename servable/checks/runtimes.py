"""Check `runtimes`: does the model load, run and answer alike in the very runtimes that are to serve it?

What passes through: the same requests go to each version's own C++ runtime, in a process of its own; its
answers are compared with the baseline's, else with those of the newest runtime that gave any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from servable.checks.comparison import compare_arrays
from servable.checks.context import Check, Context, call_signature, describe_error, make_error
from servable.checks.policy import CheckPolicy
from servable.checks.requests import choose_inputs, describe_fault, judge_fault
from servable.errors import CheckError, SettingsError
from servable.report import Finding, Report, Severity, Skipped
from servable.runtime.installed import InstalledRuntime, find_runtime, order_version
from servable.runtime.session import Session, open_session
from servable.targets.catalog import CURRENT, find_target
from servable.targets.registry import CURRENT_VERSION

_NAME = "runtimes"
_BASELINE = "the baseline"


@dataclass(slots=True)
class _Answers:
    """What each signature should answer, and who says so."""

    outputs: dict[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    authors: dict[str, str] = field(default_factory=dict)

    def add(self, signature: str, outputs: Mapping[str, np.ndarray], author: str) -> None:
        """Notes answers, unless there are some already."""
        self.outputs.setdefault(signature, outputs)
        self.authors.setdefault(signature, author)


@dataclass(slots=True)
class _Proof:
    """What became of the model in one runtime."""

    version: str
    installed: bool = True
    loaded: bool = False
    ran: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    compared_with: list[str] = field(default_factory=list)
    worst_difference: dict[str, dict[str, float | None]] = field(default_factory=dict)
    load_time_s: float = 0.0
    peak_memory_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As findings call it."""
        return f"TensorFlow {self.version}"

    def to_facts(self) -> dict[str, Any]:
        """Gives all but the findings as plain JSON values."""
        names = [name for name in self.__slots__ if name != "findings"]
        return {name: getattr(self, name) for name in names}


def _check_runtimes(context: Context) -> Report:
    wanted = _list_wanted(context.policy)
    found: dict[str, InstalledRuntime] = {}
    proofs: list[_Proof] = []
    notes: list[Finding] = []
    for version, by_name in wanted.items():
        try:
            runtime = find_runtime(version)
        except CheckError as error:
            if by_name:
                proofs.append(_report_missing(version, error))
            else:
                notes.append(Finding(_NAME, Severity.INFO, describe_error(error), advice=error.advice))
        else:
            found[runtime.version] = runtime
    if not found and not proofs:
        reason = "; ".join(f"{note.message}; next: {note.advice}" for note in notes)
        return Report(str(context.saved_model_dir), skipped=(Skipped(_NAME, reason),))
    answers = _gather_answers(context)
    # The newest first: where nobody else does, it says what is right.
    for version in sorted(found, key=order_version, reverse=True):
        proofs.append(_prove(found[version], context, answers))
    findings = [*_find_stray_samples(context), *notes, *(f for proof in proofs for f in proof.findings)]
    ordered = sorted(proofs, key=lambda proof: order_version(proof.version))
    facts = {"runtimes": {proof.version: proof.to_facts() for proof in ordered}}
    return context.make_report(_NAME, findings, facts)


def _list_wanted(policy: CheckPolicy) -> dict[str, bool]:
    """Gives the versions to run in, and whether the user named them."""
    wanted = dict.fromkeys(policy.runtimes, True)
    version = find_target(policy.target).version
    if version != CURRENT_VERSION:  # `serving_load` runs the model in that one
        wanted.setdefault(version, False)
    return wanted


def _report_missing(version: str, error: CheckError) -> _Proof:
    proof = _Proof(version, installed=False)
    message = f"could not be proven in TensorFlow {version}: {error.problem}"
    proof.findings.append(make_error(_NAME, message, where=error.where, advice=error.advice))
    return proof


def _gather_answers(context: Context) -> _Answers:
    answers = _Answers()
    for name, sample in (context.baseline.samples if context.baseline else {}).items():
        if sample.outputs:
            answers.add(name, sample.outputs, _BASELINE)
    for name, visit in context.visits.items():
        answers.add(name, visit.outputs, f"TensorFlow {context.session.runtime_version}")
    return answers


def _find_stray_samples(context: Context) -> list[Finding]:
    samples = context.baseline.samples if context.baseline else {}
    found = ", ".join(context.signatures) or "none"
    message = f"the baseline is of a signature that is not there: found {found}"
    return [
        make_error(_NAME, message, where=f"signature {name}")
        for name in samples
        if name not in context.signatures
    ]


def _prove(runtime: InstalledRuntime, context: Context, answers: _Answers) -> _Proof:
    proof = _Proof(runtime.version)
    limits = context.policy.make_limits()
    with open_session(context.saved_model_dir, limits=limits, library=runtime.library) as session:
        if session.load_fault is None:
            proof.loaded = True
            proof.load_time_s = round(session.load_time_s, 3)
            _run_signatures(session, context, answers, proof)
        else:
            message = f"{proof.name} does not load the model: {describe_fault(session.load_fault)}"
            where = str(context.saved_model_dir)
            advice = _advise(runtime.version, context.policy)
            proof.findings.append(make_error(_NAME, message, where=where, advice=advice))
        proof.peak_memory_bytes = session.peak_memory_bytes
    return proof


def _run_signatures(session: Session, context: Context, answers: _Answers, proof: _Proof) -> None:
    for name, signature in context.signatures.items():
        inputs, invented, faults = choose_inputs(signature, context, _NAME)
        proof.findings += faults
        if inputs is None:
            continue
        result = call_signature(session, signature, inputs)
        if result.fault is not None:
            fault = judge_fault(
                result.fault, f"signature {name}", _NAME, invented=invented, runtime=proof.name
            )
            proof.findings.append(fault)
            if not session.alive:
                return
            continue
        proof.ran.append(name)
        if name in answers.outputs:
            _compare(name, result.outputs, context, answers, proof)
        answers.add(name, result.outputs, proof.name)


def _compare(
    name: str, outputs: Mapping[str, np.ndarray], context: Context, answers: _Answers, proof: _Proof
) -> None:
    author = answers.authors[name]
    if author not in proof.compared_with:
        proof.compared_with.append(author)
    worst = proof.worst_difference.setdefault(name, {})
    for key, expected in answers.outputs[name].items():
        where = f"signature {name}, output {key}"
        if key not in outputs:
            message = f"the output is missing in {proof.name}: found {', '.join(outputs)}"
            proof.findings.append(make_error(_NAME, message, where=where))
            proof.differing.append(f"{name}/{key}")
            continue
        tolerance = context.policy.find_tolerance(expected.dtype.name, signature=name, output=key)
        difference = compare_arrays(expected, outputs[key], tolerance)
        worst[key] = difference.worst
        if difference.message:
            proof.differing.append(f"{name}/{key}")
            message = f"{proof.name} answers otherwise than {author}: {difference.message}"
            proof.findings.append(make_error(_NAME, message, where=where))


def _advise(version: str, policy: CheckPolicy) -> str:
    """Names the target that a conversion for this runtime has; nothing where that was it."""
    try:
        target = find_target(version)
    except SettingsError:
        return ""
    if target.name == CURRENT or target.version == find_target(policy.target).version:
        return ""
    return f"Convert the model for it, with --target {target.name}."


CHECK = Check(
    _NAME,
    _check_runtimes,
    needs=("layout", "tags", "signatures", "ops"),
    is_asked=lambda policy: bool(_list_wanted(policy)),
)
