"""ROOM 1: the body of a library function, laid out as a graph of its own.

What passes through: a `TrainingGraph` and the name of one of its functions come in, another `TrainingGraph`
goes out. TensorFlow 2 keeps branches and loop bodies in functions. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from servable.formats.protos import MetaGraphDef

if TYPE_CHECKING:
    from servable.sources.choosing.training_graph import TrainingGraph

# Where a call's inputs go: attribute of the function, and how many inputs come before its arguments.
_BRANCHES = (("then_branch", 1), ("else_branch", 1))
_CALLS = {
    "If": _BRANCHES,
    "StatelessIf": _BRANCHES,
    "While": (("body", 0),),
    "StatelessWhile": (("body", 0),),
    "PartitionedCall": (("f", 0),),
    "StatefulPartitionedCall": (("f", 0),),
}


def iterate_calls(node: Any) -> Iterator[tuple[str, int]]:
    """Names the functions that a node runs, each with the number of inputs before its arguments."""
    for attr, skipped in _CALLS.get(node.op, ()):
        if attr in node.attr:
            yield node.attr[attr].func.name, skipped


def lay_out_body(graph: TrainingGraph, name: str) -> TrainingGraph | None:
    """Makes a graph of a function's body; its arguments become placeholders.

    Returns:
        None where the library has no such function.
    """
    if name not in graph.bodies:
        function = graph.functions.get(name)
        graph.bodies[name] = None
        if function is not None:
            body = graph.bodies[name] = type(graph)(_make_message(function))
            body.functions, body.bodies = graph.functions, graph.bodies
            body.argument_uses = graph.argument_uses
    return graph.bodies[name]


def _make_message(function: Any) -> Any:
    message = MetaGraphDef()
    for argument in function.signature.input_arg:
        node = message.graph_def.node.add(name=argument.name, op="Placeholder")
        node.attr["dtype"].type = argument.type
    for source in function.node_def:
        node = message.graph_def.node.add()
        node.CopyFrom(source)
        del node.input[:]
        node.input.extend(_rename_input(text) for text in source.input)
    return message


def _rename_input(text: str) -> str:
    """Inside a function an input is "node:output_name:index"; which output that is matters little here."""
    parts = text.split(":")
    return f"{parts[0]}:{parts[2]}" if len(parts) == 3 and parts[2] != "0" else parts[0]
