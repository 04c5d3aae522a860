"""ROOM 1: completes what a user left out of a signature from the graph, or says what there is to choose.

What passes through: requests come in with empty sides; they go out complete, with training switches frozen
and a note on each thing that was chosen. Where the graph is not clear, a `SignatureError` lists what it
offers. No TensorFlow here.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from servable.errors import SignatureError
from servable.graphs.graph import Edge, find_ancestors, normalize_tensor, spell_tensor
from servable.model import Scalar, Suggestion
from servable.report import Finding, Severity
from servable.signature import SignatureRequest
from servable.sources.choosing.candidates import Candidate, Candidates, find_ends, list_candidates
from servable.sources.choosing.graph_feeds import find_needed_feeds
from servable.sources.choosing.named_collections import find_noted_inputs, find_noted_outputs
from servable.sources.choosing.outputs import name_plain_keys
from servable.sources.choosing.randomness import find_generators, find_random_ops
from servable.sources.choosing.switch_values import Switch, find_switches
from servable.sources.choosing.tensor_names import make_input_keys, make_output_keys
from servable.sources.choosing.training_graph import TrainingGraph, parse_edge
from servable.sources.choosing.training_parts import is_pipeline

_UNFEEDABLE = frozenset({"resource", "variant", ""})


class GraphSuggester:
    """Completes requests for one graph; a `servable.model.Suggester`."""

    def __init__(self, meta_graph: Any, source_path: Path) -> None:
        """Takes a graph.

        Args:
            meta_graph: A MetaGraphDef. It is read when something is first asked.
            source_path: For the commands in messages.
        """
        self._meta_graph = meta_graph
        self._path = source_path

    @cached_property
    def _graph(self) -> TrainingGraph:
        return TrainingGraph(self._meta_graph)

    @cached_property
    def _switches(self) -> tuple[Switch, ...]:
        return tuple(find_switches(self._graph).values())

    @cached_property
    def candidates(self) -> Candidates:
        """What the graph offers, likeliest first."""
        return list_candidates(self._graph, self._switches, find_ends(self._graph, self._switches))

    def __call__(self, requests: Sequence[SignatureRequest], *, frozen: Mapping[str, Scalar]) -> Suggestion:
        """Completes requests.

        Args:
            requests: What the user said; either side may be empty.
            frozen: Switches that the user froze.

        Raises:
            SignatureError: It is not clear what to take; candidates and the next command are listed.
        """
        fed = {parse_edge(tensor) for request in requests for tensor in request.inputs.values()}
        set_by_user = {parse_edge(tensor).node for tensor in frozen}
        switches = [s for s in self._switches if s.edge not in fed and s.edge.node not in set_by_user]
        known = [*(s.edge for s in switches), *(parse_edge(tensor) for tensor in frozen)]
        completed: list[SignatureRequest] = []
        chosen: dict[str, Scalar] = {}
        notes: list[Finding] = []
        for request in requests:
            full = self._complete(request, known, switches)
            reached = self._find_reached(full, switches, frozen)
            for switch in reached:
                tensor = spell_tensor(switch.edge)
                if switch.value is not None and tensor not in chosen:
                    chosen[tensor] = switch.value
                    notes.append(_note_switch(tensor, switch))
                elif switch.value is None and full is not request:
                    raise self._stop(request, f"{tensor} is {switch.reason}", full)
            if full is not request:
                if not request.outputs:
                    self._refuse_noise(request, full, [s for s in reached if s.value is not None])
                notes.append(_note_choice(request, full))
            completed.append(full)
        return Suggestion(tuple(completed), {**frozen, **chosen}, tuple(notes))

    def spell_command(self) -> str:
        """Writes the command that converts the graph, with KEY=TENSOR where a side is unknown."""
        try:
            suggestion = self([SignatureRequest()], frozen={})
        except SignatureError:
            return self._spell_best(SignatureRequest())
        return _spell_request(self._path, suggestion.requests[0], suggestion.frozen)

    def _complete(
        self, request: SignatureRequest, known: Collection[Edge], switches: Collection[Switch]
    ) -> SignatureRequest:
        if request.inputs and request.outputs:
            return request
        self._check_given(request)
        outputs = request.outputs or self._choose_outputs(request, switches)
        inputs = request.inputs
        if not inputs:
            edges = [parse_edge(tensor) for tensor in outputs.values()]
            inputs = self._choose_inputs(request, edges, known)
        return SignatureRequest(request.name, inputs, outputs, method=request.method)

    def _check_given(self, request: SignatureRequest) -> None:
        ends = {**request.inputs, **request.outputs}.values()
        unknown = [tensor for tensor in ends if parse_edge(tensor).node not in self._graph.nodes]
        if unknown:
            raise SignatureError(
                f"Signature {request.name!r} names a tensor that is not in the graph.",
                received=", ".join(unknown),
                advice=f"servable inspect {shlex.quote(str(self._path))}  lists candidates",
            )

    def _choose_outputs(self, request: SignatureRequest, switches: Collection[Switch]) -> dict[str, str]:
        graph = self._graph
        if not request.inputs:
            noted = {e: key for e, key in find_noted_outputs(graph).items() if e.node not in graph.machinery}
            if noted:
                names = make_output_keys(graph, list(noted), {})
                return {alias or key: names[key] for key, alias in zip(names, noted.values(), strict=True)}
        given = [parse_edge(tensor) for tensor in request.inputs.values()]
        choice = find_ends(graph, switches, given).choice
        if choice.doubt:
            raise self._stop(request, choice.doubt)
        if generators := find_generators(graph):
            raise self._stop(request, f"one net is fed with random numbers ({generators[0]})")
        edges = [edge for group in choice.groups for edge in group.edges]
        return make_output_keys(graph, edges, name_plain_keys(graph, choice.groups))

    def _choose_inputs(
        self, request: SignatureRequest, outputs: Sequence[Edge], known: Collection[Edge]
    ) -> dict[str, str]:
        graph = self._graph
        edges = find_needed_feeds(graph, outputs, known)
        draft = SignatureRequest(
            request.name,
            make_input_keys(graph, edges),
            {f"y_{i}": spell_tensor(e) for i, e in enumerate(outputs)},
        )
        for edge in edges:
            spec = graph.read_spec(edge)
            if spec.dtype in _UNFEEDABLE:
                raise self._stop(request, f"{spec.tensor} cannot be fed by a server", draft)
            if spec.shape == () and spec.dtype != "string" and not is_pipeline(graph.nodes[edge.node]):
                raise self._stop(
                    request, f"{spec.tensor} is a single {spec.dtype}: an input, or a value to freeze", draft
                )
        if not edges:
            raise self._stop(request, "the outputs depend on nothing that could be fed")
        keys = make_input_keys(graph, edges)
        aliases = {spell_tensor(edge): key for edge, key in find_noted_inputs(graph).items() if key}
        return {aliases.get(tensor, key): tensor for key, tensor in keys.items()}

    def _find_reached(
        self, request: SignatureRequest, switches: Sequence[Switch], frozen: Mapping[str, Scalar]
    ) -> list[Switch]:
        stops = [normalize_tensor(tensor) for tensor in (*request.inputs.values(), *frozen)]
        reached = find_ancestors(self._graph.nodes, request.outputs.values(), stop_at=stops)
        return [switch for switch in switches if switch.edge.node in reached]

    def _refuse_noise(
        self, request: SignatureRequest, full: SignatureRequest, frozen: Sequence[Switch]
    ) -> None:
        outputs = [parse_edge(tensor) for tensor in full.outputs.values()]
        noise = find_random_ops(self._graph, outputs, frozen)
        if noise:
            raise self._stop(request, f"the answers would draw random numbers ({noise[0]})", full)

    def _stop(
        self, request: SignatureRequest, doubt: str, draft: SignatureRequest | None = None
    ) -> SignatureError:
        found = self.candidates
        lines = [doubt]
        for title, members in (
            ("inputs", found.inputs),
            ("outputs", found.outputs),
            ("switches", found.switches),
        ):
            lines += [f"  {title}:"] if members else []
            lines += [f"    {_show_candidate(member)}" for member in members]
        return SignatureError(
            f"Signature {request.name!r} lacks tensors, and the graph does not say clearly which.",
            expected="--input KEY=TENSOR, --output KEY=TENSOR, --set SWITCH=VALUE for what is not clear",
            received="\n".join(lines),
            where=str(self._path),
            advice=self._spell_best(draft or request),
        )

    def _spell_best(self, request: SignatureRequest) -> str:
        """The command with the likeliest tensors, for a person to correct."""
        graph = self._graph
        best = [parse_edge(candidate.tensor) for candidate in self.candidates.outputs[:1]]
        outputs = request.outputs or make_output_keys(graph, best, {})
        fetched = [parse_edge(tensor) for tensor in outputs.values()]
        needed = find_needed_feeds(graph, fetched, [switch.edge for switch in self._switches])
        full = SignatureRequest(request.name, request.inputs or make_input_keys(graph, needed), outputs)
        values = {spell_tensor(s.edge): s.value for s in self._find_reached(full, self._switches, {})}
        return _spell_request(self._path, full, values)


def _spell_request(path: Path, request: SignatureRequest, frozen: Mapping[str, Scalar | None]) -> str:
    words = ["servable convert", shlex.quote(str(path)), "OUT_DIR"]
    for option, ends in (("--input", request.inputs), ("--output", request.outputs)):
        words += [f"{option} {shlex.quote(f'{key}={tensor}')}" for key, tensor in ends.items()]
        words += [] if ends else [f"{option} KEY=TENSOR"]
    for tensor, value in frozen.items():
        shown = "VALUE" if value is None else str(value).lower()
        words.append(f"--set {shlex.quote(f'{tensor}={shown}')}")
    return " ".join(words)


def _show_candidate(candidate: Candidate) -> str:
    spec = f" {candidate.spec}" if candidate.spec else ""
    return f"{candidate.tensor}{spec}: {candidate.reason}"


def _note_switch(tensor: str, switch: Switch) -> Finding:
    return Finding(
        "source",
        Severity.INFO,
        f"{tensor} is frozen to {str(switch.value).lower()}: {switch.reason}",
        tensor,
        f"--set {shlex.quote(tensor)}=VALUE for another value, --input KEY={shlex.quote(tensor)} to feed it",
    )


def _note_choice(request: SignatureRequest, full: SignatureRequest) -> Finding:
    sides = []
    for title, given, ends in (
        ("inputs", request.inputs, full.inputs),
        ("outputs", request.outputs, full.outputs),
    ):
        if not given:
            sides.append(f"{title} " + ", ".join(f"{key}={tensor}" for key, tensor in ends.items()))
    return Finding(
        "source",
        Severity.INFO,
        f"signature {request.name} was completed from the graph: {'; '.join(sides)}",
        advice="name tensors with --input and --output to choose otherwise",
    )
