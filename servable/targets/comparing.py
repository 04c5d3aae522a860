"""Targets: one graph, asked of many runtimes. No TensorFlow here.

What passes through: a MetaGraphDef and targets come in, for each of them what it makes of the graph goes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from servable.targets.catalog import Target
from servable.targets.verdict import Obstacle, judge_meta_graph


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a target makes of a graph.

    Attributes:
        target: The runtime.
        obstacles: What keeps it from loading or running the graph, what it refuses to load first.
    """

    target: Target
    obstacles: tuple[Obstacle, ...]

    @property
    def loads(self) -> bool:
        """True when its loader takes the graph."""
        return not any(obstacle.at_load for obstacle in self.obstacles)

    @property
    def runs(self) -> bool:
        """True when it also answers every request, as it was meant."""
        return not self.obstacles


def judge_all(meta_graph: Any, targets: Iterable[Target]) -> list[Verdict]:
    """Asks the registry of every target about a graph.

    Args:
        meta_graph: As it is written in the SavedModel.
        targets: The answers come in their order.
    """
    # Platforms that run the same TensorFlow differ in what their clients can send, and in nothing else.
    known: dict[tuple[str, frozenset[str]], tuple[Obstacle, ...]] = {}
    verdicts = []
    for target in targets:
        key = (target.version, target.wire_dtypes)
        if key not in known:
            known[key] = judge_meta_graph(meta_graph, target)
        obstacles = sorted(known[key], key=lambda obstacle: not obstacle.at_load)
        verdicts.append(Verdict(target, tuple(obstacles)))
    return verdicts
