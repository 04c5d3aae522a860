"""Following a value through calls of library functions, which a look at one graph alone cannot.

What passes through: a graph whose calls are bounded (`call_graph.require_bounded`). A `Frame` is one call:
the body of a function and what its caller hands over. TF2 keeps savers and table initializers in functions,
so whoever wants to know which variable takes which tensor, or which table reads which file, asks here.
No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from servable.errors import UnsafeSourceError
from servable.graphs.call_graph import name_callees
from servable.graphs.graph import index_nodes, read_edge

_CALL_OPS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_PASSING_OPS = frozenset({"Identity", "StopGradient", "Snapshot", "Reshape"})
# Ops whose first input decides, and whose others are the arguments of each of their functions.
_BRANCHING_OPS = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
_MAX_HOPS = 10_000
_MAX_CALLS = 20_000


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """Where a value arises: output `output` of `node`, in the frame of its call."""

    frame: Frame
    node: Any
    output: int


@dataclass(frozen=True, slots=True)
class Frame:
    """The graph itself, or one call of a function.

    Attributes:
        name: "" for the graph, else the function's name.
        nodes: Its nodes, by name.
        library: All functions, by name.
        caller: The frame of the call; None for the graph itself.
        handed: The caller's input by argument name; "" where it is not known.
        call: The caller's node.
    """

    name: str
    nodes: Mapping[str, Any]
    library: Mapping[str, Any]
    caller: Frame | None = None
    handed: Mapping[str, str] = field(default_factory=dict)
    call: str = ""

    def find_origin(self, text: str) -> ValueOrigin | None:
        """Follows an input back to where its value arises, out of functions and into them.

        Args:
            text: As a node of this frame spells it: "a", "a:1", or "a:output:1" inside a function.

        Returns:
            None where it cannot be followed.
        """
        frame = self
        for _ in range(_MAX_HOPS):
            name, output = _read_input(frame, text)
            if name in frame.handed:
                text = frame.handed[name]
                if not text or frame.caller is None:
                    return None
                frame = frame.caller
                continue
            node = frame.nodes.get(name)
            if node is None:
                return None
            if node.op in _PASSING_OPS and node.input:
                text = node.input[0]
            elif (callee := frame._open_plain_call(node)) is not None:
                function = callee.library[callee.name]
                if output >= len(function.signature.output_arg):
                    return None
                frame, text = callee, function.ret.get(function.signature.output_arg[output].name, "")
            else:
                return ValueOrigin(frame, node, output)
        return None

    def open_calls(self, node: Any) -> Iterator[Frame]:
        """Gives a frame for every function that a node of this one calls."""
        plain = self._open_plain_call(node)
        if plain is not None:
            yield plain
            return
        data = [text for text in node.input if not text.startswith("^")]
        handed = data[1:] if node.op in _BRANCHING_OPS else []
        for name in name_callees(node, self.library):
            if name in self.library:
                yield self._open(name, handed, node.name)

    def _open_plain_call(self, node: Any) -> Frame | None:
        # Asking a map of messages for a missing key would add it.
        calls = node.op in _CALL_OPS and "f" in node.attr
        name = node.attr["f"].func.name if calls else node.op
        if name not in self.library:
            return None
        return self._open(name, [text for text in node.input if not text.startswith("^")], node.name)

    def _open(self, name: str, handed: list[str], call: str) -> Frame:
        function = self.library[name]
        arguments = [arg.name for arg in function.signature.input_arg]
        texts = [*handed, *[""] * len(arguments)]
        nodes = {node.name: node for node in function.node_def}
        return Frame(name, nodes, self.library, self, dict(zip(arguments, texts, strict=False)), call)


def open_frame(graph_def: Any, nodes: Mapping[str, Any] | None = None) -> Frame:
    """Makes the frame of a graph itself.

    Args:
        graph_def: With its library.
        nodes: Stand in for the graph's own.
    """
    library = {function.signature.name: function for function in graph_def.library.function}
    return Frame("", index_nodes(graph_def) if nodes is None else nodes, library)


def find_nodes(frame: Frame, names: Iterable[str], ops: Collection[str]) -> Iterator[tuple[Frame, Any]]:
    """Finds nodes of some ops among nodes of a frame and in all that these call, with the frame of each.

    Args:
        frame: Where to begin.
        names: Nodes of the frame.
        ops: What to look for. Only functions that hold one of them are opened.

    Raises:
        UnsafeSourceError: More calls lead there than a trainer would write.
    """
    holders = _find_holders(frame.library, ops)
    stack = [(frame, list(names))]
    opened = 0
    while stack:
        place, todo = stack.pop()
        opened += 1
        if opened > _MAX_CALLS:
            raise UnsafeSourceError(
                "The graph calls its functions too often to be followed.",
                expected=f"at most {_MAX_CALLS} calls that lead to {' or '.join(sorted(ops))}",
                received="more",
                where=place.name,
            )
        for name in todo:
            node = place.nodes[name]
            if node.op in ops:
                yield place, node
            if any(callee in holders for callee in name_callees(node, place.library)):
                stack += [(call, list(call.nodes)) for call in place.open_calls(node) if call.name in holders]


def _find_holders(library: Mapping[str, Any], ops: Collection[str]) -> set[str]:
    """Names the functions that hold one of the ops, or call one that does."""
    callers: dict[str, list[str]] = {}
    found = []
    for name, function in library.items():
        if any(node.op in ops for node in function.node_def):
            found.append(name)
        for node in function.node_def:
            for callee in name_callees(node, library):
                callers.setdefault(callee, []).append(name)
    holders: set[str] = set()
    while found:
        name = found.pop()
        if name not in holders:
            holders.add(name)
            found += callers.get(name, [])
    return holders


def _read_input(frame: Frame, text: str) -> tuple[str, int]:
    """Reads "a", "a:1" or, inside a function, "a:output:1"; a call's outputs have a name each."""
    if not frame.name:
        edge = read_edge(text)
        return edge.node, edge.output or 0
    parts = text.lstrip("^").split(":")
    output = int(parts[-1]) if len(parts) > 1 and parts[-1].isdigit() else 0
    node = frame.nodes.get(parts[0])
    if node is not None and len(parts) == 3 and node.op in frame.library:
        names = [arg.name for arg in frame.library[node.op].signature.output_arg]
        output = names.index(parts[1]) if parts[1] in names else output
    return parts[0], output
