"""ROOM 2: a graph or the body of a function, in one form that rules can change.

What passes through: a list of nodes comes in, changed nodes go out. Functions spell an edge
"node:argument:place", graphs "node:number"; in between every edge is "node:number". No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from servable.formats.protos import NodeDef
from servable.graphs.graph import Edge, read_edge, spell_edge, spell_tensor, unique_name
from servable.targets.fitting import list_outputs
from servable.targets.registry import CURRENT_VERSION, Registry, load_registry

_LOOP_OPS = frozenset({"Enter", "RefEnter"})


class Body:
    """Nodes by name, and what became of those that were replaced.

    Attributes:
        nodes: By name, edges spelled as in a graph. A function's arguments are edges without a node.
        added: Names of nodes that were added, in order.
        constants: Constants that were added, by whatever a site tells them apart by.
        waiting: Names of added nodes that wait for what the node that they replace waits for.
        has_loops: True where loops of TensorFlow 1 give every node a frame that it belongs to.
    """

    def __init__(self, nodes: Iterable[Any]) -> None:
        self.nodes: dict[str, Any] = {node.name: node for node in nodes}
        self.added: list[str] = []
        self.constants: dict[Any, str] = {}
        self.waiting: set[str] = set()
        self.has_loops = any(node.op in _LOOP_OPS for node in self.nodes.values())
        self._taken = set(self.nodes)
        self._moved: dict[str, list[str]] = {}

    def add(self, wanted: str, op: str, inputs: Iterable[str]) -> Any:
        """Adds a node, under a name that is free, and gives it back."""
        name = unique_name(wanted, self._taken)
        self._taken.add(name)
        self.added.append(name)
        self.nodes[name] = NodeDef(name=name, op=op, input=inputs)
        return self.nodes[name]

    def replace(self, name: str, outputs: list[str]) -> None:
        """Takes a node away; what it gave is given by these edges from now on."""
        del self.nodes[name]
        self._moved[name] = outputs

    def withdraw(self, names: Iterable[str]) -> None:
        """Takes nodes away that were added, as if they and what replaced them had never been there."""
        for name in names:
            self.nodes.pop(name, None)
            self._moved.pop(name, None)

    def find_moved(self, tensor: str) -> str:
        """Gives the tensor that stands for one of before, itself where it still stands."""
        edge = read_edge(tensor)
        while edge.node in self._moved and edge.output is not None:
            edge = read_edge(self._moved[edge.node][edge.output])
        return spell_tensor(edge)

    def list_nodes(self) -> list[Any]:
        """Gives all nodes, with edges that lead to what is there now."""
        for node in self.nodes.values() if self._moved else ():
            inputs = [self._find_edge(read_edge(text)) for text in node.input]
            waits = [text for text in inputs if text.startswith("^")]
            del node.input[:]
            node.input.extend(inputs[: len(inputs) - len(waits)])
            # Whoever waited for a replaced node may now name the same one twice.
            node.input.extend(dict.fromkeys(waits))
        return list(self.nodes.values())

    def _find_edge(self, edge: Edge) -> str:
        if edge.output is not None:
            return spell_edge(read_edge(self.find_moved(spell_tensor(edge))))
        while edge.node in self._moved:
            outputs = self._moved[edge.node]
            edge = Edge(read_edge(outputs[0]).node, None)
        return spell_edge(edge)


def open_function(function: Any, library: Mapping[str, Any]) -> Body | None:
    """Reads a function's body.

    Args:
        function: A FunctionDef message; not changed.
        library: Functions by name.

    Returns:
        None where a node's op is not known even to the newest runtime, so that its outputs have no numbers.
    """
    places: dict[tuple[str, str, int], int] = {}
    for node in function.node_def:
        outputs = _list_outputs(node, library, load_registry(CURRENT_VERSION))
        if outputs is None:
            return None
        places |= {(node.name, arg, place): number for number, (arg, place) in enumerate(outputs)}
    arguments = {arg.name for arg in function.signature.input_arg}

    def flatten(text: str) -> str | None:
        if text.startswith("^") or text in arguments:
            return text
        name, _, rest = text.partition(":")
        arg, _, place = rest.partition(":")
        number = places.get((name, arg, int(place or 0)))
        return None if number is None else spell_edge(Edge(name, number))

    nodes = []
    for node in function.node_def:
        changed = NodeDef()
        changed.CopyFrom(node)
        inputs = [flatten(text) for text in node.input]
        if None in inputs:
            return None
        del changed.input[:]
        changed.input.extend(inputs)
        nodes.append(changed)
    return Body(nodes)


def close_function(function: Any, body: Body, library: Mapping[str, Any], registry: Registry) -> None:
    """Writes a body back into its function.

    Args:
        function: The FunctionDef that `body` was opened from.
        body: Changed.
        library: Functions by name.
        registry: Of the runtime that the new ops are meant for.
    """
    arguments = {arg.name for arg in function.signature.input_arg}
    old = {node.name: node for node in function.node_def}
    numbers = {name: _number_outputs(node, library, registry) for name, node in old.items()}
    nodes = body.list_nodes()
    numbers |= {node.name: _number_outputs(node, library, registry) for node in nodes}

    def spell(edge: Edge) -> str:
        if edge.output is None:
            return f"^{edge.node}"
        if edge.node in arguments and edge.node not in body.nodes:
            return edge.node
        arg, place = numbers[edge.node][edge.output]
        return f"{edge.node}:{arg}:{place}"

    results = {}
    for key, text in function.ret.items():
        name, _, rest = text.partition(":")
        if name in old and rest:
            arg, _, place = rest.partition(":")
            number = numbers[name].index((arg, int(place or 0)))
            results[key] = spell(read_edge(body.find_moved(f"{name}:{number}")))
    function.ret.update(results)
    for key, name in function.control_ret.items():
        if name not in body.nodes:
            function.control_ret[key] = read_edge(body.find_moved(f"{name}:0")).node
    del function.node_def[:]
    for node in nodes:
        inputs = [spell(read_edge(text)) for text in node.input]
        del node.input[:]
        node.input.extend(inputs)
        function.node_def.append(node)


def _number_outputs(node: Any, library: Mapping[str, Any], registry: Registry) -> list[tuple[str, int]]:
    outputs = _list_outputs(node, library, registry)
    if outputs is None:
        outputs = _list_outputs(node, library, load_registry(CURRENT_VERSION))
    return outputs or []


def _list_outputs(node: Any, library: Mapping[str, Any], registry: Registry) -> list[tuple[str, int]] | None:
    if node.op in library:
        return list_outputs(node, library[node.op].signature)
    definition = registry.ops.get(node.op)
    return None if definition is None else list_outputs(node, definition)
