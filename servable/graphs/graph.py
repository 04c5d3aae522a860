"""Reading a GraphDef without TensorFlow: names, edges and the few op families that carry state.

What passes through: intake and workshop both ask here how a graph hangs together. Nothing is run here, and
nothing but a node handed to `strip_foreign_attrs` is changed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from servable.graphs.call_graph import name_callees

# Ops that hold one variable. The first two are reference variables, the third a resource.
REF_VARIABLE_OPS = frozenset({"VariableV2", "Variable"})
RESOURCE_VARIABLE_OPS = frozenset({"VarHandleOp"})
VARIABLE_OPS = REF_VARIABLE_OPS | RESOURCE_VARIABLE_OPS

PLACEHOLDER_OPS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})

# Ops that fill a lookup table; input 0 is the table.
TABLE_INITIALIZER_OPS = frozenset(
    {
        "InitializeTable",
        "InitializeTableV2",
        "InitializeTableFromTextFile",
        "InitializeTableFromTextFileV2",
        "LookupTableImport",
        "LookupTableImportV2",
    }
)
# Those of them whose input 1 is the name of a file.
TEXT_FILE_INITIALIZER_OPS = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})

# Ops that hand their first input on unchanged.
_PASSING_OPS = frozenset({"Identity", "StopGradient", "Snapshot", "PlaceholderWithDefault"})

# Attributes that describe the trainer's machine or its shape inference, not the computation. A stored
# _output_shapes of another version makes the import of a trained batch norm fail; _class may name a node
# that is left out. debug_name is a label that older runtimes do not know, and config_proto the trainer's own
# settings for a call.
_FOREIGN_ATTRS = ("_output_shapes", "_class", "debug_name", "config_proto")

_DT_STRING = 7
_MAX_FILLED_STRINGS = 1_000_000


class Edge(NamedTuple):
    """One input of a node: output number `output` of `node`, or a control edge when that is None."""

    node: str
    output: int | None


def read_edge(text: str) -> Edge:
    """Splits an input as NodeDef spells it: "a", "a:1" or "^a"."""
    if text.startswith("^"):
        return Edge(text[1:], None)
    name, _, index = text.rpartition(":")
    if name and index.isdigit():
        return Edge(name, int(index))
    return Edge(text, 0)


def spell_edge(edge: Edge) -> str:
    """Writes an edge as NodeDef wants it; the reverse of `read_edge`."""
    if edge.output is None:
        return f"^{edge.node}"
    return edge.node if edge.output == 0 else f"{edge.node}:{edge.output}"


def spell_tensor(edge: Edge) -> str:
    """Writes the name of the tensor that an edge carries, in full: "x:0"."""
    return f"{edge.node}:{edge.output or 0}"


def normalize_tensor(name: str) -> str:
    """Writes a tensor name in full: "x" and "x:0" both become "x:0"."""
    return spell_tensor(read_edge(name))


def index_nodes(graph_def: Any) -> dict[str, Any]:
    """Maps node names to the nodes of a GraphDef, in the graph's own order."""
    return {node.name: node for node in graph_def.node}


def find_ancestors(
    nodes: Mapping[str, Any], outputs: Iterable[str], *, stop_at: Collection[str] = ()
) -> set[str]:
    """Names every node that the given tensors need, themselves included.

    Args:
        nodes: By name.
        outputs: Tensor or node names; unknown ones are left out.
        stop_at: Tensor names in full ("x:0") that are fed, so that nothing behind them is needed.
    """
    fed = set(stop_at)
    found: set[str] = set()
    stack = [normalize_tensor(name) for name in outputs]
    while stack:
        tensor = stack.pop()
        if tensor in fed:
            continue
        name = tensor.rpartition(":")[0]
        if name in found or name not in nodes:
            continue
        found.add(name)
        for text in nodes[name].input:
            edge = read_edge(text)
            # A control edge waits for the node itself, whatever is fed in place of its outputs.
            stack.append(f"{edge.node}:{edge.output}" if edge.output is not None else f"{edge.node}:-1")
    return found


def trace_back(nodes: Mapping[str, Any], tensor: str) -> Edge:
    """Follows a tensor back through ops that only hand it on; returns the output where it arises."""
    seen: set[str] = set()
    edge = read_edge(tensor)
    while (node := nodes.get(edge.node)) is not None and edge.node not in seen:
        if node.op not in _PASSING_OPS or not node.input:
            break
        seen.add(edge.node)
        edge = read_edge(node.input[0])
    return edge


def read_const_strings(node: Any) -> list[bytes] | None:
    """Reads the values of a string Const, or None when the node is something else."""
    if node.op != "Const" or node.attr["dtype"].type != _DT_STRING:
        return None
    tensor = node.attr["value"].tensor
    values = list(tensor.string_val)
    size = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    # TensorProto may leave out a tail of equal values.
    filled: list[bytes] = values + values[-1:] * min(size - len(values), _MAX_FILLED_STRINGS)
    return filled


def iterate_all_nodes(graph_def: Any) -> Iterator[tuple[str, Any]]:
    """Yields every node with its place: the graph itself ("") or the name of a library function."""
    for node in graph_def.node:
        yield "", node
    for function in graph_def.library.function:
        for node in function.node_def:
            yield function.signature.name, node


def find_functions(graph_def: Any, nodes: Iterable[Any]) -> set[str]:
    """Names the library functions that the given nodes reach, through other functions too."""
    library = {function.signature.name: function for function in graph_def.library.function}
    gradients = {gradient.function_name: gradient.gradient_func for gradient in graph_def.library.gradient}
    found: set[str] = set()
    stack = [name for node in nodes for name in name_callees(node, library)]
    while stack:
        name = stack.pop()
        if name in found or name not in library:
            continue
        found.add(name)
        stack.extend(n for node in library[name].node_def for n in name_callees(node, library))
        if name in gradients:
            stack.append(gradients[name])
    return found


def strip_foreign_attrs(node: Any) -> None:
    """Clears a node's device and what else belongs to the trainer's machine, in place."""
    node.device = ""
    for attr in _FOREIGN_ATTRS:
        if attr in node.attr:
            del node.attr[attr]


def unique_name(wanted: str, taken: Collection[str]) -> str:
    """Finds a node name that is free: the wanted one, else with a number behind it."""
    if wanted not in taken:
        return wanted
    number = 1
    while f"{wanted}_{number}" in taken:
        number += 1
    return f"{wanted}_{number}"
