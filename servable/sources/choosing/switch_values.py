"""ROOM 1: the training switches of a graph, each with the value that serving wants.

What passes through: a `TrainingGraph` comes in, switches go out. What a switch does in the graph decides;
its name speaks where the graph is silent, and where the two contradict each other nothing is chosen. No
TensorFlow here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from servable.graphs.graph import VARIABLE_OPS, Edge
from servable.model import Scalar
from servable.signature import TensorSpec
from servable.sources.choosing.branches import find_training_value
from servable.sources.choosing.switch_uses import Use, find_uses
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import is_placeholder

_TRAINING_NAME = re.compile(
    r"(^|[/_.])(is_?|in_?|bn_?|use_?|enable_?|mode_?)?(train(ing|able)?|dropout|augment(ation)?|phase|learning_phase)"
    r"(_?(phase|mode|flag|ph|placeholder|switch|bool|on|now))?(_\d+)?$",
    re.IGNORECASE,
)
_INFERENCE_NAME = re.compile(
    r"(^|[/_.])(is_?|in_?|for_?)?(test(ing)?|infer(ence|ring)?|eval(uat(e|ion|ing))?|predict(ion|ing)?|deterministic|"
    r"val(idation|idating)?|serving)(_?(phase|mode|flag|ph|placeholder|switch|bool|on|now))?(_\d+)?$",
    re.IGNORECASE,
)
_KEEP_NAME = re.compile(r"(keep|retain|(^|[/_])kp($|_)|p_?keep)", re.IGNORECASE)
_RATE_NAME = re.compile(
    r"(drop(out)?_?(rate|prob(ability)?|p|ratio)|drop_path|(^|/)rate(_\d+)?$)", re.IGNORECASE
)
_DROPOUT_NAME = re.compile(r"drop", re.IGNORECASE)
_TEMPERATURE_NAME = re.compile(
    r"(^|[/_])(softmax_)?(temp(erature)?|tau)(_(ph|placeholder))?(_\d+)?$", re.IGNORECASE
)
_SAMPLING_OP = re.compile(r"^(Stateless)?(Multinomial|RandomCategorical|Categorical)")
_MAX_SWITCHES = 200  # each is followed through the graph
_DT_BOOL = 10
_WHOLE_TYPES = frozenset({"int32", "int64", "int8", "uint8", "int16"})
_FLOAT_TYPES = frozenset({"float32", "float64", "float16", "bfloat16"})


@dataclass(frozen=True, slots=True)
class Switch:
    """A training switch.

    Attributes:
        edge: Its tensor.
        spec: Type and shape.
        value: In serving; None where the graph does not say.
        reason: Why, in words.
        uses: What reads it.
    """

    edge: Edge
    spec: TensorSpec
    value: Scalar | None
    reason: str
    uses: tuple[Use, ...] = ()


def find_switches(graph: TrainingGraph) -> dict[str, Switch]:
    """Finds every switch, by the name of its node."""
    found: dict[str, Switch] = {}
    for node in graph.nodes.values():
        if len(found) >= _MAX_SWITCHES:
            break
        switches: list[Switch] = []
        if is_placeholder(node):
            switches = _judge_placeholder(graph, node)
        elif node.op == "Const" or node.op in VARIABLE_OPS:
            switches = _judge_stored(graph, node)
        found.update((switch.edge.node, switch) for switch in switches)
    return found


def _judge_placeholder(graph: TrainingGraph, node: Any) -> list[Switch]:
    edge = Edge(node.name, 0)
    spec = graph.read_spec(edge)
    if spec.shape:
        return []
    uses = tuple(find_uses(graph, edge)) if spec.shape == () or not _is_fed_whole(graph, edge) else ()
    value: Scalar | None = None
    reason = ""
    if spec.dtype == "bool":
        value, reason = _judge_flag(graph, node.name, uses)
        reason = reason or "a flag; neither its name nor its branches say which value means inference"
    elif spec.dtype in _WHOLE_TYPES:
        value, reason = _judge_number(graph, node.name, uses)
    elif spec.dtype in _FLOAT_TYPES:
        value, reason = _judge_share(graph, node, uses)
    return [Switch(edge, spec, value, reason, uses)] if reason else []


def _is_fed_whole(graph: TrainingGraph, edge: Edge) -> bool:
    """A placeholder of unknown shape that weights meet at once is an input, however it is called."""
    return any(graph.takes_weights(name) for name, _ in graph.readers.get(edge, ()))


def _judge_stored(graph: TrainingGraph, node: Any) -> list[Switch]:
    """A constant or a variable may be the switch too, where a branch of training hangs on it."""
    if "dtype" not in node.attr or node.attr["dtype"].type != _DT_BOOL:
        return []
    found = []
    for edge in _list_values(graph, node):
        spec = graph.read_spec(edge)
        if spec.shape:
            continue
        uses = tuple(find_uses(graph, edge))
        training = find_training_value(graph, uses)
        if training is not None:
            what = "a constant" if node.op == "Const" else "a variable"
            reason = f"{what} that switches training on where it is {_spell(training)}"
            found.append(Switch(edge, spec, not training, reason, uses))
    return found


def _list_values(graph: TrainingGraph, node: Any) -> list[Edge]:
    if node.op == "Const":
        return [Edge(node.name, 0)]
    reading = ("Identity", "ReadVariableOp")
    return [Edge(n, 0) for n in graph.find_readers(node.name) if graph.nodes[n].op in reading]


def _judge_flag(graph: TrainingGraph, name: str, uses: tuple[Use, ...]) -> tuple[bool | None, str]:
    plain = [use for use in uses if use.number is None]
    training = find_training_value(graph, plain)
    named = _read_name(name)
    if training is not None and named is not None and training != named:
        return None, "a flag whose name says the opposite of what its branches do"
    if training is not None:
        return not training, f"a flag that switches training on where it is {_spell(training)}"
    if named is not None:
        return not named, f"a flag named like {'a training' if named else 'an inference'} switch"
    return None, ""


def _judge_number(graph: TrainingGraph, name: str, uses: tuple[Use, ...]) -> tuple[int | None, str]:
    deciding = [use for use in uses if use.kind == "condition"]
    training = find_training_value(graph, deciding)
    named = _read_name(name)
    numbers = {use.number for use in deciding}
    unclear = "a number that decides what is computed"
    if training is None:
        if named is not None and numbers <= {None, 0.0, 1.0}:
            return int(not named), f"a number named like {'a training' if named else 'an inference'} switch"
        return None, unclear if deciding or named is not None else ""
    if len(numbers) > 1:
        return None, unclear
    number = numbers.pop()
    if number is None:
        if named is not None and named != training:
            return None, unclear
        return int(not training), "a number that switches training on or off"
    if not training:
        return int(number), f"a number that switches training off where it is {number:g}"
    if number in (0.0, 1.0):
        return int(1 - number), f"a number that switches training on where it is {number:g}"
    return None, f"a number that switches training on where it is {number:g}"


def _judge_share(graph: TrainingGraph, node: Any, uses: tuple[Use, ...]) -> tuple[float | None, str]:
    name = node.name
    roles = {
        {"keep": "rate", "rate": "keep"}[use.kind] if use.turned else use.kind
        for use in uses
        if use.kind in ("keep", "rate")
    }
    if len(roles) > 1:
        return None, "a share that one dropout keeps and another drops"
    if roles:
        keeps = roles == {"keep"}
        return float(keeps), f"the share that a dropout {'keeps' if keeps else 'drops'}"
    spec_shape = graph.read_shape(Edge(name, 0))
    if _TEMPERATURE_NAME.search(name) and any(use.kind == "divisor" for use in uses):
        if _divides_a_softmax(graph, uses):
            return 1.0, "a temperature that divides what a softmax takes; 1 leaves it as it is"
        return None, "a temperature"
    if _is_fed_whole(graph, Edge(name, 0)):
        return None, ""
    if _KEEP_NAME.search(name):
        return 1.0, "named like the share that a dropout keeps"
    if _RATE_NAME.search(name):
        return 0.0, "named like the share that a dropout drops"
    if _DROPOUT_NAME.search(name):
        return None, "named after dropout, but nothing says whether it is what stays or what goes"
    named = _read_name(name)
    if named is not None and spec_shape == ():
        return float(not named), f"a number named like {'a training' if named else 'an inference'} switch"
    return None, ""


def _divides_a_softmax(graph: TrainingGraph, uses: tuple[Use, ...]) -> bool:
    if any(_SAMPLING_OP.match(node.op) for node in graph.nodes.values()):
        return False
    quotients = [use.node for use in uses if use.kind == "divisor" and use.graph is graph]
    readers = {graph.nodes[reader].op for name in quotients for reader in graph.find_readers(name)}
    return "Softmax" in readers and all(use.kind == "divisor" for use in uses)


def _read_name(name: str) -> bool | None:
    """Whether True means training, as far as the last part of a name says."""
    # isTraining and is-training are spelled is_training here
    last = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", name.rpartition("/")[2])
    if _INFERENCE_NAME.search(last):
        return False
    if _TRAINING_NAME.search(last):
        return True
    return None


def _spell(value: bool) -> str:
    return "true" if value else "false"
