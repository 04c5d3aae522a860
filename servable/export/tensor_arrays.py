"""ROOM 2: lists of tensors become tensor arrays, with which loops of TensorFlow 1 keep what each turn gives.

What passes through: a graph without functions comes in, nodes with other ops go out. A list is a value that
each op hands on; a tensor array is a handle, which does not change, and a flow, which says what comes before
what. The flow takes the way of the list; the handle is brought into each loop beside it. An array takes each
element once: a list of one element, into which a loop writes its last result again and again, becomes that
element. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from servable.export.dialects.body import Body
from servable.export.dialects.site import Site
from servable.graphs.graph import Edge, read_edge, trace_back
from servable.signature import DTYPE_NAMES, DTYPE_NUMBERS
from servable.targets.registry import Registry

_CREATING_OPS: Final = frozenset({"TensorListReserve", "TensorListFromTensor"})
_WRITING_OP: Final = "TensorListSetItem"
# Whether a list takes an element behind its last one.
_GROWING_ATTR: Final = "resize_if_index_out_of_bounds"
_READING_OPS: Final = frozenset({"TensorListGetItem", "TensorListStack", "TensorListLength"})
_PASSING_OPS: Final = frozenset({"Identity", "Enter", "Exit", "Merge", "NextIteration", "Switch"})
_VARIANT: Final = DTYPE_NUMBERS["variant"]
_FLOAT: Final = DTYPE_NUMBERS["float32"]
_INT32: Final = DTYPE_NUMBERS["int32"]


def replace_tensor_lists(nodes: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """Says lists as tensor arrays where a runtime has lists of the first kind only.

    TensorFlow 1.12 reserves no elements for a list and cannot stack elements of a free size.

    Args:
        nodes: A graph's, without functions; those of lists are changed in place.
        registry: Of the runtime.

    Returns:
        The nodes; as they were where a list is used in another way than loops use it.
    """
    stack = registry.ops.get("TensorListStack")
    if stack is not None and len(stack.input_arg) > 1:
        return dict(nodes)
    creators = _find_creators(nodes)
    if not creators:
        return dict(nodes)
    body = Body(nodes.values())
    _Replacement(body, registry, creators).replace_all()
    return {node.name: node for node in body.list_nodes()}


def _find_creators(nodes: Mapping[str, Any]) -> dict[str, str]:
    """Maps nodes that make or hand on a list to the one that made it; empty where that is not certain."""
    origins: dict[str, set[str]] = {name: {name} for name, node in nodes.items() if node.op in _CREATING_OPS}
    takers: dict[str, list[str]] = {}
    for name, node in nodes.items():
        for text in node.input:
            takers.setdefault(read_edge(text).node, []).append(name)
    todo = list(origins)
    while todo:
        name = todo.pop()
        for taker in takers.get(name, ()):
            node = nodes[taker]
            if not _hands_on(node, name):
                continue
            known = origins.setdefault(taker, set())
            if not origins[name] <= known:
                known |= origins[name]
                todo.append(taker)
    written: dict[str, int] = {}
    for name, found in origins.items():
        if len(found) != 1:
            return {}
        written[next(iter(found))] = written.get(next(iter(found)), 0) + (nodes[name].op == _WRITING_OP)
    # Written in two places, a list would be two values; one array cannot be both.
    if any(count > 1 for count in written.values()) or _find_foreign_use(nodes, origins):
        return {}
    return {name: next(iter(found)) for name, found in origins.items()}


def _hands_on(node: Any, giver: str) -> bool:
    if node.op == _WRITING_OP:
        return read_edge(node.input[0]) == Edge(giver, 0)
    return bool(node.op in _PASSING_OPS and node.attr["T"].type == _VARIANT)


def _find_foreign_use(nodes: Mapping[str, Any], origins: Mapping[str, set[str]]) -> bool:
    """Looks for whoever takes a list and is none of the ops that can be said."""
    for name, node in nodes.items():
        known = name in origins or node.op in _READING_OPS
        data = [edge for text in node.input if (edge := read_edge(text)).output is not None]
        if not known and any(edge.node in origins for edge in data):
            return True
    return False


def _has_one_element(nodes: Mapping[str, Any], creator: str) -> bool:
    node = nodes[creator]
    if node.op != "TensorListReserve":
        return False
    size = nodes.get(trace_back(nodes, node.input[1]).node)
    if size is None or size.op != "Const":
        return False
    tensor = size.attr["value"].tensor
    return [*tensor.int_val, *np.frombuffer(tensor.tensor_content, "<i4")] == [1]


class _Replacement:
    """Works through one graph."""

    def __init__(self, body: Body, registry: Registry, creators: Mapping[str, str]) -> None:
        self._body = body
        self._nodes = dict(body.nodes)  # as they were
        self._registry = registry
        self._creators = creators
        self._types = {name: body.nodes[name].attr["element_dtype"].type for name in set(creators.values())}
        self._growing = {
            creator
            for name, creator in creators.items()
            if self._nodes[name].op == _WRITING_OP and self._nodes[name].attr[_GROWING_ATTR].b
        }
        self._single = {name for name in self._types if _has_one_element(self._nodes, name)} - self._growing
        self._arrays: dict[str, str] = {}
        self._entered: dict[str, str] = {}

    def replace_all(self) -> None:
        for name in sorted(set(self._creators.values())):
            self._create(self._nodes[name])
        for name, node in self._nodes.items():
            creator = self._creators.get(name)
            if creator is not None and node.op in _PASSING_OPS:
                node.attr["T"].type = self._types[creator] if creator in self._single else _FLOAT
            elif creator is not None and node.op == _WRITING_OP:
                self._write(Site(node, self._body, self._registry), creator)
            elif node.op in _READING_OPS and (creator := self._creators.get(read_edge(node.input[0]).node)):
                self._read(Site(node, self._body, self._registry), creator)

    def _create(self, node: Any) -> None:
        site = Site(node, self._body, self._registry)
        dtype = self._types[node.name]
        if node.name in self._single:
            name = DTYPE_NAMES[dtype]
            self._body.replace(node.name, [site.add_const(b"" if name == "string" else 0, name)])
            return
        if node.op == "TensorListReserve":
            array = self._add_array(site, site.inputs[1], dtype, grows=node.name in self._growing)
            flow = f"{array}:1"
        else:
            values = site.inputs[0]
            shape = site.add("Shape", [values], T=dtype, out_type=_INT32)
            ends = [site.add_const([place], "int32") for place in (0, 1, 1)]
            size = site.add("StridedSlice", [shape, *ends], T=_INT32, Index=_INT32, shrink_axis_mask=1)
            array = self._add_array(site, size, dtype)
            inputs = [array, self._count_to(site, size), values, f"{array}:1"]
            flow = site.add("TensorArrayScatterV3", inputs, T=dtype)
        self._arrays[node.name] = array
        self._body.replace(node.name, [flow])

    def _add_array(self, site: Site, size: str, dtype: int, *, grows: bool = False) -> str:
        # An element may be read in several places, and again in a later turn.
        return site.add("TensorArrayV3", [size], dtype=dtype, dynamic_size=grows, clear_after_read=False)

    def _write(self, site: Site, creator: str) -> None:
        flow, index, value = site.inputs
        if creator not in self._single:
            inputs = [self._find_handle(flow), index, value, flow]
            value = site.add("TensorArrayWriteV3", inputs, T=self._types[creator])
        self._body.replace(site.node.name, [value])

    def _read(self, site: Site, creator: str) -> None:
        flow, dtype = site.inputs[0], self._types[creator]
        if creator in self._single:
            result = flow
            if site.node.op == "TensorListLength":
                result = site.add_const(1, "int32")
            elif site.node.op == "TensorListStack":
                axis = site.add_const(0, "int32")
                result = site.add("ExpandDims", [flow, axis], T=dtype, Tdim=_INT32)
            self._body.replace(site.node.name, [result])
            return
        handle = self._find_handle(flow)
        if site.node.op == "TensorListGetItem":
            result = site.add("TensorArrayReadV3", [handle, site.inputs[1], flow], dtype=dtype)
        else:
            result = site.add("TensorArraySizeV3", [handle, flow])
            if site.node.op == "TensorListStack":
                indices = self._count_to(site, result)
                result = site.add("TensorArrayGatherV3", [handle, indices, flow], dtype=dtype)
        self._body.replace(site.node.name, [result])

    def _count_to(self, site: Site, size: str) -> str:
        ends = [site.add_const(0, "int32"), size, site.add_const(1, "int32")]
        return site.add("Range", ends, Tidx=_INT32)

    def _find_handle(self, tensor: str) -> str:
        """Gives the handle that belongs to a list, in the loop where the list is."""
        loops: list[Any] = []  # ways into loops between the place of the array and that of the list
        name = read_edge(tensor).node
        depth = 0  # loops that were left behind on the way
        while name not in self._arrays:
            node = self._nodes[name]
            if node.op == "Exit":
                depth += 1
            elif node.op == "Enter":
                if depth:
                    depth -= 1
                else:
                    loops.append(node)
            givers = (read_edge(text).node for text in node.input)
            name = next(giver for giver in givers if self._nodes[giver].op != "NextIteration")
        handle = self._arrays[name]
        for enter in reversed(loops):
            handle = self._enter(handle, enter)
        return handle

    def _enter(self, handle: str, enter: Any) -> str:
        if enter.name not in self._entered:
            node = self._body.add(f"{enter.name}/handle", "Enter", [handle])
            node.attr["T"].type = DTYPE_NUMBERS["resource"]
            for attr in ("frame_name", "parallel_iterations"):
                if attr in enter.attr:
                    node.attr[attr].CopyFrom(enter.attr[attr])
            node.attr["is_constant"].b = True
            self._entered[enter.name] = node.name
        return self._entered[enter.name]
