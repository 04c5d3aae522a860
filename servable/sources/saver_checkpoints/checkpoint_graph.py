"""ROOM 1: where the graph of a Saver checkpoint comes from: its `.meta`, the user's code, or a graph's file.

What passes through: a checkpoint and the user's options come in, a MetaGraphDef with what it says of itself
goes out. What the user names goes before what lies beside the checkpoint.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servable.errors import BrokenSourceError, UsageError
from servable.formats.checkpoints.bundle import TensorBundle, open_bundle
from servable.formats.checkpoints.checkpoint_names import strip_shards
from servable.graphs.graph_definitions import read_graph_definition
from servable.graphs.meta_graph_files import find_meta_graph_file, read_meta_graph_file
from servable.graphs.training_tensors import split_training_tensors
from servable.graphs.variables import list_entries
from servable.report import Finding, Severity
from servable.signature import METHOD_NAMES, RESERVED_SIGNATURES, SignatureRequest, read_signature
from servable.sources.options import SourceOptions

_GRAPH_SUFFIXES = (".pbtxt", ".pb", ".meta")


@dataclass(frozen=True, slots=True)
class CheckpointGraph:
    """A graph for a checkpoint.

    Attributes:
        meta_graph: tensorflow.MetaGraphDef, a message of `servable.formats.protos`.
        signatures: What it suggests itself.
        is_users: True when the user has named it; its saver is then not bound to this checkpoint.
        assets: Files of lookup tables that the user's code names, by their path in the graph.
        notes: Where it comes from, unless from the checkpoint's own `.meta`.
    """

    meta_graph: Any
    signatures: tuple[SignatureRequest, ...]
    is_users: bool = False
    assets: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[Finding, ...] = ()


def choose_graph(prefix: Path, options: SourceOptions) -> CheckpointGraph:
    """Takes the graph that the user names, else the one beside the checkpoint.

    Raises:
        UsageError: The user names two.
        SettingsError: The user's code fails, or does not return what it should.
        BrokenSourceError: There is no graph, or its file is damaged.
    """
    if options.module is not None and options.architecture is not None:
        raise UsageError(
            "Both --module and --architecture name the graph.",
            expected="one of them",
            received=f"--module {options.module} --architecture {options.architecture}",
            advice="leave one of them out",
        )
    if options.module is not None:
        from servable.sources.user_code.graph_module import build_module_graph

        built = build_module_graph(options.module)
        notes = (built.note, *_note_own_graph(prefix, "--module"))
        return CheckpointGraph(
            built.meta_graph, (built.request,), is_users=True, assets=built.assets, notes=notes
        )
    if options.architecture is not None:
        meta_graph = read_graph_definition(options.architecture)
        notes = (_note_architecture(options.architecture), *_note_own_graph(prefix, "--architecture"))
        return CheckpointGraph(meta_graph, read_stored_signatures(meta_graph), is_users=True, notes=notes)
    meta_graph = read_meta_graph(prefix)
    return CheckpointGraph(meta_graph, read_stored_signatures(meta_graph))


def read_meta_graph(prefix: Path) -> Any:
    """Reads the `.meta` beside a checkpoint.

    Raises:
        BrokenSourceError: It is missing, not a MetaGraphDef, or holds no graph.
    """
    path = find_meta_graph_file(prefix)
    if path is None:
        raise _missing_graph(open_bundle(prefix))
    meta_graph = read_meta_graph_file(path)
    if not meta_graph.graph_def.node:
        raise BrokenSourceError(
            "The .meta holds no graph.",
            expected="a MetaGraphDef with nodes",
            where=str(path),
            advice=f"copy it again, or remove it and name the graph: {advise_graph(prefix)}",
        )
    return meta_graph


def read_stored_signatures(meta_graph: Any) -> tuple[SignatureRequest, ...]:
    """Reads the signatures that a meta graph carries itself, as an exported one does."""
    requests = []
    for name in meta_graph.signature_def:
        if name in RESERVED_SIGNATURES:
            continue
        signature = read_signature(name, meta_graph.signature_def[name])
        inputs = {key: spec.tensor for key, spec in signature.inputs.items() if spec.tensor}
        outputs = {key: spec.tensor for key, spec in signature.outputs.items() if spec.tensor}
        if outputs and signature.method in METHOD_NAMES:
            requests.append(SignatureRequest(name, inputs, outputs, method=signature.method))
    return tuple(requests)


def advise_graph(prefix: Path) -> str:
    """Writes the command that converts a checkpoint without `.meta`; a graph that lies beside it is named."""
    command = f"servable convert {shlex.quote(str(prefix))} OUT_DIR"
    found = [path for path in sorted(prefix.parent.iterdir()) if path.suffix in _GRAPH_SUFFIXES]
    # An Estimator writes graph.pbtxt once, beside its checkpoints.
    found.sort(key=lambda path: (path.name != "graph.pbtxt", _GRAPH_SUFFIXES.index(path.suffix)))
    if found:
        return f"{command} --architecture {shlex.quote(str(found[0]))}"
    return f"{command} --module FILE.py"


def _missing_graph(bundle: TensorBundle) -> BrokenSourceError:
    prefix = bundle.prefix
    slots, others = split_training_tensors(bundle.entries, bundle.entries)
    held = list_entries(others, bundle.entries)
    held += f", and {len(slots)} optimizer slots, steps and averages" if slots else ""
    advice = advise_graph(prefix)
    if "--module" in advice:
        advice += (
            "  where FILE.py defines build_graph(), which makes these variables under these names, with "
            "TensorFlow 1's calls, and returns (inputs, outputs), two dicts of key to tensor"
        )
    return BrokenSourceError(
        "The checkpoint has no .meta, so its graph is unknown.",
        expected=f"{strip_shards(prefix).name}.meta beside it, a file with the graph, or code that builds it",
        received=f"variables alone: {held}",
        where=str(prefix),
        advice=advice,
    )


def _note_architecture(path: Path) -> Finding:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    text = f"took the graph of {path.name} (sha256 {digest}), as --architecture says"
    return Finding("source", Severity.INFO, text, where=str(path))


def _note_own_graph(prefix: Path, flag: str) -> tuple[Finding, ...]:
    path = find_meta_graph_file(prefix)
    if path is None:
        return ()
    text = f"left {path.name} beside the checkpoint aside, since {flag} names the graph"
    return (Finding("source", Severity.INFO, text, where=str(path)),)
