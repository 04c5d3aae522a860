"""Which library function calls which: found without running anything, and bounded before anything runs it.

What passes through: a GraphDef of unknown origin. A runtime inlines functions, so that a small file can ask
for endless work: by a function that calls itself, or by forty functions that each call the next one
twice. Both are seen here, in time that grows with the file and not with what it asks for. No TensorFlow here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from servable.errors import UnsafeSourceError

# Far above any trained graph (the largest known ones have some 200,000 nodes), far below what costs minutes.
MAX_NODES = 1_000_000
MAX_DEPTH = 200
MAX_INLINED_NODES = 10_000_000


def name_callees(node: Any, library: Mapping[str, Any]) -> Iterator[str]:
    """Names the functions that a node calls: by being one, or by an attribute.

    Args:
        node: Of the graph or of a function.
        library: Functions by name.
    """
    if node.op in library:
        yield node.op
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            yield value.func.name
        elif kind == "list":
            yield from (func.name for func in value.list.func)


def require_bounded(graph_def: Any, *, where: str = "") -> None:
    """Refuses a graph that no runtime could be expected to work through.

    Args:
        graph_def: With its library.
        where: The file, for the error.

    Raises:
        UnsafeSourceError: Too many nodes, a function that calls itself, or calls that nest or multiply beyond
            reason.
    """
    functions = graph_def.library.function
    count = len(graph_def.node) + sum(len(function.node_def) for function in functions)
    if count > MAX_NODES:
        raise _refuse("has too many nodes", f"at most {MAX_NODES}", str(count), where)
    library = {function.signature.name: function for function in functions}
    calls = {name: _count_calls(function.node_def, library) for name, function in library.items()}
    for gradient in graph_def.library.gradient:
        if gradient.function_name in calls and gradient.gradient_func in library:
            calls[gradient.function_name][gradient.gradient_func] += 1
    depths: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for name in _order_callees_first(calls, where):
        depths[name] = 1 + max((depths[callee] for callee in calls[name]), default=0)
        # Python's numbers do not overflow, but forty doublings of a file's making would still be pointless.
        inlined = sum(times * sizes[callee] for callee, times in calls[name].items())
        sizes[name] = min(len(library[name].node_def) + inlined, MAX_INLINED_NODES + 1)
        if depths[name] > MAX_DEPTH:
            raise _refuse(
                "nests calls of functions too deeply", f"at most {MAX_DEPTH}", f"more, in {name}", where
            )
    main = _count_calls(graph_def.node, library)
    inlined = len(graph_def.node) + sum(times * sizes[callee] for callee, times in main.items())
    if inlined > MAX_INLINED_NODES:
        raise _refuse(
            "grows beyond measure when its functions are inlined",
            f"at most {MAX_INLINED_NODES} nodes",
            "more",
            where,
        )


def _count_calls(nodes: Iterable[Any], library: Mapping[str, Any]) -> Counter[str]:
    return Counter(name for node in nodes for name in name_callees(node, library) if name in library)


def _order_callees_first(calls: Mapping[str, Counter[str]], where: str) -> list[str]:
    ordered: dict[str, None] = {}
    for root in calls:
        path: dict[str, Iterator[str]] = {}  # functions whose callees are being visited, outermost first
        if root not in ordered:
            path[root] = iter(calls[root])
        while path:
            name = next(reversed(path))
            callee = next(path[name], None)
            if callee is None:
                ordered[name] = None
                del path[name]
            elif callee in path:
                raise _refuse("has a function that calls itself", "no recursion", callee, where)
            elif callee not in ordered:
                path[callee] = iter(calls[callee])
    return list(ordered)


def _refuse(what: str, expected: str, received: str, where: str) -> UnsafeSourceError:
    return UnsafeSourceError(f"The graph {what}.", expected=expected, received=received, where=where)
