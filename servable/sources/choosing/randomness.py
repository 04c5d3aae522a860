"""ROOM 1: whether what would be served draws random numbers, or is made of nothing else.

What passes through: a `TrainingGraph`, outputs and frozen switches come in, names of random ops go out. A
dropout's draw is not counted: it is only compared with a share, and is dealt with elsewhere. No TensorFlow
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from servable.graphs.graph import Edge
from servable.sources.choosing.branches import find_branch
from servable.sources.choosing.switch_uses import iterate_masks
from servable.sources.choosing.switch_values import Switch
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import is_pipeline, is_random, is_weighted


def find_random_ops(graph: TrainingGraph, outputs: Sequence[Edge], frozen: Iterable[Switch]) -> list[str]:
    """Names the random ops that outputs depend on once switches are frozen."""
    apart = set(iterate_masks(graph))
    for switch in frozen:
        apart |= _find_idle_branches(graph, switch)
    inner = {name for name, node in graph.nodes.items() if not is_pipeline(node)} - apart
    names = {edge.node for edge in outputs}
    reached = graph.climb(names, within=inner) | names
    return [name for name in graph.nodes if name in reached and is_random(graph.nodes[name])]


def _find_idle_branches(graph: TrainingGraph, switch: Switch) -> set[str]:
    idle: set[str] = set()
    for use in switch.uses:
        if use.kind == "condition" and switch.value is not None:
            value = bool(switch.value) if use.number is None else switch.value == use.number
            idle |= find_branch(graph, use, taken=value == use.turned)
    return idle


def find_generators(graph: TrainingGraph) -> list[str]:
    """Names the ops in which weights meet random numbers alone: a net that needs no input."""
    fed = graph.reach(graph.sources, blocked=graph.machinery)
    draws = [Edge(name, 0) for name, node in graph.nodes.items() if is_random(node)]
    random = graph.reach(draws, blocked=graph.machinery) - fed
    return [
        name
        for name in graph.nodes
        if name in random
        and is_weighted(graph.nodes[name])
        and any(edge.node in graph.weights and edge.node not in random for edge in graph.inputs[name])
    ]
