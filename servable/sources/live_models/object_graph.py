"""ROOM 1: the object graph of a TF2 checkpoint, read without TensorFlow.

What passes through: a checkpoint's prefix comes in; its objects, how they hang together and which tensors are
theirs go out. What is the model's and what is training's (optimizer, counters, metrics, steps) is told by how
the objects look, since names are free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle import OBJECT_GRAPH_KEY, TensorBundle, open_bundle, read_tensor
from servable.formats.protos import MAX_MESSAGE_BYTES, TrackableObjectGraph, decode_message

ROOT = 0
# Name of an attribute that is a variable's value (tensorflow/python/trackable/base.py).
VALUE_ATTRIBUTE = "VARIABLE_VALUE"
# Notes that Keras of TF 2.0 to 2.2 left beside layers.
_TEXT_ATTRIBUTES = frozenset({"OBJECT_CONFIG_JSON"})
# Children under which Keras keeps what belongs to training.
_TRAINING_CHILDREN = frozenset(
    [
        "optimizer",
        "_optimizer",
        "loss_tracker",
        "_loss_tracker",
        "_compile_metrics",
        "_compile_loss",
        "compiled_loss",
        "compiled_metrics",
        "_metrics",
        "keras_api",
        "train_function",
        "train_tf_function",
        "test_function",
        "predict_function",
        "save_counter",
    ]
)
# No model nests so deep; a chain of objects made by hand would fill the memory with its names.
_MAX_PLACE = 8192
_STEP_CHILDREN = frozenset({"iter", "_iterations", "iterations"})
_RATE_CHILDREN = frozenset({"learning_rate", "_learning_rate", "lr"})


@dataclass(frozen=True, slots=True)
class ObjectNode:
    """One object of a checkpoint.

    Attributes:
        children: Local name to the child's number.
        tensors: Attribute name to its key in the checkpoint.
        slots: Slot name, such as "m" or "average", with the number of the variable it belongs to and its own.
    """

    children: dict[str, int]
    tensors: dict[str, str]
    slots: tuple[tuple[str, int, int], ...]

    @property
    def is_optimizer(self) -> bool:
        """Whether it keeps slots, or counts steps at a rate."""
        return bool(self.slots) or bool(
            _STEP_CHILDREN & self.children.keys() and _RATE_CHILDREN & self.children.keys()
        )


@dataclass(frozen=True, slots=True)
class ObjectGraph:
    """The objects of a checkpoint; number 0 is the root.

    Attributes:
        bundle: The checkpoint's tensors.
        nodes: By number.
    """

    bundle: TensorBundle
    nodes: tuple[ObjectNode, ...]

    def list_places(self) -> dict[int, str]:
        """Lists objects that are no part of training, with the shortest way to each: "" is the root."""
        places = {ROOT: ""}
        pending = [ROOT]
        for number in pending:
            for name, child in self.list_model_children(number):
                if child not in places:
                    places[child] = self._extend(places[number], name)
                    pending.append(child)
        return places

    def list_model_children(self, number: int) -> Iterator[tuple[str, int]]:
        """Lists the children of an object, without those that belong to training."""
        for name, child in self.nodes[number].children.items():
            if name not in _TRAINING_CHILDREN and not self.nodes[child].is_optimizer:
                yield name, child

    def list_tensors(self, number: int) -> dict[str, str]:
        """Lists what an object and all below it keep, without training: key to the way from the object."""
        found: dict[str, str] = {}
        seen = {number}
        pending = [(number, "")]
        for owner, place in pending:
            for attribute, key in self.nodes[owner].tensors.items():
                found.setdefault(key, place if attribute == VALUE_ATTRIBUTE else f"{place}.{attribute}")
            for name, child in self.list_model_children(owner):
                if child not in seen:
                    seen.add(child)
                    pending.append((child, self._extend(place, name)))
        return found

    def _extend(self, place: str, name: str) -> str:
        if len(place) > _MAX_PLACE:
            raise BrokenSourceError(
                "The objects of this checkpoint nest too deep.",
                expected=f"at most {_MAX_PLACE} letters on the way to each",
                received=f"{place[:100]}...",
                where=str(self.bundle.prefix),
            )
        return f"{place}/{name}".lstrip("/")

    def list_slots(self) -> dict[str, dict[str, str]]:
        """Lists under which names of the root whole models may lie, with their tensors.

        Returns:
            Name, "" for the root itself, to key and the way to it from there. Single variables such as a step
            are none.
        """
        slots = {
            name: self.list_tensors(child)
            for name, child in self.list_model_children(ROOT)
            if self.nodes[child].children
        }
        slots = {name: tensors for name, tensors in slots.items() if tensors}
        # As save_weights(...) and Checkpoint(model) leave it.
        if _is_model(self.nodes[ROOT].children):
            return {"": self.list_tensors(ROOT)}
        return slots

    @property
    def is_keras(self) -> bool:
        """Whether a Keras model of either kind is among the objects."""
        return any(_is_model(node.children) for node in self.nodes)

    def write_slots(self, most: int = 20) -> list[str]:
        """Writes each model of the checkpoint with its variables, at most so many of one."""
        slots = self.list_slots() or {"": self.list_tensors(ROOT)}
        return [
            f"{write_place(slot)} with "
            + ", ".join(f"{way} {self.write_shape(key)}" for key, way in list(tensors.items())[:most])
            + (f" and {len(tensors) - most} more" if len(tensors) > most else "")
            for slot, tensors in slots.items()
        ]

    def write_shape(self, key: str) -> str:
        """Writes type and sizes of a tensor."""
        entry = self.bundle.entries[key]
        return f"{entry.dtype} {list(entry.shape)}"


def read_object_graph(prefix: Path) -> ObjectGraph:
    """Reads the objects of a TF2 checkpoint.

    Raises:
        BrokenSourceError: The checkpoint is damaged, or its objects contradict each other.
    """
    bundle = open_bundle(prefix)
    where = f"{prefix}, {OBJECT_GRAPH_KEY}"
    entry = bundle.entries[OBJECT_GRAPH_KEY]
    if entry.dtype != "string" or entry.shape or entry.size_bytes > MAX_MESSAGE_BYTES:
        raise BrokenSourceError(
            "The object graph of this checkpoint is no message.",
            expected=f"one string of at most {MAX_MESSAGE_BYTES} bytes",
            received=f"{entry.dtype} {list(entry.shape)}, {entry.size_bytes} bytes",
            where=where,
            advice="copy the checkpoint again from where it was written, with all of its files",
        )
    message = decode_message(TrackableObjectGraph, read_tensor(bundle, OBJECT_GRAPH_KEY).item(), where=where)
    count = len(message.nodes)
    nodes = tuple(_read_node(node, bundle.entries.keys()) for node in message.nodes)
    numbers = [n for node in nodes for n in (*node.children.values(), *(s[1] for s in node.slots))]
    if not nodes or any(not 0 <= number < count for number in numbers):
        raise BrokenSourceError(
            "The objects of this checkpoint refer to some that are not there.",
            expected=f"numbers below {count}",
            received=str(max(numbers, default=0)),
            where=where,
            advice="copy the checkpoint again from where it was written, with all of its files",
        )
    return ObjectGraph(bundle, nodes)


def write_place(place: str) -> str:
    """Writes where in a checkpoint something lies: "" is the root."""
    return f"slot {place!r}" if place else "the root"


def _read_node(node: Any, keys: Collection[str]) -> ObjectNode:
    tensors = {
        attribute.name: attribute.checkpoint_key
        for attribute in node.attributes
        if attribute.name not in _TEXT_ATTRIBUTES and attribute.checkpoint_key in keys
    }
    slots = tuple(
        (slot.slot_name, slot.original_variable_node_id, slot.slot_variable_node_id)
        for slot in node.slot_variables
    )
    return ObjectNode({child.local_name: child.node_id for child in node.children}, tensors, slots)


def _is_model(children: Collection[str]) -> bool:
    return any(name.startswith("layer_with_weights-") or name == "_functional" for name in children)
