"""ROOM 1: what a trainer wrote into a graph's collections about its inputs and outputs.

What passes through: the collections of a MetaGraphDef come in, tensors go out.
`tf.add_to_collection("outputs", y)` was how one left a note before there were signatures; an older cloud
service wanted JSON. No TensorFlow here.
"""

from __future__ import annotations

import json
import re

from servable.graphs.graph import Edge
from servable.sources.choosing.training_graph import TrainingGraph, parse_edge

_INPUT_NAME = re.compile(
    r"^((model|net|network|serving|graph)_)?(inputs?|features?|input_(tensors?|images?|nodes?|data)|images?|x)$",
    re.IGNORECASE,
)
# The likeliest first: where several are there, the first one speaks.
_OUTPUT_NAMES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"^((model|net|network|serving|graph)_)?(outputs?|output_(tensors?|nodes?)|results?)$",
        r"^(predictions?|predict(_op)?|pred(_op|_network)?|y_?(hat|pred|out)|inference(_op)?)$",
        r"^(prob(s|abilit(y|ies))?|softmax|scores?|classifier)$",
        r"^(logits?|y)$",
    )
)
_MAX_JSON_BYTES = 100_000


def find_noted_inputs(graph: TrainingGraph) -> dict[Edge, str]:
    """Finds tensors of collections that are named for inputs; each with its key, or ""."""
    found: dict[Edge, str] = {}
    for name in sorted(graph.collections):
        if _INPUT_NAME.match(name):
            found |= _read_collection(graph, name)
    return found


def find_noted_outputs(graph: TrainingGraph) -> dict[Edge, str]:
    """Finds tensors of the collection that is best named for outputs; each with its key, or ""."""
    for pattern in _OUTPUT_NAMES:
        for name in sorted(graph.collections):
            found = _read_collection(graph, name) if pattern.match(name) else {}
            if found:
                return found
    return {}


def _read_collection(graph: TrainingGraph, name: str) -> dict[Edge, str]:
    collection = graph.collections[name]
    if collection.WhichOneof("kind") == "node_list":
        named = [("", value) for value in collection.node_list.value]
    elif collection.WhichOneof("kind") == "bytes_list":
        named = [pair for value in collection.bytes_list.value for pair in _read_aliases(value)]
    else:
        named = []
    return {parse_edge(tensor): key for key, tensor in named if parse_edge(tensor).node in graph.nodes}


def _read_aliases(text: bytes) -> list[tuple[str, str]]:
    if len(text) > _MAX_JSON_BYTES:
        return []
    try:
        aliases = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(aliases, dict):
        return []
    return [(str(key), tensor) for key, tensor in aliases.items() if isinstance(tensor, str)]
