"""ROOM 1: says what a file is: format, variables or layers, candidate signatures, the next command.

What passes through: a path comes in, a `Description` goes out. No TensorFlow here, so that the answer is
there in a moment and nothing of the file is ever run.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle import OBJECT_GRAPH_KEY, open_bundle
from servable.graphs.graph_definitions import read_graph_definition
from servable.graphs.graph_heads import begins_like_graph
from servable.graphs.meta_graph_files import find_meta_graph_file
from servable.graphs.saved_model_parts import find_model_file, read_model_file
from servable.report import Finding, Severity
from servable.signature import RESERVED_SIGNATURES, Signature, SignatureRequest, TensorSpec, read_signature
from servable.sources.choosing.candidates import Candidates
from servable.sources.choosing.completing import GraphSuggester
from servable.sources.detect import Kind
from servable.sources.live_models.object_graph import read_object_graph
from servable.sources.resolving import Source, resolve_source
from servable.sources.saved_models.graphs import choose_meta_graph
from servable.sources.saved_models.signatures import read_saved_signatures
from servable.sources.saver_checkpoints.checkpoint_graph import (
    advise_graph,
    read_meta_graph,
    read_stored_signatures,
)

_TITLES = {
    Kind.TF1_SAVER: "a TensorFlow 1 checkpoint (tf.train.Saver)",
    Kind.TF2_OBJECTS: "a TensorFlow 2 object checkpoint (tf.train.Checkpoint)",
    Kind.KERAS_HDF5: "a Keras model (.h5)",
    Kind.KERAS_HDF5_WEIGHTS: "weights of a Keras model, without the model (.h5)",
    Kind.KERAS_ARCHIVE: "a Keras model (.keras)",
    Kind.SAVED_MODEL: "a SavedModel",
    Kind.FROZEN_GRAPH: "a frozen graph (GraphDef)",
}


@dataclass(frozen=True, slots=True)
class VariableFact:
    """One variable or weight, with its size in elements."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class LayerFact:
    """One layer of a Keras model."""

    name: str
    class_name: str


@dataclass(frozen=True, slots=True)
class Description:
    """What a source is.

    Attributes:
        source: The exact files.
        title: The format in words.
        framework_version: As the file says, or "".
        variables: Sorted by name.
        layers: Of a Keras model.
        signatures: That the file holds itself.
        candidates: Of a training graph without signatures.
        inputs: Of a Keras model.
        outputs: Likewise.
        next_command: What to type next.
        notes: What to know.
        address: Where the source lies on another machine; "" when it lies here.
    """

    source: Source
    title: str
    framework_version: str = ""
    variables: tuple[VariableFact, ...] = ()
    layers: tuple[LayerFact, ...] = ()
    signatures: tuple[SignatureRequest | Signature, ...] = ()
    candidates: Candidates | None = None
    inputs: dict[str, TensorSpec] = field(default_factory=dict)
    outputs: dict[str, TensorSpec] = field(default_factory=dict)
    next_command: str = ""
    notes: tuple[Finding, ...] = ()
    address: str = ""


def describe_source(path: Path, *, step: int | None = None) -> Description:
    """Describes whatever lies at a path.

    Raises:
        UnknownSourceError: It is no model file that is known.
        BrokenSourceError: It is damaged or incomplete.
        UnsafeSourceError: It reaches outside itself, or carries code.
    """
    source = resolve_source(path, step=step)
    if source.kind is Kind.TF1_SAVER:
        return _describe_saver(source)
    if source.kind is Kind.TF2_OBJECTS:
        return _describe_objects(source)
    if source.kind is Kind.SAVED_MODEL:
        return _describe_saved_model(source)
    if source.kind is Kind.FROZEN_GRAPH:
        return _describe_frozen(source)
    return _describe_keras(source)


def _describe_saver(source: Source) -> Description:
    variables = _list_variables(source.path)
    if find_meta_graph_file(source.path) is None:
        return Description(
            source,
            _TITLES[source.kind] + " without its graph (.meta)",
            variables=variables,
            next_command=advise_graph(source.path),
            notes=source.notes,
        )
    meta_graph = read_meta_graph(source.path)
    stored = read_stored_signatures(meta_graph)
    suggester = GraphSuggester(meta_graph, source.path)
    return Description(
        source,
        _TITLES[source.kind],
        framework_version=meta_graph.meta_info_def.tensorflow_version,
        variables=variables,
        signatures=stored,
        candidates=suggester.candidates,
        next_command=(
            f"servable convert {_quote(source.path)} OUT_DIR" if stored else suggester.spell_command()
        ),
        notes=source.notes,
    )


def _describe_saved_model(source: Source) -> Description:
    path = find_model_file(source.path)
    if begins_like_graph(path):
        return _describe_frozen(replace(source, path=path))
    saved_model = read_model_file(path)
    signatures = tuple(
        read_signature(name, meta_graph.signature_def[name])
        for meta_graph in saved_model.meta_graphs
        for name in sorted(meta_graph.signature_def)
        if name not in RESERVED_SIGNATURES
    )
    version = next((m.meta_info_def.tensorflow_version for m in saved_model.meta_graphs), "")
    prefix = source.path / "variables" / "variables"
    has_variables = prefix.with_name("variables.index").is_file()
    return Description(
        source,
        _TITLES[source.kind],
        framework_version=version,
        variables=_list_variables(prefix) if has_variables else (),
        signatures=signatures,
        next_command=_advise_saved_model(source, saved_model, path),
        notes=source.notes,
    )


def _advise_saved_model(source: Source, saved_model: Any, path: Path) -> str:
    try:
        meta_graph, _ = choose_meta_graph(saved_model, None, where=path)
    except BrokenSourceError:
        tags = [",".join(sorted(graph.meta_info_def.tags)) for graph in saved_model.meta_graphs] or ["TAG"]
        return f"servable convert {_quote(source.path)} OUT_DIR --tags {shlex.quote(tags[0])}"
    if not read_saved_signatures(meta_graph)[0]:
        return GraphSuggester(meta_graph, source.path).spell_command()
    return f"servable check {_quote(source.path)}"


def _describe_frozen(source: Source) -> Description:
    meta_graph = read_graph_definition(source.path)
    suggester = GraphSuggester(meta_graph, source.path)
    return Description(
        source,
        _TITLES[Kind.FROZEN_GRAPH],
        candidates=suggester.candidates,
        next_command=suggester.spell_command(),
        notes=source.notes,
    )


def _describe_keras(source: Source) -> Description:
    from servable.sources.keras_files.facts import describe_keras

    if source.kind is Kind.KERAS_HDF5_WEIGHTS:
        return _describe_keras_weights(source)
    facts = describe_keras(source.path, source.kind.value)
    return Description(
        source,
        _TITLES[source.kind],
        framework_version=facts.version,
        variables=tuple(VariableFact(w.name, w.dtype, w.shape) for w in facts.weights),
        layers=tuple(LayerFact(layer.name, layer.class_name) for layer in facts.layers),
        inputs=dict(facts.inputs),
        outputs=dict(facts.outputs),
        next_command=f"servable convert {_quote(source.path)} OUT_DIR",
        notes=source.notes,
    )


def _describe_keras_weights(source: Source) -> Description:
    # Its h5py takes a fifth of what describing takes, and checkpoints and graphs need none.
    from servable.sources.keras_files.layout import read_stored_weights, write_structure_command

    stored = read_stored_weights(source.path)
    return Description(
        source,
        _TITLES[source.kind],
        framework_version=stored.version,
        variables=tuple(
            VariableFact(f"{layer.name}/{name}", layer.dtypes[name], shape)
            for layer in stored.layers
            for name, shape in layer.weights.items()
        ),
        next_command=write_structure_command(source.path),
        notes=source.notes,
    )


def _describe_objects(source: Source) -> Description:
    from servable.sources.keras_files.layout import write_structure_command

    graph = read_object_graph(source.path)
    notes = [Finding("source", Severity.INFO, f"holds {text}") for text in graph.write_slots()]
    return Description(
        source,
        _TITLES[source.kind],
        variables=tuple(fact for fact in _list_variables(source.path) if fact.name != OBJECT_GRAPH_KEY),
        next_command=write_structure_command(source.path, is_keras=graph.is_keras),
        notes=(*source.notes, *notes),
    )


def _list_variables(prefix: Path) -> tuple[VariableFact, ...]:
    entries = open_bundle(prefix).entries
    return tuple(VariableFact(key, entry.dtype, entry.shape) for key, entry in sorted(entries.items()))


def _quote(path: Path) -> str:
    """The name of an old sharded checkpoint is a pattern, which a shell would take for two files."""
    return shlex.quote(str(path))
