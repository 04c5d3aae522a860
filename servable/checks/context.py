"""What all checks share: the SavedModel as read, the user's wishes, and one session in the runtime.

What passes through: files are parsed on first use and kept; requests by serving key go to the runtime by
graph tensor. The first answers, which `serving_load` gets, are what later checks build on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from servable.baseline import Baseline
from servable.checks.moving import move_model
from servable.checks.policy import CheckPolicy
from servable.checks.reach import GraphReach
from servable.checks.rows import take_rows
from servable.checks.visits import Visit, find_first_name, sort_sizes
from servable.errors import ServableError
from servable.formats.checkpoints.bundle import TensorBundle, open_bundle
from servable.graphs.graph import VARIABLE_OPS, iterate_all_nodes
from servable.graphs.saved_model_parts import SERVE_TAG, find_model_file, read_model_file
from servable.model import Progress
from servable.report import Finding, Report, Severity
from servable.runtime.outcome import Call, CallResult, Fault
from servable.runtime.session import Session, open_session
from servable.signature import RESERVED_SIGNATURES, Signature, SignatureRequest, read_signature

_KEPT_BYTES = 32 << 20  # of a single answer

if TYPE_CHECKING:
    from servable.checks.example_plan import ExamplesSource


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, what it does, and which checks must not have failed before it.

    Attributes:
        name: As in the report and in `servable.checks.policy.CHECK_NAMES`.
        run: Looks and reports; a `Skipped` in place of a name in `checked` says that it could not.
        needs: Names of earlier checks.
        is_asked: Says whether the policy asks for it at all; one that nobody asked for is not in the report.
    """

    name: str
    run: Callable[[Context], Report]
    needs: tuple[str, ...] = ()
    is_asked: Callable[[CheckPolicy], bool] = lambda policy: True


class Context:
    """The SavedModel under inspection, read at most once.

    Attributes:
        saved_model_dir: The folder with `saved_model.pb`.
        requests: Signatures that the user asked for.
        baseline: The source framework's own answers, if there are any.
        policy: What is tolerated.
        progress: Told how many bytes are done.
        previous: The SavedModel that this one is to replace, if there is one.
        examples: Labelled rows, if there are any.
        stack: What is opened for a check and ends with the suite.
        visits: First answer of each signature that could be run; filled by `serving_load`.
    """

    def __init__(
        self,
        saved_model_dir: Path,
        *,
        requests: tuple[SignatureRequest, ...],
        baseline: Baseline | None,
        policy: CheckPolicy,
        progress: Progress | None,
        stack: ExitStack,
        previous: Path | None = None,
        examples: ExamplesSource | None = None,
    ) -> None:
        self.saved_model_dir = saved_model_dir
        self.requests = requests
        self.baseline = baseline
        self.policy = policy
        self.progress = progress
        self.previous = previous
        self.examples = examples
        self.stack = stack
        self.visits: dict[str, Visit] = {}
        self._session: Session | None = None
        self._answers: dict[tuple[str, tuple[int, ...]], CallResult] = {}

    @property
    def model_path(self) -> Path:
        """The file with the graph; the loader takes the binary form where both are there."""
        return find_model_file(self.saved_model_dir)

    @cached_property
    def saved_model(self) -> Any:
        """The SavedModel message.

        Raises:
            BrokenSourceError: The file is missing or not such a message.
        """
        return read_model_file(self.model_path)

    @cached_property
    def meta_graph(self) -> Any:
        """The MetaGraphDef whose tags are exactly {serve}, or None."""
        graphs = self.saved_model.meta_graphs
        return next((graph for graph in graphs if set(graph.meta_info_def.tags) == {SERVE_TAG}), None)

    @cached_property
    def has_variables(self) -> bool:
        """True when the graph to serve holds variables."""
        nodes = iterate_all_nodes(self.meta_graph.graph_def)
        return any(node.op in VARIABLE_OPS for _, node in nodes)

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """The signatures that clients can call."""
        return {
            name: read_signature(name, self.meta_graph.signature_def[name])
            for name in sorted(self.meta_graph.signature_def)
            if name not in RESERVED_SIGNATURES
        }

    @cached_property
    def reach(self) -> GraphReach:
        """Which nodes a server runs, and for what."""
        return GraphReach(self.meta_graph)

    @cached_property
    def bundle(self) -> TensorBundle:
        """The variables' files.

        Raises:
            BrokenSourceError: They are missing or damaged.
        """
        return open_bundle(self.saved_model_dir / "variables" / "variables")

    @cached_property
    def moved(self) -> tuple[Path, str]:
        """Where the model is run from, and how it came there."""
        return move_model(self.saved_model_dir, self.stack)

    @property
    def session(self) -> Session:
        """The model in the runtime, from a moved copy; loaded on first use, ended with the suite.

        Raises:
            CheckError: TensorFlow's C++ library is not there.
        """
        if self._session is None:
            limits = self.policy.make_limits()
            self._session = self.stack.enter_context(open_session(self.moved[0], limits=limits))
        return self._session

    @property
    def load_fault(self) -> Fault | None:
        """Why the model did not load, with the name of its own folder."""
        fault = self.session.load_fault
        return None if fault is None else self._name_own_folder(fault)

    def call(self, signature: Signature, inputs: Mapping[str, np.ndarray]) -> CallResult:
        """Calls a signature with arrays by serving key; gives its outputs so, or the fault."""
        result = call_signature(self.session, signature, inputs)
        if result.fault is None:
            return result
        return dataclasses.replace(result, fault=self._name_own_folder(result.fault))

    def call_rows(self, signature: Signature, rows: Sequence[int]) -> CallResult:
        """Calls a signature with chosen rows of its first request; what was asked before is not asked again.

        Args:
            signature: One that has a visit.
            rows: Positions in that request, each as often as wanted.
        """
        key = find_first_name(signature.name, self.visits, self.signatures), tuple(rows)
        if key in self._answers:
            return self._answers[key]
        result = self.call(signature, take_rows(signature, self.visits[signature.name].inputs, rows))
        if sum(array.nbytes for array in result.outputs.values()) <= _KEPT_BYTES:
            self._answers[key] = result
        return result

    @property
    def distinct_visits(self) -> dict[str, Visit]:
        """The visits without those of a signature that is only another name for an earlier one."""
        visits = self.visits.items()
        return {n: visit for n, visit in visits if find_first_name(n, self.visits, self.signatures) == n}

    def list_batch_sizes(self, signature: Signature) -> tuple[list[int], dict[int, str]]:
        """Gives the sizes of the policy that are tried, and why each other one would be too expensive.

        Args:
            signature: One that has a visit.
        """
        return sort_sizes(signature, self.visits[signature.name], self.policy.batch_sizes)

    def _name_own_folder(self, fault: Fault) -> Fault:
        message = fault.message.replace(str(self.moved[0]), str(self.saved_model_dir))
        return dataclasses.replace(fault, message=message)

    def make_report(
        self, check: str, findings: list[Finding], facts: Mapping[str, Any] | None = None
    ) -> Report:
        """Wraps what one check found."""
        return Report(
            subject=str(self.saved_model_dir), checked=(check,), findings=tuple(findings), facts=facts or {}
        )


def call_signature(session: Session, signature: Signature, inputs: Mapping[str, np.ndarray]) -> CallResult:
    """Calls a signature in a runtime.

    Args:
        session: With the model.
        signature: One of the model's.
        inputs: Arrays by serving key.

    Returns:
        The outputs by serving key, or the fault.
    """
    feeds = {signature.inputs[key].tensor: value for key, value in inputs.items()}
    fetches = tuple(spec.tensor for spec in signature.outputs.values())
    result = session.run(Call(feeds, fetches))
    if result.fault is not None:
        return result
    outputs = {key: result.outputs[spec.tensor] for key, spec in signature.outputs.items()}
    return CallResult(outputs=outputs, elapsed_s=result.elapsed_s)


def describe_error(error: ServableError) -> str:
    """Says an error in one line, as a finding's message."""
    parts = [error.problem]
    parts += [
        f"{label} {text}"
        for label, text in (("expected", error.expected), ("received", error.received))
        if text
    ]
    return "; ".join(" ".join(part.split()).rstrip(".") for part in parts)


def make_error(check: str, message: str, *, where: str = "", advice: str = "") -> Finding:
    """Makes a finding that keeps the model from being blessed."""
    return Finding(check, Severity.ERROR, message, where, advice)


def make_warning(check: str, message: str, *, where: str = "", advice: str = "") -> Finding:
    """Makes a finding that the user should read."""
    return Finding(check, Severity.WARNING, message, where, advice)
