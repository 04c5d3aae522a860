"""PAI-EAS's warm-up file: one request as production sends it, which a service answers before it is ready.

What passes through: a SavedModel and a baseline come in, `warm_up.bin` goes out: the bytes of one
PredictRequest, read back and answered by the C++ runtime before it stays. EAS sends it several times, and
its inputs, signature and outputs should be those of real requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from servable.baseline import Baseline
from servable.deploy.warm_up import WarmUp, cut_requests, read_served_signatures, replay_request
from servable.errors import DeployError
from servable.formats.eas_messages import PredictRequest, decode_arrays, make_predict_request, read_message
from servable.runtime.outcome import Limits
from servable.runtime.session import open_session
from servable.signature import DEFAULT_SIGNATURE, Signature


def write_eas_warm_up(
    path: Path,
    saved_model_dir: Path,
    baseline: Baseline,
    *,
    signature_name: str = "",
    output_filter: Sequence[str] = (),
    limits: Limits | None = None,
) -> WarmUp:
    """Writes the baseline's first row as a request. What is private in it is then in the file as well.

    Args:
        path: The file to write.
        saved_model_dir: The model; it is not changed.
        baseline: Inputs by signature and key.
        signature_name: That production calls; empty for `choose_signature`'s.
        output_filter: Keys of the outputs that production asks for; none for all.
        limits: Of the runtime that answers it; generous by default.

    Returns:
        What was written, or why it was taken away again.

    Raises:
        DeployError: The model has no such signature or output.
        CheckError: TensorFlow's C++ library is not there, or EAS has no place for an input's type.
    """
    signature = choose_signature(read_served_signatures(saved_model_dir), signature_name)
    unknown = sorted(set(output_filter) - set(signature.outputs))
    if unknown:
        raise DeployError(
            "The output filter names what the signature does not give.",
            expected=", ".join(signature.outputs),
            received=", ".join(unknown),
            where=f"signature {signature.name}",
        )
    sample = baseline.samples.get(signature.name)
    if sample is None:
        return WarmUp(0, (), (f"the baseline has no inputs for signature {signature.name}",))
    inputs = next(iter(cut_requests(signature, sample.inputs)))
    request = make_predict_request(signature.name, inputs, output_filter=output_filter)
    path.write_bytes(request.SerializeToString(deterministic=True))
    faults = _find_faults(path, saved_model_dir, signature, inputs, limits or Limits())
    if faults:
        path.unlink()
        return WarmUp(0, (), faults)
    return WarmUp(1, (signature.name,))


def choose_signature(signatures: Mapping[str, Signature], wanted: str = "") -> Signature:
    """Chooses the signature that production calls: the one that is wanted, the default one, or the only one.

    Raises:
        DeployError: There is no such signature, or several of which none is the default.
    """
    callable_ones = {name: each for name, each in signatures.items() if not name.startswith("__")}
    if not wanted and DEFAULT_SIGNATURE not in callable_ones and len(callable_ones) == 1:
        return next(iter(callable_ones.values()))
    found = callable_ones.get(wanted or DEFAULT_SIGNATURE)
    if found is None:
        raise DeployError(
            "The model does not have the signature that is to be called.",
            expected=", ".join(callable_ones),
            received=wanted or f"none by name, and no {DEFAULT_SIGNATURE}",
            advice="name one in the options, eas.signature",
        )
    return found


def _find_faults(
    path: Path,
    saved_model_dir: Path,
    signature: Signature,
    inputs: Mapping[str, np.ndarray],
    limits: Limits,
) -> tuple[str, ...]:
    """Reads the file back as the platform would, and has the runtime answer it."""
    request = read_message(PredictRequest, path.read_bytes())
    found = decode_arrays(request.inputs)
    if found.keys() != inputs.keys() or request.signature_name != signature.name:
        return ("the warm-up request is not read back as it was written",)
    with open_session(saved_model_dir, limits=limits) as session:
        if session.load_fault is not None:
            return (f"the model does not load: {session.load_fault.message}",)
        faults = replay_request(session, signature, found, output_filter=tuple(request.output_filter))
        return tuple(faults)
