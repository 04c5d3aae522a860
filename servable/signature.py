"""Signatures as plain values, a word that every room may use.

What passes through: a user's wish (`SignatureRequest`) comes in from the command line, YAML or JSON, and
what a SavedModel really offers (`Signature`) comes in from a SignatureDef. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from servable.errors import SignatureError

DEFAULT_SIGNATURE = "serving_default"

# Signatures that the SavedModel format keeps for itself (tensorflow/cc/saved_model/constants.h).
RESERVED_SIGNATURES = frozenset({"__saved_model_init_op", "__saved_model_train_op"})

# Method names of tensorflow/cc/saved_model/signature_constants.h; serving compares them literally.
METHOD_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "predict": "tensorflow/serving/predict",
        "classify": "tensorflow/serving/classify",
        "regress": "tensorflow/serving/regress",
    }
)

# Keys that classify and regress prescribe, from the same header; servers look for them literally
# (tensorflow_serving/servables/tensorflow/{classifier,regressor}.cc).
EXAMPLE_INPUTS = frozenset({"inputs"})
METHOD_OUTPUTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {"classify": frozenset({"classes", "scores"}), "regress": frozenset({"outputs"})}
)

# Numbers of enum DataType in tensorflow/core/framework/types.proto. A ref type is its base plus 100.
DTYPE_NAMES: Mapping[int, str] = MappingProxyType(
    {
        1: "float32",
        2: "float64",
        3: "int32",
        4: "uint8",
        5: "int16",
        6: "int8",
        7: "string",
        8: "complex64",
        9: "int64",
        10: "bool",
        11: "qint8",
        12: "quint8",
        13: "qint32",
        14: "bfloat16",
        15: "qint16",
        16: "quint16",
        17: "uint16",
        18: "complex128",
        19: "float16",
        20: "resource",
        21: "variant",
        22: "uint32",
        23: "uint64",
        24: "float8_e5m2",
        25: "float8_e4m3fn",
        29: "int4",
        30: "uint4",
    }
)
DTYPE_NUMBERS: Mapping[str, int] = MappingProxyType({name: number for number, name in DTYPE_NAMES.items()})

Shape = tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One end of a signature.

    Attributes:
        dtype: TensorFlow's name of the type, such as "float32" or "string".
        shape: Sizes, None for a free one; None as a whole when even the rank is free.
        tensor: Where it sits: a graph tensor ("x:0") or a Keras input or output name.
    """

    dtype: str
    shape: Shape
    tensor: str = ""

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.dtype} [any rank]"
        return f"{self.dtype} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature as it is: every key with its type, shape and tensor."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method: str = "predict"


@dataclass(frozen=True, slots=True)
class SignatureRequest:
    """A signature as the user wants it.

    Attributes:
        name: Such as "serving_default" or "predict_images".
        inputs: Serving key to tensor of the source; empty for all that the source names itself.
        outputs: Likewise.
        method: "predict", "classify" or "regress".

    Raises:
        SignatureError: The name is empty or reserved, a key or tensor is empty, or classify or regress is
            asked with keys that serving does not accept for it.
    """

    name: str = DEFAULT_SIGNATURE
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    method: str = "predict"

    def __post_init__(self) -> None:
        if not self.name or self.name in RESERVED_SIGNATURES:
            raise SignatureError(
                "This signature name cannot be used.",
                expected="a name that is not empty and not " + " or ".join(sorted(RESERVED_SIGNATURES)),
                received=repr(self.name),
                advice="choose another, such as predict_images",
            )
        if self.method not in METHOD_NAMES:
            raise SignatureError(
                f"Signature {self.name!r} has an unknown method.",
                expected=", ".join(METHOD_NAMES),
                received=repr(self.method),
                advice="name one of these, or leave it out for predict",
            )
        for side, pairs in (("input", self.inputs), ("output", self.outputs)):
            for key, tensor in pairs.items():
                if not key or not tensor:
                    raise SignatureError(
                        f"Signature {self.name!r} has an empty {side} key or tensor.",
                        expected="KEY=TENSOR",
                        received=f"{key}={tensor}",
                    )
        self._check_method_keys()

    def _check_method_keys(self) -> None:
        allowed = METHOD_OUTPUTS.get(self.method)
        if allowed is None:
            return
        for side, keys, legal in (("input", self.inputs, EXAMPLE_INPUTS), ("output", self.outputs, allowed)):
            if keys and not set(keys) <= legal:
                raise SignatureError(
                    f"Method {self.method} of signature {self.name!r} does not take these {side} keys.",
                    expected=" and ".join(sorted(legal)),
                    received=", ".join(sorted(keys)),
                    advice="name the keys so, or leave the method at predict",
                )


def read_signature(name: str, signature_def: Any) -> Signature:
    """Turns a SignatureDef message, of any protobuf pool, into a `Signature`."""
    methods = {long: short for short, long in METHOD_NAMES.items()}
    return Signature(
        name=name,
        inputs={key: _read_tensor_info(signature_def.inputs[key]) for key in sorted(signature_def.inputs)},
        outputs={key: _read_tensor_info(signature_def.outputs[key]) for key in sorted(signature_def.outputs)},
        method=methods.get(signature_def.method_name, signature_def.method_name),
    )


def _read_tensor_info(info: Any) -> TensorSpec:
    dtype = DTYPE_NAMES.get(info.dtype, f"dtype {info.dtype}")
    if info.tensor_shape.unknown_rank:
        return TensorSpec(dtype, None, info.name)
    shape = tuple(None if dim.size < 0 else int(dim.size) for dim in info.tensor_shape.dim)
    return TensorSpec(dtype, shape, info.name)


def read_requests(
    signatures: Mapping[str, Any], *, where: str = "signatures"
) -> tuple[SignatureRequest, ...]:
    """Reads wishes from plain data, ``{name: {inputs: {key: tensor}, outputs: {...}, method: predict}}``.

    Raises:
        SignatureError: An entry has an unknown key or a value of the wrong type.
    """
    requests = []
    for name, given in signatures.items():
        body = given or {}
        unknown = sorted(set(body) - {"inputs", "outputs", "method"})
        if unknown:
            raise SignatureError(
                f"Signature {name!r} has unknown keys.",
                expected="inputs, outputs, method",
                received=", ".join(unknown),
                where=where,
            )
        requests.append(
            SignatureRequest(
                name=name,
                inputs=dict(body.get("inputs") or {}),
                outputs=dict(body.get("outputs") or {}),
                method=body.get("method", "predict"),
            )
        )
    return tuple(requests)


def find_differences(asked: SignatureRequest, found: Signature) -> list[str]:
    """Lists in plain words where a written signature is not what was asked; empty when it is.

    A side whose wish is empty is not compared: the source's own keys were wanted there.
    """
    differences = []
    for side, wanted, got in (
        ("input", asked.inputs, found.inputs),
        ("output", asked.outputs, found.outputs),
    ):
        if wanted and set(wanted) != set(got):
            differences.append(f"{side} keys: asked {_join(wanted)}, found {_join(got)}")
    if asked.method != found.method:
        differences.append(f"method: asked {asked.method}, found {found.method}")
    return differences


def _join(keys: Iterable[str]) -> str:
    return ", ".join(sorted(keys)) or "none"
