"""Ends of a signature beside the graph: are they declared as the graph has them, under keys that travel?

What passes through: one signature and the nodes of the graph come in, findings for `signatures` go out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from servable.checks.context import make_error, make_warning
from servable.graphs.graph import PLACEHOLDER_OPS, normalize_tensor, read_edge
from servable.report import Finding
from servable.signature import DTYPE_NAMES, Signature, TensorSpec


def check_ends(check: str, signature: Signature, nodes: Mapping[str, Any]) -> Iterator[Finding]:
    """Finds ends that no client can use as they are declared.

    Args:
        check: Name to put into the findings.
        signature: Of the model.
        nodes: Of the main graph, by name.
    """
    where = f"signature {signature.name}"
    for side, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for key, spec in specs.items():
            at = f"{where}, {side} {key}"
            yield from _check_key(check, key, at)
            node = nodes.get(read_edge(spec.tensor).node) if spec.tensor else None
            if node is not None:
                yield from _check_tensor(check, spec, node, at, is_input=side == "input")
    fed = Counter(normalize_tensor(spec.tensor) for spec in signature.inputs.values() if spec.tensor)
    for tensor, count in fed.items():
        if count > 1:
            keys = ", ".join(k for k, s in signature.inputs.items() if normalize_tensor(s.tensor) == tensor)
            message = f"the inputs {keys} all feed {tensor!r}: the runtime takes a tensor once"
            yield make_error(check, message, where=where, advice="Keep one of these keys.")


def _check_key(check: str, key: str, at: str) -> Iterator[Finding]:
    if not key:
        yield make_error(check, "the key is empty: no client can name it", where=at)
    elif key != key.strip() or not key.isprintable():
        message = f"the key {key!r} has characters that clients and JSON requests easily lose"
        yield make_warning(check, message, where=at, advice="Name it with letters, digits and _.")


def _check_tensor(check: str, spec: TensorSpec, node: Any, at: str, *, is_input: bool) -> Iterator[Finding]:
    output = read_edge(spec.tensor).output
    if output and node.op in PLACEHOLDER_OPS:
        yield make_error(check, f"{node.name!r} has no output {output}", where=at)
    if node.op not in PLACEHOLDER_OPS:
        return
    dtype = DTYPE_NAMES.get(node.attr["dtype"].type)
    if dtype is not None and dtype != spec.dtype:
        # A server checks requests by the declaration, and the graph then refuses what has passed.
        message = f"type: declared {spec.dtype}, the graph has {dtype} ({node.op} {node.name!r})"
        yield make_error(check, message, where=at, advice="Export again; no request can fit both.")
    if is_input and (words := _find_misfit(spec, node)):
        message = f"shape: declared {spec}, the graph has {words} ({node.op} {node.name!r})"
        yield make_error(check, message, where=at, advice="Export again; no request can fit both.")


def _find_misfit(spec: TensorSpec, node: Any) -> str:
    """Gives the graph's shape where no array fits it and the declaration; "" where some do."""
    # Before TensorFlow 1.5 an empty shape stood for any, too; a declaration that has a rank is right then.
    shape = node.attr["shape"].shape if "shape" in node.attr else None
    if shape is None or shape.unknown_rank or spec.shape is None or not shape.dim:
        return ""
    sizes = [dim.size for dim in shape.dim]
    fits = len(sizes) == len(spec.shape) and all(
        got < 0 or want is None or got == want for got, want in zip(sizes, spec.shape, strict=True)
    )
    return "" if fits else f"[{', '.join('?' if size < 0 else str(size) for size in sizes)}]"
