"""Warm-up requests: what TensorFlow Serving answers before it takes a client's first request.

What passes through: a copy of a SavedModel and a baseline come in, a file in `assets.extra` goes out. A
server that cannot answer one of its requests refuses the whole model, so that the file stays only if it was
read back and the C++ runtime has answered everything in it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from servable.baseline import Baseline
from servable.deploy.predict_requests import make_request, read_request
from servable.errors import CheckError
from servable.formats.protos import decode_message
from servable.formats.serving_protos import PredictionLog
from servable.formats.tfrecords import mask_checksum, read_record_file
from servable.graphs.saved_model_parts import SERVE_TAG, find_model_file, read_model_file
from servable.runtime.outcome import Call, Limits
from servable.runtime.session import Session, open_session
from servable.signature import Signature, read_signature

# Where TensorFlow Serving looks for it (servables/tensorflow/saved_model_warmup_util.cc).
WARM_UP_FILE: Final = Path("assets.extra") / "tf_serving_warmup_requests"
# A server refuses a model with more than 1000; each signature gets two.
_MAX_SIGNATURES: Final = 500
_MAX_ROWS: Final = 32


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What became of the requests.

    Attributes:
        requests: How many were written and answered.
        signatures: Whose they are.
        faults: Why there is no file; empty when it is there and proven.
    """

    requests: int
    signatures: tuple[str, ...]
    faults: tuple[str, ...] = ()


def add_warm_up(saved_model_dir: Path, baseline: Baseline, *, limits: Limits | None = None) -> WarmUp:
    """Puts warm-up requests into a SavedModel.

    They are the baseline's inputs: one request with a single row, and one with up to 32, of each signature.
    What is private in these inputs is then in the model as well.

    Args:
        saved_model_dir: A copy that may be changed. Warm-up requests that it has already are replaced.
        baseline: Inputs by signature and key.
        limits: Of the runtime that answers them; generous by default.

    Returns:
        What was written, or why it was taken away again.

    Raises:
        SourceError: The folder holds no readable SavedModel.
        CheckError: TensorFlow's C++ library is not there.

    Example:
        >>> add_warm_up(Path("stamped/1"), load_baseline(Path("baseline.npz"))).requests
        2
    """
    signatures = read_served_signatures(saved_model_dir)
    requests = [
        (name, inputs)
        for name, sample in list(baseline.samples.items())[:_MAX_SIGNATURES]
        if name in signatures
        for inputs in cut_requests(signatures[name], sample.inputs)
    ]
    if not requests:
        return WarmUp(0, (), ("the baseline has no inputs for any signature of the model",))
    path = saved_model_dir / WARM_UP_FILE
    try:
        _write_records(path, [make_request(signatures[name], inputs) for name, inputs in requests])
        faults = tuple(_find_faults(saved_model_dir, signatures, requests, limits or Limits()))
    except CheckError:
        path.unlink(missing_ok=True)
        raise
    if faults:
        path.unlink()
        return WarmUp(0, (), faults)
    return WarmUp(len(requests), tuple(dict.fromkeys(name for name, _ in requests)))


def read_served_signatures(saved_model_dir: Path) -> dict[str, Signature]:
    """Reads the signatures of the graph that a server takes, by name.

    Raises:
        BrokenSourceError: There is no readable SavedModel.
    """
    graphs = read_model_file(find_model_file(saved_model_dir)).meta_graphs
    return {
        name: read_signature(name, graph.signature_def[name])
        for graph in graphs
        if set(graph.meta_info_def.tags) == {SERVE_TAG}
        for name in graph.signature_def
    }


def cut_requests(
    signature: Signature, inputs: Mapping[str, np.ndarray]
) -> Iterator[Mapping[str, np.ndarray]]:
    """Cuts a sample down to one row, and to a few; one without rows in common is taken as it is.

    Args:
        signature: Whose inputs they are.
        inputs: Arrays by serving key.
    """
    free = [key for key, spec in signature.inputs.items() if spec.shape and spec.shape[0] is None]
    sizes = {inputs[key].shape[0] for key in free if key in inputs and inputs[key].ndim}
    if len(sizes) != 1 or (rows := sizes.pop()) < 1:
        yield inputs
        return
    for count in dict.fromkeys((1, min(rows, _MAX_ROWS))):
        yield {key: value[:count] if key in free else value for key, value in inputs.items()}


def _write_records(path: Path, messages: list[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            for message in messages:
                data = message.SerializeToString(deterministic=True)
                length = struct.pack("<Q", len(data))
                for part in (length, data):
                    file.write(part + mask_checksum(part).to_bytes(4, "little"))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _find_faults(
    saved_model_dir: Path,
    signatures: Mapping[str, Signature],
    requests: list[tuple[str, Mapping[str, np.ndarray]]],
    limits: Limits,
) -> Iterator[str]:
    """Reads the file back as a server would, and has the runtime answer it."""
    path = saved_model_dir / WARM_UP_FILE
    logs = [decode_message(PredictionLog, data, where=str(path)) for data in read_record_file(path)]
    found = [read_request(log.predict_log.request) for log in logs]
    if len(found) != len(requests) or not all(map(_is_same, found, requests)):
        yield "the warm-up requests are not read back as they were written"
        return
    with open_session(saved_model_dir, limits=limits) as session:
        if session.load_fault is not None:
            yield f"the model with warm-up requests does not load: {session.load_fault.message}"
            return
        for name, inputs in found:
            yield from replay_request(session, signatures[name], inputs)


def replay_request(
    session: Session,
    signature: Signature,
    inputs: Mapping[str, np.ndarray],
    *,
    output_filter: Sequence[str] = (),
) -> Iterator[str]:
    """Asks the runtime what a server is to be asked.

    Args:
        session: With the model.
        signature: One of the model's.
        inputs: Arrays by serving key.
        output_filter: Keys of the outputs that are wanted; none for all.

    Yields:
        Why it is not answered.
    """
    feeds = {signature.inputs[key].tensor: value for key, value in inputs.items()}
    wanted = output_filter or tuple(signature.outputs)
    result = session.run(Call(feeds, tuple(signature.outputs[key].tensor for key in wanted)))
    if result.fault is not None:
        message = " ".join(result.fault.message.split())
        yield f"a warm-up request of signature {signature.name} fails: {message}"


def _is_same(
    found: tuple[str, Mapping[str, np.ndarray]], written: tuple[str, Mapping[str, np.ndarray]]
) -> bool:
    (name, inputs), (wanted, values) = found, written
    return (
        name == wanted
        and inputs.keys() == values.keys()
        and all(
            _list_values(inputs[key]) == _list_values(value) and inputs[key].shape == value.shape
            for key, value in values.items()
        )
    )


def _list_values(array: np.ndarray) -> bytes | list[bytes]:
    """Gives what makes two arrays the same: NaN is, too."""
    if array.dtype.kind not in "OSU":
        return array.tobytes()
    return [item.encode() if isinstance(item, str) else bytes(item) for item in array.ravel().tolist()]
