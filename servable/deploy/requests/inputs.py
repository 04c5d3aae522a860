"""Values for a request: the baseline's first rows, else made-up ones.

What passes through: a SavedModel comes in, its signatures go out; a signature and a baseline come in, arrays
by serving key go out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from servable.baseline import Baseline, Sample, invent_inputs
from servable.deploy.requests.example import EXAMPLES_REMARK
from servable.errors import BrokenSourceError, SettingsError
from servable.graphs.saved_model_parts import SERVE_TAG, find_model_file, read_model_file
from servable.signature import RESERVED_SIGNATURES, Signature, read_signature


@dataclass(frozen=True, slots=True)
class RequestValues:
    """What a request sends.

    Attributes:
        inputs: Arrays by serving key; strings as object arrays of bytes.
        notes: Where they are from, if that is worth knowing.
    """

    inputs: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()


def read_served_signatures(saved_model_dir: Path) -> dict[str, Signature]:
    """Reads the signatures that clients can ask, by name.

    Raises:
        BrokenSourceError: The file is missing or damaged, or no graph in it is tagged {serve}.
    """
    path = find_model_file(saved_model_dir)
    for graph in read_model_file(path).meta_graphs:
        if set(graph.meta_info_def.tags) == {SERVE_TAG}:
            names = sorted(set(graph.signature_def) - RESERVED_SIGNATURES)
            return {name: read_signature(name, graph.signature_def[name]) for name in names}
    raise BrokenSourceError(
        "This SavedModel has no graph that a server takes.",
        expected=f"one whose only tag is {SERVE_TAG}",
        where=str(path),
        advice="servable inspect  says what to type to convert it",
    )


def choose_values(
    signature: Signature, signatures: Mapping[str, Signature], *, baseline: Baseline | None, rows: int
) -> RequestValues:
    """Chooses what to send.

    Args:
        signature: Whom.
        signatures: All of the model: one with the same inputs under another name lends its sample.
        baseline: Of the model.
        rows: How many; a sample without rows in common is sent as it is.

    Raises:
        SettingsError: The baseline has other inputs than the signature, or none can be made up.
    """
    sample = _find_sample(signature, signatures, baseline)
    if sample is None or baseline is None:
        remarks = () if signature.method == "predict" else (EXAMPLES_REMARK,)
        return RequestValues(invent_inputs(signature, batch_size=rows), ("The values are made up.", *remarks))
    if sample.inputs.keys() != signature.inputs.keys():
        raise SettingsError(
            "The baseline has other inputs than the model.",
            expected=", ".join(sorted(signature.inputs)) or "none",
            received=", ".join(sorted(sample.inputs)) or "none",
            where=f"signature {signature.name}",
        )
    notes = ("The values are the baseline's, which were made up.",) if baseline.invented else ()
    free = {key for key, spec in signature.inputs.items() if spec.shape is None or spec.shape[:1] == (None,)}
    sizes = {len(sample.inputs[key]) for key in free if sample.inputs[key].ndim}
    if len(sizes) == 1:
        cut = {
            key: value[:rows] if key in free and value.ndim else value for key, value in sample.inputs.items()
        }
        return RequestValues(cut, notes)
    return RequestValues(sample.inputs, notes)


def _find_sample(
    signature: Signature, signatures: Mapping[str, Signature], baseline: Baseline | None
) -> Sample | None:
    samples = {} if baseline is None else baseline.samples
    if signature.name in samples:
        return samples[signature.name]
    twins = (name for name, own in signatures.items() if name in samples and own.inputs == signature.inputs)
    return next((samples[name] for name in twins), None)
