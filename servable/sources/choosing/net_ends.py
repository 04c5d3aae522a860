"""ROOM 1: the part of a net behind its last weights, where answers and losses are computed.

What passes through: a `TrainingGraph` and its feeds come in, nodes go out, split into what hangs together.
Whatever only updates variables, fills queues or reports is left out. No TensorFlow here.
"""

from __future__ import annotations

import re

from servable.sources.choosing.graph_feeds import Feeds
from servable.sources.choosing.tensor_names import is_named_as_output
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import is_ending, is_placeholder, is_summary

PROBABILITY_OPS = frozenset({"Softmax", "Sigmoid"})
_CLASS_OP = re.compile(
    r"^(Arg(Max|Min)|TopK(V2)?|CTCGreedyDecoder|CTCBeamSearchDecoder|LookupTableFind(V2)?|AsString|"
    r"NonMaxSuppression\w*|CombinedNonMaxSuppression|Greater|GreaterEqual|Less|LessEqual|Round|Rint|Sign)$"
)


def gives_classes(op: str) -> bool:
    """Whether an op turns scores into classes, or classes into words."""
    return bool(_CLASS_OP.match(op))


class NetEnds:
    """The part of a graph behind its last weights.

    Attributes:
        graph: The whole graph.
        labelled: Nodes that depend on labels.
        useless: Nodes that only updates, queues, assertions or summaries take.
        weighted: Nodes that combine weights with what was fed.
        members: The part itself, in the graph's order.
    """

    def __init__(self, graph: TrainingGraph, feeds: Feeds) -> None:
        self.graph = graph
        # Where the user feeds the middle of a net, what lies before it is out of play.
        cut = {edge.node for edge in feeds.inputs}
        self.labelled = graph.reach(feeds.labels, blocked=graph.machinery | cut)
        forward = graph.reach(feeds.inputs, blocked=graph.machinery) - self.labelled
        forward -= {name for name in forward if is_placeholder(graph.nodes[name])}
        self.useless = self._find_useless(forward)
        forward -= self.useless
        weighted = {name for name in forward if graph.takes_weights(name) and name not in graph.batch_results}
        earlier = graph.climb(weighted, within=forward)
        self.members = [
            name
            for name in graph.nodes
            if name in forward and name not in earlier and name not in graph.batch_results
        ]
        self._inside = set(self.members)
        self.weighted = weighted

    def _find_useless(self, forward: set[str]) -> set[str]:
        """What goes into updates, queues, assertions or summaries, and nowhere else."""
        graph = self.graph
        found: set[str] = set()
        stack = [
            name for name in graph.machinery if is_ending(graph.nodes[name]) or is_summary(graph.nodes[name])
        ]
        learning = graph.machinery.difference(stack)  # gradients read every part of a net
        while stack:
            for edge in graph.inputs[stack.pop()]:
                name = edge.node
                if name not in forward or name in found or self._makes_answers(name):
                    continue
                readers = [reader for reader in graph.find_readers(name) if reader not in learning]
                if all(reader in graph.machinery or reader in found for reader in readers):
                    found.add(name)
                    stack.append(name)
        return found

    def _makes_answers(self, name: str) -> bool:
        """A prediction may well be read by nothing but its own summary."""
        op = self.graph.nodes[name].op
        return op in PROBABILITY_OPS or gives_classes(op) or is_named_as_output(name)

    def find_real_readers(self, name: str) -> list[str]:
        """Names who takes a tensor on its way to a loss or an answer."""
        return [
            reader
            for reader in self.graph.find_readers(name)
            if reader not in self.graph.machinery and reader not in self.useless
        ]

    def split(self) -> list[list[str]]:
        """Splits the members into sets that hang together."""
        order = {name: position for position, name in enumerate(self.members)}
        found: list[list[str]] = []
        seen: set[str] = set()
        for start in self.members:
            if start in seen:
                continue
            names: set[str] = set()
            stack = [start]
            while stack:
                name = stack.pop()
                if name in names:
                    continue
                names.add(name)
                around = [edge.node for edge in self.graph.inputs[name]] + self.graph.find_readers(name)
                stack += [other for other in around if other in self._inside]
            seen |= names
            found.append(sorted(names, key=order.__getitem__))
        return found
