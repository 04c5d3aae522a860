"""ROOM 2: what a rule sees of the node that it replaces, and with what it builds.

What passes through: one node comes in; a rule adds nodes in its place and gives back the edges that stand for
its outputs. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable.export.dialects.body import Body
from servable.export.dialects.constants import find_numpy_dtype, read_const, write_const
from servable.graphs.graph import read_edge
from servable.targets.fitting import read_attr
from servable.targets.registry import CURRENT_VERSION, Registry, load_registry

# What attributes are made of; a message of AttrValue is taken as it is.
Value = Any


@dataclass(frozen=True, slots=True)
class Site:
    """The place of one node.

    Attributes:
        node: The node to replace; its edges are spelled as in a graph.
        body: What it belongs to.
        registry: Of the runtime that is to understand the result.
    """

    node: Any
    body: Body
    registry: Registry

    @property
    def inputs(self) -> list[str]:
        """Edges of the tensors that the node takes."""
        return [text for text in self.node.input if not text.startswith("^")]

    @property
    def waits(self) -> list[str]:
        """Edges of the nodes that it waits for."""
        return [text for text in self.node.input if text.startswith("^")]

    def read(self, attr: str) -> Any:
        """Gives an attribute of the node as its AttrValue, or the newest runtime's default."""
        return read_attr(self.node, load_registry(CURRENT_VERSION).ops[self.node.op], attr)

    def read_const(self, edge: str) -> np.ndarray | None:
        """Gives the values behind an edge, or None where they are not a small constant."""
        node = self.find_node(edge)
        return None if node is None else read_const(node)

    def find_node(self, edge: str) -> Any | None:
        """Finds the node that a value comes from, behind those that only hand it on; None for an argument."""
        seen: set[str] = set()
        name = self._find_giver(edge)
        while (node := self.body.nodes.get(name)) is not None and name not in seen:
            if not (node.op == "Identity" or (node.op == "Enter" and node.attr["is_constant"].b)):
                break
            seen.add(name)
            name = self._find_giver(node.input[0])
        return node

    def _bind(self, node: Any) -> None:
        """In a loop of TensorFlow 1, what takes no tensor belongs to the frame of what it waits for."""
        if self.body.has_loops and self.inputs:
            node.input.append(f"^{read_edge(self.inputs[0]).node}")

    def _find_giver(self, edge: str) -> str:
        return read_edge(self.body.find_moved(edge)).node

    def can_run(self, op: str, **attrs: Value) -> bool:
        """Says whether the runtime has an op with these attributes, and a kernel for them."""
        definition = self.registry.ops.get(op)
        kernels = self.registry.kernels.get(op, ())
        if definition is None or any(self.registry.find_attr(op, name) is None for name in attrs):
            return False
        return any(
            all(attrs[name] in allowed for name, allowed in kernel.items() if name in attrs)
            for kernel in kernels
        )

    def add(self, op: str, inputs: Sequence[str], **attrs: Value) -> str:
        """Adds a node.

        Args:
            op: One that the runtime has, or that a rule replaces in turn.
            inputs: Edges.
            attrs: By name; a type is its number in enum DataType.

        Returns:
            The edge of its first output; `output` gives the others.
        """
        node = self.body.add(f"{self.node.name}/{op}", op, inputs)
        if self.waits:
            # Enough for the first nodes: the others wait for these.
            if not any(read_edge(text).node in self.body.waiting for text in inputs):
                node.input.extend(self.waits)
            self.body.waiting.add(node.name)
        if not inputs:
            self._bind(node)
        # The newest runtime's, since what is added may still have to be replaced.
        definition = load_registry(CURRENT_VERSION).ops.get(op) or self.registry.ops[op]
        kinds = {attr.name: attr.type for attr in definition.attr}
        for name, value in attrs.items():
            _set_attr(node.attr[name], kinds.get(name, "none"), value)
        return str(node.name)

    def add_const(self, values: Any, dtype: str) -> str:
        """Adds a constant, or gives the one that this site has already.

        Args:
            values: A number, bytes, or nested lists of them.
            dtype: TensorFlow's name of the type: "int32", "float32", "string", "bool", ...
        """
        array = np.array(values, dtype=find_numpy_dtype(dtype))
        key = (self.node.name, dtype, array.shape, repr(array.tolist()))
        known = self.body.constants.get(key)
        if known in self.body.nodes:
            return str(known)
        node = self.body.add(f"{self.node.name}/Const", "Const", [])
        self._bind(node)
        write_const(node, array, dtype)
        self.body.constants[key] = node.name
        return str(node.name)


def output(edge: str, number: int) -> str:
    """Gives another output of a node that `Site.add` added."""
    return f"{edge}:{number}" if number else edge


def _set_attr(attr: Any, kind: str, value: Any) -> None:
    if isinstance(value, type(attr)):
        attr.CopyFrom(value)
    elif kind == "type":
        attr.type = value
    elif kind == "int":
        attr.i = value
    elif kind == "bool":
        attr.b = value
    elif kind == "float":
        attr.f = value
    elif kind == "string":
        attr.s = value.encode() if isinstance(value, str) else value
    elif kind == "list(type)":
        attr.list.type.extend(value)
    elif kind == "list(int)":
        attr.list.i.extend(value)
    elif kind == "list(string)":
        attr.list.s.extend(value)
    else:
        raise TypeError(f"expected a message for an attribute of kind {kind}")
