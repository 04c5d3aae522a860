"""ROOM 2: a wish may name a key of the source's own signatures in place of a tensor.

What passes through: the user's requests come in; the same go out, with a tensor of the graph wherever one of
those keys stood. TF2 calls its tensors `serving_default_x:0` and `StatefulPartitionedCall:0`, which
nobody knows; everybody knows the keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from servable.errors import SignatureError
from servable.graphs.graph import index_nodes, read_edge
from servable.model import GraphBody, TrainedModel
from servable.signature import DEFAULT_SIGNATURE, SignatureRequest


def name_tensors(model: TrainedModel, signatures: Sequence[SignatureRequest]) -> tuple[SignatureRequest, ...]:
    """Puts tensors in the place of keys.

    Args:
        model: One of its own signatures says which tensors the keys of a request stand for: the one of that
            name, else the only one that has them all, else `serving_default`.
        signatures: A name that is a node of the graph stays as it is.

    Raises:
        SignatureError: The keys stand for different tensors in different signatures.
    """
    if not isinstance(model.body, GraphBody) or not model.signatures:
        return tuple(signatures)
    nodes = index_nodes(model.body.meta_graph.graph_def)
    named = []
    for request in signatures:
        sides = [
            {key: tensor for key, tensor in side.items() if read_edge(tensor).node not in nodes}
            for side in (request.inputs, request.outputs)
        ]
        own = _choose_own(request, sides, model.signatures) if any(sides) else None
        if own is None:  # a name that is no key either is refused with all unknown tensors
            named.append(request)
            continue
        inputs = {**request.inputs, **{key: own.inputs[known] for key, known in sides[0].items()}}
        outputs = {**request.outputs, **{key: own.outputs[known] for key, known in sides[1].items()}}
        named.append(SignatureRequest(request.name, inputs, outputs, method=request.method))
    return tuple(named)


def _choose_own(
    request: SignatureRequest, keys: Sequence[Mapping[str, str]], signatures: Sequence[SignatureRequest]
) -> SignatureRequest | None:
    fitting = [
        own
        for own in signatures
        if set(keys[0].values()) <= own.inputs.keys() and set(keys[1].values()) <= own.outputs.keys()
    ]
    for name in (request.name, DEFAULT_SIGNATURE):
        same = [own for own in fitting if own.name == name]
        if same or len(fitting) == 1:
            return (same or fitting)[0]
    if fitting:
        raise SignatureError(
            f"Signature {request.name!r} names keys that several signatures of the source have.",
            expected="keys of one of them, or tensors: "
            + "; ".join(f"{own.name} has {_describe(own, keys)}" for own in fitting),
            received=", ".join(sorted({*keys[0].values(), *keys[1].values()})),
            advice="name the tensors: --input KEY=TENSOR --output KEY=TENSOR",
        )
    return None


def _describe(own: SignatureRequest, keys: Sequence[Mapping[str, str]]) -> str:
    pairs = [f"{key}={own.inputs[key]}" for key in keys[0].values()]
    return ", ".join(pairs + [f"{key}={own.outputs[key]}" for key in keys[1].values()])
