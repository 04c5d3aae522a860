"""Moving averages of batch statistics: which variable a training graph keeps for which tensor.

What passes through: a graph and the tensors that may be statistics come in; for each of them the variable
that training moves towards it, and the ops that do so. Read from the arithmetic of the update, for every era
and tutorial spells it another way: `v -= (v - s) * 0.01`, `v = v * 0.99 + s * 0.01`. No TensorFlow here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from servable.graphs.graph import VARIABLE_OPS, Edge, trace_back
from servable.graphs.served_path import ServedPath, read_data_edges

# state_ops.cc, resource_variable_ops.cc: op to the sign with which its input 1 goes into the variable, and
# whether the variable's old value stays.
_UPDATES: Mapping[str, tuple[float, bool]] = {
    "Assign": (1.0, False),
    "AssignAdd": (1.0, True),
    "AssignSub": (-1.0, True),
    "AssignVariableOp": (1.0, False),
    "AssignAddVariableOp": (1.0, True),
    "AssignSubVariableOp": (-1.0, True),
}
_READ_OPS = frozenset({"ReadVariableOp", "Identity", "Switch", "RefSwitch"})
_HANDING_OPS = frozenset({"Identity", "StopGradient", "Cast", "Squeeze", "Reshape", "Switch"})
_SUM_SIGNS: Mapping[str, int] = {"Add": 1, "AddV2": 1, "Sub": -1}

_MAX_STEPS = 24
_TOLERANCE = 1e-4
_UNKNOWN_FACTOR = 0.5  # any number from 0 to 1 will do for a difference that adds up to nothing

_Sum = dict[Edge | None, float]


@dataclass(frozen=True, slots=True)
class MovingAverage:
    """The variable that stands for a batch statistic in inference.

    Attributes:
        variable: Its node.
        updates: The ops that training moves it with.
    """

    variable: str
    updates: tuple[str, ...]


def find_moving_averages(path: ServedPath, statistics: Collection[Edge]) -> dict[Edge, MovingAverage]:
    """Finds the moving average of each statistic that has exactly one.

    Args:
        path: Updates are looked for in all of its graph, whether reached or not.
        statistics: Tensors that are computed from a batch.
    """
    found: dict[Edge, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    wanted = frozenset(statistics)
    for name, node in path.nodes.items():
        edges = read_data_edges(node)
        if node.op not in _UPDATES or len(edges) < 2 or not wanted:
            continue
        variable = _find_variable(path, edges[0])
        if variable is None:
            continue
        terms = _Terms(path, variable, wanted).read(edges[1])
        statistic = _read_average(terms, *_UPDATES[node.op])
        if statistic is not None:
            found[statistic][variable].append(name)
    averages = {}
    for statistic, variables in found.items():
        # A zero-debiased average keeps its sums in a variable `biased`, which is not the average itself.
        if len(variables) == 1 and not (name := next(iter(variables))).endswith("/biased"):
            averages[statistic] = MovingAverage(name, tuple(variables[name]))
    return averages


def _find_variable(path: ServedPath, edge: Edge) -> str | None:
    """Follows a reference, a handle or a value back to its variable."""
    for _ in range(_MAX_STEPS):
        node = path.nodes.get(edge.node)
        if node is None or node.op in VARIABLE_OPS:
            return None if node is None else edge.node
        if node.op not in _READ_OPS:
            break
        edge = trace_back(path.nodes, node.input[0])
    return None


def _read_average(terms: _Sum | None, sign: float, keeps: bool) -> Edge | None:
    """Says which statistic an update averages: shares of old (key None) and new add up to 1."""
    if terms is None:
        return None
    total = {key: sign * factor for key, factor in terms.items()}
    total[None] = total.get(None, 0.0) + (1.0 if keeps else 0.0)
    statistics = [key for key in total if key is not None]
    if len(statistics) != 1 or abs(sum(total.values()) - 1) > _TOLERANCE:
        return None
    return statistics[0] if 0 < total[statistics[0]] < 1 else None


class _Terms:
    """Reads a tensor as a sum of the variable's old value (key None) and statistics, each with its factor."""

    def __init__(self, path: ServedPath, variable: str, statistics: frozenset[Edge]) -> None:
        self._path = path
        self._variable = variable
        self._statistics = statistics
        self._known: dict[Edge, _Sum | None] = {}

    def read(self, edge: Edge, steps: int = _MAX_STEPS) -> _Sum | None:
        """None where it is anything else."""
        if edge not in self._known:
            self._known[edge] = None  # a cycle is no sum
            self._known[edge] = self._read(edge, steps)
        return self._known[edge]

    def _read(self, edge: Edge, steps: int) -> _Sum | None:
        if edge in self._statistics:
            return {edge: 1.0}
        if _find_variable(self._path, edge) == self._variable:
            return {None: 1.0}
        node = self._path.nodes.get(edge.node)
        inputs = [] if node is None else read_data_edges(node)
        if node is None or not inputs or steps == 0:
            return None
        if node.op in _HANDING_OPS:
            return self.read(inputs[0], steps - 1)
        if len(inputs) != 2 or edge.output:
            return None
        if node.op == "Mul":
            left, right = inputs
            return self._multiply(left, right, steps) or self._multiply(right, left, steps)
        if node.op not in _SUM_SIGNS:
            return None
        first, second = self.read(inputs[0], steps - 1), self.read(inputs[1], steps - 1)
        if first is None or second is None:
            return None
        sign = _SUM_SIGNS[node.op]
        return {key: first.get(key, 0.0) + sign * second.get(key, 0.0) for key in first | second}

    def _multiply(self, edge: Edge, factor: Edge, steps: int) -> _Sum | None:
        terms = self.read(edge, steps - 1)
        if terms is None:
            return None
        number = self._path.read_number(factor)
        if number is None:
            # A decay that training computes, from its step for one; it cannot unbalance a plain difference.
            if abs(sum(terms.values())) > _TOLERANCE or len(terms) < 2:
                return None
            number = _UNKNOWN_FACTOR
        return {key: number * value for key, value in terms.items()}
