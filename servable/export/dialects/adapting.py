"""ROOM 2: the dialects' door: a MetaGraphDef is changed until its target understands it.

What passes through: a MetaGraphDef comes in and is changed in place; what was changed goes out. First
attributes that say nothing new are left out, then each node that still does not fit is given to the rule for
its op. No TensorFlow here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from servable.errors import ExportError
from servable.export.dialects.body import Body, close_function, open_function
from servable.export.dialects.rules import find_rules
from servable.export.dialects.site import Site
from servable.graphs.graph import normalize_tensor
from servable.report import Finding, Severity
from servable.targets.catalog import Target
from servable.targets.fitting import Misfit, MisfitKind, find_misfits
from servable.targets.registry import CURRENT_VERSION, Registry, load_registry
from servable.targets.verdict import judge_meta_graph

_MAX_SHOWN = 8
# Attributes that say how a value came about or how fast to compute it, never which: an older runtime does
# the same without them, whatever they say. The last one lets a comparison of tensors that cannot be compared
# answer false, where an older runtime refuses the request.
_HINT_ATTRS: Final = frozenset(
    {
        "grad_a",
        "grad_b",
        "grad_x",
        "grad_y",
        "output_shapes",
        "parallel_iterations",
        "sparse_gradient",
        "validate_shape",
        "incompatible_shape_error",
    }
)


def adapt_meta_graph(meta_graph: Any, target: Target) -> list[Finding]:
    """Says a graph again in the words of its target, and makes sure that the target understands it.

    Args:
        meta_graph: A MetaGraphDef message, saver and signatures included; changed in place.
        target: The runtime that is to load it.

    Returns:
        What was replaced.

    Raises:
        ExportError: The target would not load or run the result; every reason is named with its node.
    """
    registry = target.registry
    graph_def = meta_graph.graph_def
    library = {function.signature.name: function for function in graph_def.library.function}
    replaced: Counter[str] = Counter()
    for function in library.values():
        if _fit_nodes(function.node_def, registry, library):
            body = open_function(function, library)
            if body is not None:
                replaced += _rewrite(body, registry, library)
                close_function(function, body, library, registry)
    if _fit_nodes(graph_def.node, registry, library):
        body = Body(graph_def.node)
        replaced += _rewrite(body, registry, library)
        nodes = body.list_nodes()
        del graph_def.node[:]
        graph_def.node.extend(nodes)
        _move_signatures(meta_graph, body)
    require_fit(meta_graph, target)
    if not replaced:
        return []
    ops = ", ".join(f"{count} {op}" for op, count in sorted(replaced.items()))
    return [Finding("export", Severity.INFO, f"said in ops that {target.name} knows: {ops}")]


def require_fit(meta_graph: Any, target: Target) -> None:
    """Refuses what a target would not load or run.

    Raises:
        ExportError: With every obstacle.
    """
    obstacles = judge_meta_graph(meta_graph, target)
    if not obstacles:
        return
    shown = list(dict.fromkeys(str(obstacle) for obstacle in obstacles))
    more = f"; and {len(shown) - _MAX_SHOWN} more" if len(shown) > _MAX_SHOWN else ""
    raise ExportError(
        f"{target.name} cannot serve this model; nothing was written.",
        expected=f"what TensorFlow {target.version} loads and runs",
        received="; ".join(shown[:_MAX_SHOWN]) + more,
        advice="; ".join(dict.fromkeys(obstacle.advice for obstacle in obstacles)),
    )


def _fit_nodes(nodes: Iterable[Any], registry: Registry, functions: Collection[str]) -> bool:
    """Leaves out or writes out attributes where that is all that is needed; says whether misfits are left."""
    left = False
    for node in nodes:
        misfits = find_misfits(node, registry, functions)
        if misfits and _fit_attrs(node, misfits):
            misfits = find_misfits(node, registry, functions)
        left = left or bool(misfits)
    return left


def _fit_attrs(node: Any, misfits: Iterable[Misfit]) -> bool:
    changed = False
    for misfit in misfits:
        is_hint = misfit.is_default or misfit.attr in _HINT_ATTRS
        if misfit.kind is MisfitKind.UNKNOWN_ATTR and is_hint:
            del node.attr[misfit.attr]
            changed = True
        elif misfit.kind is MisfitKind.MISSING_ATTR:
            newest = load_registry(CURRENT_VERSION).find_attr(node.op, misfit.attr)
            if newest is not None and newest.HasField("default_value"):
                node.attr[misfit.attr].CopyFrom(newest.default_value)
                changed = True
    return changed


def _rewrite(body: Body, registry: Registry, functions: Mapping[str, Any]) -> Counter[str]:
    replaced: Counter[str] = Counter()
    for name, node in list(body.nodes.items()):
        if find_misfits(node, registry, functions) and _replace(name, body, registry, functions):
            replaced[node.op] += 1
    return replaced


def _replace(name: str, body: Body, registry: Registry, functions: Mapping[str, Any]) -> bool:
    """Has a rule replace a node, and what the rule adds in turn; all of it, or nothing."""
    before = len(body.added)
    for rule in find_rules(body.nodes[name].op):
        outputs = rule(Site(body.nodes[name], body, registry))
        new = body.added[before:]
        if outputs is not None:
            _fit_nodes((body.nodes[n] for n in new), registry, functions)
            misfits = [n for n in new if find_misfits(body.nodes[n], registry, functions)]
            if all(_replace(n, body, registry, functions) for n in misfits):
                body.replace(name, outputs)
                return True
        body.withdraw(body.added[before:])
        del body.added[before:]
    return False


def _move_signatures(meta_graph: Any, body: Body) -> None:
    for definition in meta_graph.signature_def.values():
        for infos in (definition.inputs, definition.outputs):
            for info in infos.values():
                if info.name:
                    info.name = _find_moved(body, info.name)


def _find_moved(body: Body, tensor: str) -> str:
    moved = body.find_moved(tensor)
    # The loader's own signatures name an op where others name a tensor.
    return tensor if moved == normalize_tensor(tensor) else moved
