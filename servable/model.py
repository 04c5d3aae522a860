"""`TrainedModel`, the one shape that every source yields; a word that every room may use.

What passes through: the intake (sources) fills it, the workshop (export) reads it. A model is either a
graph with its variables in a checkpoint (TF1) or a live object that can be called (Keras, tf.Module).
No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from servable.errors import SignatureError
from servable.report import Finding
from servable.signature import SignatureRequest, TensorSpec

# A training switch's inference value, such as False for is_training or 1.0 for keep_prob.
Scalar = bool | int | float | str

_TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
_FALSE_WORDS = frozenset({"false", "0", "no", "off"})

Arrays = Mapping[str, np.ndarray]

# Called with a stage's name, bytes done and bytes in all, so that long work shows how far it is.
Progress = Callable[[str, int, int], None]


def read_truth(value: Scalar) -> bool:
    """Reads a truth value as Python has it, or as a word from a command line.

    Raises:
        ValueError: It is neither true nor false.
    """
    word = str(value).strip().lower()
    if word not in _TRUE_WORDS | _FALSE_WORDS:
        raise ValueError("expected true or false")
    return word in _TRUE_WORDS


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model comes from.

    Attributes:
        path: The exact thing that is read: a file, or a checkpoint's prefix.
        kind: Name of the format, a value of `servable.sources.detect.Kind`.
        framework: The framework that wrote it: "tensorflow" or "keras".
        framework_version: As the file says, or "" where it does not.
        files: Every file that belongs to it, sorted.
        step: Training step, where the file's name carries one.
        digest: BLAKE3 over names and contents of `files`, as 64 hex digits; "" while it is being read.
        address: Where it was fetched from, such as "gs://bucket/model.ckpt-200"; "" for what lay here.
    """

    path: Path
    kind: str
    framework: str
    framework_version: str
    files: tuple[Path, ...]
    step: int | None
    digest: str
    address: str = ""

    @property
    def name(self) -> str:
        """What to call it: its address, where it was fetched from another machine, else its path."""
        return self.address or str(self.path)


@dataclass(frozen=True, slots=True)
class VariableKey:
    """Under which name, and which slice of it, a variable lies in the checkpoint.

    Attributes:
        key: Name in the checkpoint.
        slice_spec: As RestoreV2 takes it ("20 5 0,10:0,5"), "" for the whole tensor.
        average_of: The variable's own name, where `key` is that of its moving average; the SavedModel stores
            the average's value under it. "" for a variable that takes its own value.
    """

    key: str
    slice_spec: str = ""
    average_of: str = ""

    @property
    def exported_key(self) -> str:
        """Name in the SavedModel."""
        return self.average_of or self.key


@dataclass(frozen=True, slots=True)
class TableKeys:
    """Under which names the entries of a lookup table lie in the checkpoint, where it holds them."""

    keys: str
    values: str


@dataclass(frozen=True, slots=True)
class GraphBody:
    """A graph whose variables lie in a checkpoint.

    Attributes:
        meta_graph: tensorflow.MetaGraphDef, a message of `servable.formats.protos`.
        checkpoint_prefix: Path of the checkpoint without `.index`; None for a graph without variables.
        variable_keys: Variable node to its place in the checkpoint, as the trainer's saver has it.
        table_keys: Table node to its entries in the checkpoint, for tables that a saver fills.
        asset_dir: Where the files that the graph reads (vocabularies) are looked for.
        assets: The user's own files, by file name or by the path in the graph.
        initializers: Nodes that the source's own loader runs once, such as a SavedModel's init op, beside the
            initializers of lookup tables, which are found in the graph.
        allowed_ops: Ops that do more than compute and that the user lets in all the same.
        keep_training_ops: Whether dropout and batch statistics that are built into the graph are left in.
    """

    meta_graph: Any
    checkpoint_prefix: Path | None
    variable_keys: Mapping[str, VariableKey]
    asset_dir: Path
    assets: Mapping[str, Path] = field(default_factory=dict)
    table_keys: Mapping[str, TableKeys] = field(default_factory=dict)
    initializers: tuple[str, ...] = ()
    allowed_ops: frozenset[str] = frozenset()
    keep_training_ops: bool = False


@dataclass(frozen=True, slots=True)
class ObjectBody:
    """A live model that can be called.

    Attributes:
        trackable: The root object that owns variables, tables and assets.
        call: Takes tensors by input name, returns tensors by output name, in inference mode.
        inputs: Input name to what it takes; the sizes of free dimensions are None.
        outputs: Output name to what it gives.
    """

    trackable: Any
    call: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    def resolve_request(self, request: SignatureRequest) -> SignatureRequest:
        """Turns every tensor of a request into the model's own input or output name.

        Args:
            request: Its tensors are names, positions ("0", "1") or Keras tensor names; an empty side asks
                for all of the model's.

        Raises:
            SignatureError: A name is not the model's, or one input is fed under two keys.
        """
        inputs = _resolve_names(request.name, request.inputs, self.inputs, side="input")
        outputs = _resolve_names(request.name, request.outputs, self.outputs, side="output")
        doubled = sorted({name for name in inputs.values() if list(inputs.values()).count(name) > 1})
        if doubled:
            raise SignatureError(
                f"Signature {request.name!r} feeds one input of the model under two keys.",
                expected="one key for each input",
                received=", ".join(f"{key}={name}" for key, name in inputs.items() if name in doubled),
                advice="leave one of the keys out",
            )
        return SignatureRequest(request.name, inputs, outputs, request.method)


def _resolve_names(
    signature_name: str, asked: Mapping[str, str], offered: Mapping[str, TensorSpec], *, side: str
) -> dict[str, str]:
    names = list(offered)
    aliases = {spec.tensor: name for name, spec in offered.items() if spec.tensor}
    aliases |= {str(position): name for position, name in enumerate(names)}
    aliases |= {name: name for name in names}
    found = {
        key: aliases.get(tensor) for key, tensor in (asked or dict(zip(names, names, strict=True))).items()
    }
    unknown = [f"{key}={asked[key]}" for key, name in found.items() if name is None]
    if unknown:
        raise SignatureError(
            f"Signature {signature_name!r} asks for an {side} that the model does not have.",
            expected=", ".join(f"{name} ({spec})" for name, spec in offered.items()) or "none",
            received=", ".join(unknown),
            advice=f"name an {side} as above, or by its position: KEY=0",
        )
    return {key: name for key, name in found.items() if name is not None}


class Predictor(Protocol):
    """Computes what the source framework itself answers: the baseline."""

    def __call__(
        self, request: SignatureRequest, inputs: Arrays, *, frozen: Mapping[str, Scalar]
    ) -> dict[str, np.ndarray]:
        """Runs the source model.

        Args:
            request: With explicit inputs and outputs (key to tensor or Keras name).
            inputs: Arrays by serving key; strings as object arrays of bytes.
            frozen: Training switches and their inference values.

        Returns:
            Arrays by output key; strings as object arrays of bytes.
        """
        ...


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Requests as the intake completes them.

    Attributes:
        requests: With explicit inputs and outputs.
        frozen: Training switches and their value in serving, the user's own included.
        notes: What was chosen, and why.
    """

    requests: tuple[SignatureRequest, ...]
    frozen: Mapping[str, Scalar]
    notes: tuple[Finding, ...] = ()


class Suggester(Protocol):
    """Completes what a user left out, from what the source's graph looks like."""

    def __call__(self, requests: Sequence[SignatureRequest], *, frozen: Mapping[str, Scalar]) -> Suggestion:
        """Chooses inputs, outputs and switches.

        Args:
            requests: What the user said; either side may be empty.
            frozen: Switches that the user froze.

        Raises:
            SignatureError: The choice is not clear; it lists the candidates with the reason for each.
        """
        ...


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What every source yields and the workshop takes.

    Attributes:
        origin: Where it comes from.
        body: The graph or the live object.
        signatures: What the source itself suggests, best first; empty when it says nothing.
        predict: The source framework's own answer to given inputs.
        notes: What the intake saw that the user should know.
        suggest: Completes a request from the graph, where the source holds no signatures that fit.
        read_digest: Waits for the digest of the origin's files, which are read beside the work.
    """

    origin: Origin
    body: GraphBody | ObjectBody
    signatures: tuple[SignatureRequest, ...]
    predict: Predictor
    notes: tuple[Finding, ...] = field(default=())
    suggest: Suggester | None = None
    read_digest: Callable[[Progress | None], str] | None = None

    def complete_origin(self, progress: Progress | None = None) -> Origin:
        """Gives the origin with its digest.

        Args:
            progress: Told of the bytes that the digest has read.

        Raises:
            BrokenSourceError: A file of the source cannot be read, or changed while it was.
            UnsafeSourceError: A file lies outside the source's folder.
        """
        if self.read_digest is None:
            return self.origin
        return replace(self.origin, digest=self.read_digest(progress))
