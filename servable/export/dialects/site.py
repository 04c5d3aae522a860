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
from servable.signature import DTYPE_NUMBERS
from servable.targets.fitting import read_attr
from servable.targets.registry import CURRENT_VERSION, Registry, load_registry

Value = bool | int | float | str | bytes | Sequence[int] | Sequence[bytes]


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

    def knows(self, *ops: str) -> bool:
        """Says whether the runtime has all of these ops."""
        return all(op in self.registry.ops for op in ops)

    def read(self, attr: str) -> Any:
        """Gives an attribute of the node as its AttrValue, or the newest runtime's default."""
        return read_attr(self.node, load_registry(CURRENT_VERSION).ops[self.node.op], attr)

    def add(self, op: str, inputs: Sequence[str], **attrs: Value) -> str:
        """Adds a node that the runtime knows.

        Args:
            op: Its op.
            inputs: Edges.
            attrs: By name; a type is its number in enum DataType.

        Returns:
            The edge of its first output; `output` gives the others.
        """
        node = self.body.add(f"{self.node.name}/{op}", op, [*inputs, *self.waits])
        kinds = {attr.name: attr.type for attr in self.registry.ops[op].attr}
        for name, value in attrs.items():
            _set_attr(node.attr[name], kinds[name], value)
        return str(node.name)

    def add_const(self, values: Any, dtype: str) -> str:
        """Adds a constant.

        Args:
            values: A number, bytes, or nested lists of them.
            dtype: TensorFlow's name of the type: "int32", "float32", "string", "bool", ...
        """
        node = self.body.add(f"{self.node.name}/Const", "Const", [])
        if self.body.has_loops and self.inputs:
            # In a loop of TensorFlow 1, a constant belongs to the frame of what it waits for.
            node.input.append(f"^{self.inputs[0].partition(':')[0]}")
        node.attr["dtype"].type = DTYPE_NUMBERS[dtype]
        tensor = node.attr["value"].tensor
        tensor.dtype = DTYPE_NUMBERS[dtype]
        array = np.array(values, dtype=object if dtype == "string" else dtype)
        tensor.tensor_shape.SetInParent()
        for size in array.shape:
            tensor.tensor_shape.dim.add(size=size)
        if dtype == "string":
            tensor.string_val.extend(array.ravel().tolist())
        else:
            tensor.tensor_content = array.tobytes()
        return str(node.name)


def output(edge: str, number: int) -> str:
    """Gives another output of a node that `Site.add` added."""
    return f"{edge}:{number}" if number else edge


def _set_attr(attr: Any, kind: str, value: Any) -> None:
    if kind == "type":
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
        attr.CopyFrom(value)
