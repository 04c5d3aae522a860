"""ROOM 2: from one trace of a model to one function for each signature.

What passes through: the traced graph of the whole model comes in; for each signature a new function goes out,
imported from the nodes that its outputs need and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from servable.errors import ExportError, SignatureError
from servable.export.object_keys import SignatureNames
from servable.graphs.graph import find_ancestors, find_functions, index_nodes
from servable.model import ObjectBody
from servable.signature import SignatureRequest

# Ops that change a variable or a table. Anything else that the model does on the side (checks, prints) is
# kept only where an output depends on it.
_WRITING_OPS = frozenset(
    [
        "AssignVariableOp",
        "AssignAddVariableOp",
        "AssignSubVariableOp",
        "ResourceScatterUpdate",
        "ResourceScatterAdd",
        "ResourceScatterSub",
        "ResourceScatterNdUpdate",
        "ResourceScatterNdAdd",
        "LookupTableInsertV2",
        "LookupTableImportV2",
        "LookupTableRemoveV2",
        "ResourceStridedSliceAssign",
    ]
)
# Functions that share this attribute are implementations of one thing; the runtime swaps one for another.
_SIBLINGS_ATTR = "api_implements"


@dataclass(frozen=True, slots=True)
class Trace:
    """The graph of a whole model.

    Attributes:
        concrete: The traced function; keeps everything it captured alive.
        graph_def: tensorflow.GraphDef of its body.
        inputs: Input name to its placeholder node.
        outputs: Output name to its tensor.
        captures: Placeholder node to the captured tensor behind it.
        writes: Nodes that change the model's state when it runs.
    """

    concrete: Any
    graph_def: Any
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    captures: Mapping[str, Any]
    writes: frozenset[str]


def trace_body(body: ObjectBody) -> Trace:
    """Traces a model over all of its inputs, with free dimensions free.

    Raises:
        ExportError: The model's code fails when it is traced.
    """
    import tensorflow as tf

    names = list(body.inputs)
    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name=f"input_{position}")
        for position, spec in enumerate(body.inputs.values())
    ]
    function = tf.function(lambda *flat: body.call(dict(zip(names, flat, strict=True))), autograph=False)
    try:
        concrete = function.get_concrete_function(*specs)
    # The model's code may raise anything.
    except Exception as error:
        raise ExportError(
            "The model's code fails when it is traced.",
            expected="a model that runs on " + ", ".join(f"{n} {s}" for n, s in body.inputs.items()),
            received=f"{type(error).__name__}: {error}",
            advice="run the model in a tf.function where it was trained",
        ) from error
    graph = concrete.graph
    graph_def = graph.as_graph_def()
    return Trace(
        concrete=concrete,
        graph_def=graph_def,
        inputs={name: tensor.op.name for name, tensor in zip(names, graph.inputs[: len(names)], strict=True)},
        outputs=_name_outputs(concrete),
        captures={internal.op.name: external for external, internal in graph.captures},
        writes=_find_writes(graph, graph_def),
    )


def _name_outputs(concrete: Any) -> dict[str, str]:
    # Tracing hands every result on through an Identity that waits for whatever has a state, wanted or not:
    # the tensor before it is the model's own.
    return {
        str(name): (tensor.op.inputs[0] if tensor.op.type == "Identity" else tensor).name
        for name, tensor in concrete.graph.structured_outputs.items()
    }


def _find_writes(graph: Any, graph_def: Any) -> frozenset[str]:
    library = {function.signature.name: function for function in graph_def.library.function}
    nodes = index_nodes(graph_def)

    def changes_state(node: Any) -> bool:
        reached = find_functions(graph_def, [node])
        return node.op in _WRITING_OPS or any(
            inner.op in _WRITING_OPS for name in reached for inner in library[name].node_def
        )

    return frozenset(op.name for op in graph.control_outputs if changes_state(nodes[op.name]))


def build_function(trace: Trace, body: ObjectBody, request: SignatureRequest, names: SignatureNames) -> Any:
    """Builds the function of one signature from the nodes that its outputs need.

    Args:
        trace: Of the whole model.
        body: The model.
        request: Explicit, with the model's own names.
        names: Argument and result names that TensorFlow accepts, for each key.

    Returns:
        A concrete function that takes tensors by argument name and returns a dict by result name.

    Raises:
        SignatureError: The outputs need an input that the signature leaves out.
    """
    import tensorflow as tf

    needed = _find_needed(trace, request)
    _check_inputs(trace, request, needed)
    pruned = _prune(trace.graph_def, needed - set(trace.inputs.values()) - set(trace.captures))
    arguments = {names.inputs[key]: name for key, name in request.inputs.items()}
    used_captures = {node: value for node, value in trace.captures.items() if node in needed}

    def serve(*values: Any) -> dict[str, Any]:
        graph = tf.compat.v1.get_default_graph()
        feeds = {
            f"{trace.inputs[name]}:0": value
            for name, value in zip(arguments.values(), values, strict=True)
            if trace.inputs[name] in needed
        }
        feeds |= {f"{node}:0": graph.capture(value) for node, value in used_captures.items()}
        wanted = {name: trace.outputs[name] for name in request.outputs.values()}
        computed = [tensor for tensor in dict.fromkeys(wanted.values()) if tensor not in feeds]
        imported = tf.graph_util.import_graph_def(
            pruned,
            # Only what some node consumes may be mapped.
            input_map={tensor: value for tensor, value in feeds.items() if _is_consumed(pruned, tensor)},
            return_elements=computed,
            name="",
        )
        results = feeds | dict(zip(computed, imported, strict=True))
        return {
            names.outputs[key]: tf.identity(results[wanted[name]]) for key, name in request.outputs.items()
        }

    specs = [
        tf.TensorSpec(body.inputs[name].shape, body.inputs[name].dtype, name=argument)
        for argument, name in arguments.items()
    ]
    return tf.function(serve, autograph=False).get_concrete_function(*specs)


def _find_needed(trace: Trace, request: SignatureRequest) -> set[str]:
    nodes = index_nodes(trace.graph_def)
    needed = find_ancestors(nodes, [trace.outputs[name] for name in request.outputs.values()])
    # A state that the outputs read has to be kept up to date, so writes to it stay; to a fixed point, since
    # what a write reads may be written too.
    while True:
        state = needed & set(trace.captures)
        more = {
            name
            for write in trace.writes - needed
            if (ancestors := find_ancestors(nodes, [write])) & state
            for name in ancestors
        }
        if more <= needed:
            return needed
        needed |= more


def _check_inputs(trace: Trace, request: SignatureRequest, needed: set[str]) -> None:
    given = set(request.inputs.values())
    missing = [name for name, node in trace.inputs.items() if node in needed and name not in given]
    if missing:
        raise SignatureError(
            f"Signature {request.name!r} leaves out inputs that its outputs need.",
            expected=", ".join(name for name, node in trace.inputs.items() if node in needed),
            received=", ".join(request.inputs.values()) or "no inputs",
            advice="add " + " ".join(f"{name}={name}" for name in missing),
        )


def _prune(graph_def: Any, kept: set[str]) -> Any:
    pruned = type(graph_def)(versions=graph_def.versions)
    pruned.node.extend(node for node in graph_def.node if node.name in kept)
    reached = find_functions(graph_def, pruned.node)
    while siblings := _find_siblings(graph_def, reached) - reached:
        members = [f for f in graph_def.library.function if f.signature.name in siblings]
        reached |= siblings | find_functions(graph_def, [node for f in members for node in f.node_def])
    pruned.library.function.extend(f for f in graph_def.library.function if f.signature.name in reached)
    for node in [*pruned.node, *(node for f in pruned.library.function for node in f.node_def)]:
        # The machine that traced has no say in where the server runs it, and what a node sits beside may not
        # be exported.
        node.device = ""
        node.attr.pop("_class", None)
    return pruned


def _find_siblings(graph_def: Any, reached: set[str]) -> set[str]:
    groups: dict[bytes, set[str]] = {}
    for function in graph_def.library.function:
        if _SIBLINGS_ATTR in function.attr:
            groups.setdefault(function.attr[_SIBLINGS_ATTR].s, set()).add(function.signature.name)
    return {name for group in groups.values() if group & reached for name in group}


def _is_consumed(graph_def: Any, tensor: str) -> bool:
    node = tensor.partition(":")[0]
    spelled = {node, f"{node}:0"}
    return any(spelled & set(consumer.input) for consumer in graph_def.node)
