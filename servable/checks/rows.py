"""Which signatures take any number of rows, and requests with other numbers of them.

What passes through: a signature and a first request in, requests with chosen rows out. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from servable.signature import Signature, TensorSpec

_MAX_REQUEST_BYTES = 256 << 20
_MAX_REQUEST_S = 5.0


def has_free_rows(spec: TensorSpec) -> bool:
    """True when the first dimension may be of any size."""
    return spec.shape is None or (len(spec.shape) > 0 and spec.shape[0] is None)


def count_rows(signature: Signature, inputs: Mapping[str, np.ndarray]) -> int | None:
    """Counts the rows of a request; None where inputs have none in common."""
    sizes = {
        inputs[key].shape[0] if inputs[key].ndim else None
        for key, spec in signature.inputs.items()
        if has_free_rows(spec)
    }
    return sizes.pop() if len(sizes) == 1 else None


def is_row_wise(signature: Signature) -> bool:
    """True when all inputs and outputs have a free first dimension, so that rows may be alone or together."""
    specs = [*signature.inputs.values(), *signature.outputs.values()]
    return bool(signature.inputs) and all(has_free_rows(spec) for spec in specs)


def take_rows(
    signature: Signature, inputs: Mapping[str, np.ndarray], rows: Sequence[int]
) -> dict[str, np.ndarray]:
    """Makes a request of the given rows; inputs of a fixed size stay as they are."""
    return {
        key: value[list(rows)] if has_free_rows(signature.inputs[key]) else value
        for key, value in inputs.items()
    }


def find_expense(
    inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], elapsed_s: float, factor: float
) -> str:
    """Says why a request of more rows would be too expensive; "" when it would not.

    Args:
        inputs: Of a request that was made.
        outputs: Its answer.
        elapsed_s: Its time.
        factor: How many times its rows are wanted; fewer rows are never too expensive.
    """
    if factor <= 1.0:
        return ""
    size_bytes = factor * sum(array.nbytes for array in (*inputs.values(), *outputs.values()))
    if size_bytes > _MAX_REQUEST_BYTES:
        return f"request and answer would take {size_bytes / 2**20:.0f} MB"
    if factor * elapsed_s > _MAX_REQUEST_S:
        return f"the request would take {factor * elapsed_s:.0f} s"
    return ""


def make_neighbour(inputs: Mapping[str, np.ndarray], signature: Signature) -> dict[str, np.ndarray]:
    """Makes another row out of a single one: floats halved and shifted, anything else as it is.

    Args:
        inputs: A request of one row.
        signature: Whose request it is.
    """
    return {
        key: (value * value.dtype.type(0.5) + value.dtype.type(0.25)).astype(value.dtype)
        if value.dtype.kind == "f" and has_free_rows(signature.inputs[key])
        else value
        for key, value in inputs.items()
    }


def join_rows(
    first: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray], signature: Signature
) -> dict[str, np.ndarray]:
    """Puts two requests into one, one's rows behind the other's."""
    return {
        key: np.concatenate([value, others[key]]) if has_free_rows(signature.inputs[key]) else value
        for key, value in first.items()
    }
