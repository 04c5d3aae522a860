"""ROOM 1: what a training graph is fed with, and which of it are labels.

What passes through: a `TrainingGraph` comes in, tensors that a server could feed go out, told from those
that only a loss or a metric reads. No TensorFlow here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from servable.graphs.graph import Edge, find_ancestors, spell_tensor
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import (
    COMPARING_OPS,
    PARSING_OPS,
    is_loss,
    is_pipeline,
    is_placeholder,
)

_LABEL_NAME = re.compile(
    r"(^|[/_])(labels?|targets?|y_?true|y_|ground_?truth|gt|(sample_|example_|loss_)weights?)(_(ph|placeholder|"
    r"input|batch))?(_\d+)?$",
    re.IGNORECASE,
)
_MAX_PARTS = 256  # each is followed through the graph
_HANDLE_TYPES = frozenset({"resource", "variant"})
_PLAIN_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})


@dataclass(frozen=True, slots=True)
class Feeds:
    """Tensors that carry data into a graph.

    Attributes:
        inputs: What a server could feed, in the graph's order.
        labels: Tensors that only losses and metrics read, or that parse into such.
    """

    inputs: tuple[Edge, ...]
    labels: tuple[Edge, ...]


def find_feeds(graph: TrainingGraph, switches: Collection[str], given: Collection[Edge] = ()) -> Feeds:
    """Finds what carries data in.

    Args:
        graph: The graph.
        switches: Names of placeholders that are training switches.
        given: Inputs that the user named; nothing else then counts as one.
    """
    sources = [
        edge
        for name, node in graph.nodes.items()
        if (is_placeholder(node) or is_pipeline(node)) and name not in switches
        for edge in graph.list_read_outputs(name)
        if not (
            is_placeholder(node) and graph.read_shape(edge) == () and graph.read_spec(edge).dtype != "string"
        )
        and graph.read_spec(edge).dtype not in _HANDLE_TYPES
    ]
    if given:
        return Feeds(tuple(given), tuple(edge for edge in sources if edge not in given))
    labels = _find_labels(graph, [part for edge in sources for part in _split_records(graph, edge)])
    return Feeds(tuple(edge for edge in sources if edge not in labels), tuple(labels))


def _split_records(graph: TrainingGraph, edge: Edge) -> list[Edge]:
    """A record that is parsed in the graph carries features and labels at once."""
    readers = [name for name, _ in graph.readers.get(edge, ()) if name not in graph.machinery]
    if not readers or any(graph.nodes[name].op not in PARSING_OPS for name in readers):
        return [edge]
    return [part for name in readers for part in graph.list_read_outputs(name)]


def _find_labels(graph: TrainingGraph, parts: list[Edge]) -> list[Edge]:
    labels = []
    for part in parts[:_MAX_PARTS]:
        reached = graph.reach([part], blocked=graph.machinery)
        if reached and (_LABEL_NAME.search(part.node) or _is_label(graph, part, reached)):
            labels.append(part)
    # A net that is fed nothing but labels is no net; the names were wrong.
    return labels if len(labels) < len(parts) else []


def _is_label(graph: TrainingGraph, part: Edge, reached: set[str]) -> bool:
    """Told by structure: it meets what weights have computed, and only a loss or a metric comes of that."""
    met: set[str] = set()
    seen: set[str] = set()
    stack = [name for name, _ in graph.readers[part]]
    while stack:
        name = stack.pop()
        if name in seen or name not in reached or name in graph.batch_results:
            continue
        seen.add(name)
        if graph.takes_weights(name):
            return False
        node = graph.nodes[name]
        if any(edge.node in graph.computed and edge.node not in reached for edge in graph.inputs[name]):
            met.add(name)
            if is_loss(node) or node.op in COMPARING_OPS:
                continue
        readers = [reader for reader in graph.find_readers(name) if reader not in graph.machinery]
        if not readers and name in graph.computed:
            return False
        stack += readers
    return bool(met)


def find_needed_feeds(
    graph: TrainingGraph, outputs: Collection[Edge], stop_at: Collection[Edge]
) -> list[Edge]:
    """Walks back from outputs to the tensors that must be fed.

    Args:
        graph: The graph.
        outputs: What is fetched.
        stop_at: Tensors whose value is known: switches that are frozen.

    Returns:
        Placeholders without a value and what a pipeline hands over, in the graph's order.
    """
    found: set[Edge] = set()
    seen: set[Edge] = set()
    stack = list(outputs)
    while stack:
        edge = stack.pop()
        node = graph.nodes.get(edge.node)
        if edge in seen or node is None or edge in stop_at:
            continue
        seen.add(edge)
        if (is_pipeline(node) or is_placeholder(node)) and not _lies_inside(graph, edge.node):
            scalar = graph.read_shape(edge) == ()
            if node.op != "PlaceholderWithDefault" or not scalar:
                found.add(edge)
            continue
        stack.extend(graph.inputs[edge.node])
    order = {name: position for position, name in enumerate(graph.nodes)}
    return sorted(found, key=lambda edge: (order[edge.node], edge.output or 0))


def _lies_inside(graph: TrainingGraph, name: str) -> bool:
    """Whether a placeholder's default is what the net computes: a trainer feeds such one from a cache.

    A default that comes straight from a pipeline, or that is a constant, makes an input of it.
    """
    if graph.nodes[name].op != "PlaceholderWithDefault":
        return False
    above = find_ancestors(graph.nodes, [spell_tensor(edge) for edge in graph.inputs[name]])
    return any(node in graph.computed or graph.nodes[node].op in _PLAIN_PLACEHOLDERS for node in above)
