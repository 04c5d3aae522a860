"""Check `signatures`: can a client call the model, under the names that were asked for?

What passes through: the signatures of the graph to serve, the user's requests, and the placeholders that
each signature's outputs depend on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from servable.checks.context import Check, Context, make_error, make_warning
from servable.checks.signature_ends import check_ends
from servable.graphs.graph import read_edge
from servable.report import Finding, Report
from servable.signature import (
    DEFAULT_SIGNATURE,
    EXAMPLE_INPUTS,
    METHOD_NAMES,
    METHOD_OUTPUTS,
    Signature,
    TensorSpec,
    find_differences,
)

_NAME = "signatures"


def _check_signatures(context: Context) -> Report:
    signatures = context.signatures
    findings: list[Finding] = []
    if not signatures:
        findings.append(
            make_error(
                _NAME,
                "the graph has no signature, so that no client can call it",
                where=str(context.model_path),
                advice="Export again with a signature, such as --signature serving_default with "
                "--input KEY=TENSOR and --output KEY=TENSOR.",
            )
        )
    elif DEFAULT_SIGNATURE not in signatures:
        findings.append(
            make_warning(
                _NAME,
                f"there is no {DEFAULT_SIGNATURE}: a request that names no signature fails",
                where="signatures " + ", ".join(signatures),
                advice="Export again with a default signature, or let every client send the name.",
            )
        )
    for request in context.requests:
        if request.name not in signatures:
            found = ", ".join(signatures) or "none"
            findings.append(
                make_error(
                    _NAME,
                    f"signature {request.name!r} was asked for and is not there: found {found}",
                    where=str(context.model_path),
                    advice="Export again with this signature, or ask for one that is there.",
                )
            )
            continue
        for difference in find_differences(request, signatures[request.name]):
            findings.append(make_error(_NAME, difference, where=f"signature {request.name}"))
    for signature in signatures.values():
        findings += _check_signature(signature, context)
    words = {name: _describe(signature) for name, signature in signatures.items()}
    specs = {name: _specify(signature) for name, signature in signatures.items()}
    return context.make_report(_NAME, findings, {"signatures": words, "signature_specs": specs})


def _check_signature(signature: Signature, context: Context) -> Iterator[Finding]:
    where = f"signature {signature.name}"
    # As it is written: servers compare the whole name, and "predict" alone is none.
    method = context.meta_graph.signature_def[signature.name].method_name
    if method not in METHOD_NAMES.values():
        expected = ", ".join(METHOD_NAMES.values())
        yield make_error(_NAME, f"method: expected {expected}, found {method!r}", where=where)
    if not signature.outputs:
        yield make_error(_NAME, "the signature has no outputs", where=where)
    for side, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for key, spec in specs.items():
            at = f"{where}, {side} {key}"
            if not spec.tensor:
                # Of a sparse or composite tensor only the parts have names; Predict takes dense ones.
                yield make_error(
                    _NAME, "the tensor is not a dense one: servers take and give dense ones", where=at
                )
            elif read_edge(spec.tensor).node not in context.reach.nodes:
                yield make_error(_NAME, f"the graph has no tensor {spec.tensor!r}", where=at)
            elif spec.dtype in ("resource", "variant"):
                yield make_error(_NAME, f"a {spec.dtype} has no values that a client could send", where=at)
    yield from check_ends(_NAME, signature, context.reach.nodes)
    yield from _check_method_keys(signature, where)
    yield from _find_unfed(signature, context, where)


def _check_method_keys(signature: Signature, where: str) -> Iterator[Finding]:
    legal = METHOD_OUTPUTS.get(signature.method)
    if legal is None:
        return
    if set(signature.inputs) != EXAMPLE_INPUTS or signature.inputs["inputs"].dtype != "string":
        expected = "one input 'inputs' of type string, that is serialized tf.Examples"
        yield make_error(
            _NAME, f"{signature.method} takes {expected}: found {_join(signature.inputs)}", where=where
        )
    if not signature.outputs.keys() <= legal:
        expected = " and ".join(sorted(legal))
        yield make_error(
            _NAME, f"{signature.method} gives {expected}: found {_join(signature.outputs)}", where=where
        )


def _find_unfed(signature: Signature, context: Context, where: str) -> Iterator[Finding]:
    for placed in context.reach.iterate_nodes(signature.name):
        node = placed.node
        if placed.place or node.op not in ("Placeholder", "PlaceholderV2"):
            continue
        message = f"the outputs need {node.name!r}, which no input feeds"
        advice = f"Make it an input, or freeze it to its inference value (--set {node.name}:0=VALUE)."
        # Inside a branch of a v1 conditional it may never be asked for.
        make = make_warning if any(text.startswith("^") for text in node.input) else make_error
        yield make(_NAME, message, where=where, advice=advice)


def _describe(signature: Signature) -> str:
    return f"{_join(signature.inputs)} -> {_join(signature.outputs)} ({signature.method})"


def _specify(signature: Signature) -> dict[str, Any]:
    """Gives a signature as plain JSON values."""
    sides = {
        side: {
            key: {"dtype": spec.dtype, "shape": None if spec.shape is None else list(spec.shape)}
            for key, spec in ends.items()
        }
        for side, ends in (("inputs", signature.inputs), ("outputs", signature.outputs))
    }
    return {"method": signature.method, **sides}


def _join(specs: Mapping[str, TensorSpec]) -> str:
    return ", ".join(f"{key}: {spec}" for key, spec in specs.items()) or "nothing"


CHECK = Check(_NAME, _check_signatures, needs=("tags",))
