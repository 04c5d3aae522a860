"""ROOM 1: which side of a condition is for training, told by what the two sides compute.

What passes through: a node that chooses by a condition comes in; True, False or None goes out. Training
draws random numbers, takes the statistics of the batch and updates averages; inference reads averages. No
TensorFlow here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from servable.graphs.graph import Edge
from servable.sources.choosing.switch_uses import Use
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import is_random

_UPDATE_OP = re.compile(r"^(Assign\w*|(Resource)?Scatter(Nd)?(Update|Add|Sub))$")
_AVERAGE_NAME = re.compile(
    r"(moving_(mean|var)|moving_average|ExponentialMovingAverage|running_(mean|var)|pop(ulation)?_(mean|var))",
    re.IGNORECASE,
)
_MAX_STEPS = 4000  # of one branch; enough for what a branch of a net holds
_MAX_SELECTED = 40  # a Select computes both sides, so only what is near counts


def find_training_value(graph: TrainingGraph, uses: Iterable[Use]) -> bool | None:
    """Says which value of a condition means training.

    Returns:
        None where the branches don't say, or contradict each other.
    """
    votes: set[bool] = set()
    for use in uses:
        if use.kind != "condition":
            continue
        place = use.graph or graph
        sides = [set(_read_side(place, use.node, taken=taken)) for taken in (True, False)]
        trains = ["training" in side for side in sides]
        infers = ["inference" in side for side in sides]
        # A side with both is a side that does training's work around the model.
        if trains[0] != trains[1]:
            votes.add(trains[0] != use.turned)
        elif infers[0] != infers[1] and not trains[0]:
            votes.add(infers[1] != use.turned)
    return votes.pop() if len(votes) == 1 else None


def _read_side(graph: TrainingGraph, name: str, *, taken: bool) -> Iterator[str]:
    node = graph.nodes[name]
    if node.op in ("Switch", "RefSwitch"):
        source = graph.nodes.get(graph.inputs[name][0].node)
        if graph.readers.get(Edge(name, int(taken))) and source is not None:
            yield from _judge_source(graph, source.name)
        for member in _walk_branch(graph, Edge(name, int(taken))):
            yield from judge_node(graph.nodes[member])
    elif node.op in ("Select", "SelectV2"):
        chosen = graph.inputs[name][1 if taken else 2]
        other = graph.inputs[name][2 if taken else 1]
        for member in _climb_near(graph, chosen) - _climb_near(graph, other):
            yield from judge_node(graph.nodes[member])
        yield from _judge_source(graph, chosen.node)
    else:
        branch = node.attr["then_branch" if taken else "else_branch"].func.name
        for member in islice(_iterate_body(graph, branch, depth=4), _MAX_STEPS):
            yield from judge_node(member)


def find_branch(graph: TrainingGraph, use: Use, *, taken: bool) -> set[str]:
    """Names the nodes that are computed only on one side of a Switch."""
    if use.graph is not graph or graph.nodes[use.node].op not in ("Switch", "RefSwitch"):
        return set()
    return _walk_branch(graph, Edge(use.node, int(taken)))


def _walk_branch(graph: TrainingGraph, edge: Edge) -> set[str]:
    """Follows one output of a Switch up to the Merge, to what waits for its pivot too."""
    found: set[str] = set()
    stack = [name for name, _ in graph.readers.get(edge, ())]
    while stack and len(found) < _MAX_STEPS:
        name = stack.pop()
        if name in found or graph.nodes[name].op in ("Merge", "RefMerge"):
            continue
        found.add(name)
        stack += graph.find_readers(name)
        stack += [waiter for waiter in graph.waiters.get(name, ()) if waiter in graph.nodes]
    return found


def _climb_near(graph: TrainingGraph, edge: Edge) -> set[str]:
    found: set[str] = set()
    stack = [edge.node]
    while stack and len(found) < _MAX_SELECTED:
        name = stack.pop(0)
        if name not in found and name in graph.nodes:
            found.add(name)
            stack += [source.node for source in graph.inputs[name]]
    return found


def _iterate_body(graph: TrainingGraph, name: str, *, depth: int) -> Iterator[Any]:
    function = graph.functions.get(name)
    if function is None or depth == 0:
        return
    for node in function.node_def:
        yield node
        for value in node.attr.values():
            if value.WhichOneof("value") == "func":
                yield from _iterate_body(graph, value.func.name, depth=depth - 1)


def judge_node(node: Any) -> Iterator[str]:
    """Says "training" or "inference" of a node whose op does only the one or the other."""
    if is_random(node) or _UPDATE_OP.match(node.op):
        yield "training"
    elif node.op.startswith("FusedBatchNorm") and not node.op.endswith(("Grad", "GradV2", "GradV3")):
        yield "training" if "is_training" not in node.attr or node.attr["is_training"].b else "inference"


def _judge_source(graph: TrainingGraph, name: str) -> Iterator[str]:
    """What a side is handed: a mean over the batch, or an average that training kept."""
    if name in graph.batch_results or _is_batch_mean(graph, name):
        yield "training"
    elif name in graph.weights and _AVERAGE_NAME.search(name):
        yield "inference"


def _is_batch_mean(graph: TrainingGraph, name: str) -> bool:
    node = graph.nodes.get(name)
    for _ in range(4):
        if (
            node is None
            or not graph.inputs[node.name]
            or node.op not in ("Squeeze", "Identity", "StopGradient", "Reshape")
        ):
            break
        node = graph.nodes.get(graph.inputs[node.name][0].node)
    return node is not None and node.op == "Mean" and node.name in graph.batch_results
