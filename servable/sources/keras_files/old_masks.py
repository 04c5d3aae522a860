"""ROOM 1: layers that treat masks otherwise today than when their file was written. No TensorFlow.

What passes through: a configuration comes in, and the model that was built of it; attention goes back to what
it did, and a warning goes out for what today's Keras cannot do as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from servable.report import Finding, Severity
from servable.sources.keras_files.calling import list_layers
from servable.sources.keras_files.config import KerasConfig

_RECURRENT = frozenset({"SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM2D"})
# Up to these, K.rnn gave the first state at a masked step; from then on the output before, zeros at first.
_FIRST_OTHER = (2, 3)
_FIRST_OTHER_IN_TENSORFLOW = (2, 2)
_FIRST_MASKED_ATTENTION = (2, 10)


def note_masked_states(config: KerasConfig) -> Iterator[Finding]:
    """Warns of a recurrent layer that is given an initial state and may meet masked steps before all others.

    There Keras up to 2.2 and tf.keras up to TensorFlow 1.12 answer the initial state, all later ones zeros.
    States and outputs from the first unmasked step on are the same.
    """
    is_tensorflow = config.version.endswith("-tf")
    bound = _FIRST_OTHER_IN_TENSORFLOW if is_tensorflow else _FIRST_OTHER
    if not _is_before(config.version, bound):
        return
    entries = list(_list_layers(config.model))
    if not any(_makes_mask(entry) for entry in entries):
        return
    for entry in entries:
        nodes = entry.get("inbound_nodes")
        is_given = isinstance(nodes, list) and any(isinstance(node, list) and len(node) > 1 for node in nodes)
        body = entry["config"]
        if entry["class_name"] in _RECURRENT and is_given and body.get("return_sequences"):
            yield Finding(
                "source",
                Severity.WARNING,
                f"Keras {config.version} answered masked steps at the beginning of a sequence with the "
                "initial state of this layer; the Keras that converts answers zeros there.",
                where=f"layer {body.get('name', entry.get('name'))}",
                advice="pad sequences at their end, or compare the outputs with those of the model where it "
                "was trained",
            )


def restore_attention(model: Any, keras: ModuleType, config: KerasConfig) -> list[Finding]:
    """Lets attention layers ignore the masks of their inputs, as all did before Keras 2.10.

    `MultiHeadAttention` knew the `attention_mask` that it was called with and no other, and passed none on.

    Args:
        model: Built of `config`; its layers are changed.
        keras: The Keras it belongs to.
        config: What the file says.
    """
    if not _is_before(config.version, _FIRST_MASKED_ATTENTION):
        return []
    layers = [layer for layer in list_layers(model) if isinstance(layer, keras.layers.MultiHeadAttention)]
    for layer in layers:
        layer.supports_masking = False
        # Neither Keras has a public switch for it.
        layer._compute_attention_mask = _take_mask_given
    if not layers or not any(_makes_mask(entry) for entry in _list_layers(config.model)):
        return []
    return [
        Finding(
            "source",
            Severity.INFO,
            f"MultiHeadAttention ignores the masks of its inputs, as it did in Keras {config.version}.",
            where=", ".join(layer.name for layer in layers),
        )
    ]


def _take_mask_given(*_: Any, attention_mask: Any = None, **__: Any) -> Any:
    return attention_mask


def _is_before(version: str, bound: tuple[int, int]) -> bool:
    parts = version.split("-")[0].split(".")[:2]
    return all(part.isdigit() for part in parts) and tuple(map(int, parts)) < bound


def _makes_mask(entry: dict[str, Any]) -> bool:
    return entry["class_name"] == "Masking" or entry["config"].get("mask_zero") is True


def _list_layers(config: Any) -> Iterator[dict[str, Any]]:
    # A stack, not recursion: the depth of hostile JSON is not ours to choose.
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str) and isinstance(value.get("config"), dict):
                yield value
            stack += reversed(list(value.values()))
        elif isinstance(value, list):
            stack += reversed(value)
