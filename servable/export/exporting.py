"""ROOM 2: the room's only door. A `TrainedModel` becomes a SavedModel, published in one move.

What passes through: the model, the signatures the user wants, and a destination that does not exist yet. What
was written is read back and compared with what was asked before anybody can see it.

Example:
    >>> request = SignatureRequest("predict_images", {"images": "x:0"}, {"scores": "y:0"})
    >>> export_servable(model, [request], Path("digits/1"))           # doctest: +SKIP
    Export(path=PosixPath('digits/1'), notes=())
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from servable.errors import ExportError, SignatureError
from servable.export.graphs import write_graph_model
from servable.export.naming import name_tensors
from servable.export.object_graphs import write_object_as_graph
from servable.export.objects import write_object_model
from servable.formats.checkpoints.bundle import check_extents, open_bundle
from servable.formats.publishing import publish_dir
from servable.graphs.saved_model_parts import MODEL_FILE, read_model_file
from servable.model import GraphBody, ObjectBody, Progress, Scalar, Suggestion, TrainedModel
from servable.report import Finding
from servable.signature import (
    DEFAULT_SIGNATURE,
    RESERVED_SIGNATURES,
    Signature,
    SignatureRequest,
    find_differences,
    read_signature,
)
from servable.targets.catalog import CURRENT, Target

# Value of `default_signature` that makes `serving_default` an alias of the first signature.
FIRST = "first"


@dataclass(frozen=True, slots=True)
class Export:
    """A SavedModel as it was written.

    Attributes:
        path: Its folder.
        notes: What was changed or let in on the way, and the user should know.
    """

    path: Path
    notes: tuple[Finding, ...] = ()


def export_servable(
    model: TrainedModel,
    signatures: Sequence[SignatureRequest],
    out_dir: Path,
    *,
    frozen: Mapping[str, Scalar] | None = None,
    default_signature: str | None = FIRST,
    target: Target | None = None,
    progress: Progress | None = None,
) -> Export:
    """Writes a SavedModel with tag `serve`.

    Args:
        model: From `open_source`.
        signatures: What to serve; where inputs or outputs are empty, the source's own are taken.
        out_dir: Must not exist, or be an empty folder. It appears complete or not at all.
        frozen: Training switches by tensor name and their value in serving.
        default_signature: Which signature `serving_default` repeats: "first", a name, or None for no alias. A
            signature that is itself called `serving_default` always stands.
        target: The runtime that is to load it: the graph is said in its words, and refused where that cannot
            be. None, like "current", for the TensorFlow that exports.
        progress: Told of the bytes of variables written.

    Returns:
        `out_dir`, and what there is to say about it.

    Raises:
        SignatureError: A signature does not fit the model, or a name is there twice.
        UnsafeSourceError: What would be served does more than compute.
        BrokenSourceError: Variables or files of the source are missing or damaged.
        ExportError: It could not be written, what was written is not what was asked, or the target cannot
            serve it.
    """
    completed = complete_requests(model, signatures, frozen)
    requests = completed.requests
    default_name = _choose_default(requests, default_signature)
    target = None if target is not None and target.name == CURRENT else target
    with publish_dir(out_dir) as scratch_dir:
        if isinstance(model.body, GraphBody):
            notes = write_graph_model(
                model.body,
                requests,
                default_name,
                scratch_dir,
                frozen=completed.frozen,
                # Only what is let in is told with it, and waiting for it takes long.
                source_digest=model.complete_origin().digest if model.body.allowed_ops else "",
                target=target,
                progress=progress,
            )
        else:
            _refuse_frozen(completed.frozen)
            notes = _write_object(model.body, requests, default_name, scratch_dir, target, progress)
        _compare_with_asked(scratch_dir, requests, default_name)
    return Export(out_dir, notes)


def complete_requests(
    model: TrainedModel,
    signatures: Sequence[SignatureRequest],
    frozen: Mapping[str, Scalar] | None = None,
) -> Suggestion:
    """Fills in what the user left to the source.

    Args:
        model: Its own signatures, best first, are what is filled in; where it has none, what its graph shows.
        signatures: The user's; none at all means all of the source's own.
        frozen: Training switches that the user froze.

    Returns:
        Explicit requests, all switches that are to be frozen, and notes on what was chosen.

    Raises:
        SignatureError: The source has nothing to fill in or it is not clear, or a name is there twice.
    """
    wanted = name_tensors(model, signatures) or model.signatures or (SignatureRequest(),)
    names = [request.name for request in wanted]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SignatureError(
            "A signature is asked for twice.",
            expected="each name once",
            received=", ".join(twice),
            advice="give each --signature a name of its own",
        )
    if model.suggest is None:
        requests = tuple(_complete_request(model, request) for request in wanted)
        return Suggestion(requests, frozen or {})
    if model.signatures:
        wanted = tuple(_complete_request(model, request) for request in wanted)
    return model.suggest(wanted, frozen=frozen or {})


def read_signatures(saved_model_dir: Path) -> dict[str, Signature]:
    """Reads the signatures of a SavedModel of this library, the format's own left out."""
    saved_model = read_model_file(saved_model_dir / MODEL_FILE)
    definitions = saved_model.meta_graphs[0].signature_def
    return {
        name: read_signature(name, definitions[name])
        for name in sorted(definitions)
        if name not in RESERVED_SIGNATURES
    }


def _complete_request(model: TrainedModel, request: SignatureRequest) -> SignatureRequest:
    if request.inputs and request.outputs:
        return request
    own = next((s for s in model.signatures if s.name == request.name), None)
    own = own or next(iter(model.signatures), None)
    inputs = request.inputs or (own.inputs if own else {})
    outputs = request.outputs or (own.outputs if own else {})
    if not outputs or not (inputs or own):
        raise SignatureError(
            f"Signature {request.name!r} lacks tensors, and the source suggests none.",
            expected="at least one --input KEY=TENSOR and one --output KEY=TENSOR",
            where=str(model.origin.path),
            advice=f"servable inspect {model.origin.path}  lists candidates",
        )
    return SignatureRequest(request.name, inputs, outputs, method=request.method)


def _choose_default(requests: Sequence[SignatureRequest], default_signature: str | None) -> str | None:
    names = [request.name for request in requests]
    if default_signature is None or DEFAULT_SIGNATURE in names:
        return None
    if default_signature == FIRST:
        return names[0]
    if default_signature not in names:
        raise SignatureError(
            f"{DEFAULT_SIGNATURE} cannot repeat a signature that is not exported.",
            expected=" or ".join(names),
            received=default_signature,
            advice="name one of these with --default-signature, or none",
        )
    return default_signature


def _refuse_frozen(frozen: Mapping[str, Scalar]) -> None:
    if frozen:
        raise SignatureError(
            "This source has no tensors to freeze; it is always exported in inference mode.",
            expected="no --set",
            received=", ".join(frozen),
            advice="leave --set out",
        )


def _write_object(
    body: ObjectBody,
    requests: Sequence[SignatureRequest],
    default_name: str | None,
    out_dir: Path,
    target: Target | None,
    progress: Progress | None,
) -> tuple[Finding, ...]:
    if target is not None and target.is_v1:
        return write_object_as_graph(body, requests, default_name, out_dir, target=target, progress=progress)
    return tuple(write_object_model(body, requests, default_name, out_dir, target=target, progress=progress))


def _compare_with_asked(
    saved_model_dir: Path, requests: Sequence[SignatureRequest], default_name: str | None
) -> None:
    found = read_signatures(saved_model_dir)
    differences = [
        f"{request.name}: {difference}"
        for request in requests
        for difference in (
            find_differences(request, found[request.name]) if request.name in found else ["missing"]
        )
    ]
    if default_name is not None and DEFAULT_SIGNATURE not in found:
        differences.append(f"{DEFAULT_SIGNATURE}: missing")
    prefix = saved_model_dir / "variables" / "variables"
    if prefix.parent.is_dir():
        differences += check_extents(open_bundle(prefix))
    if differences:
        raise ExportError(
            "What was written is not what was asked; nothing was published.",
            expected="every signature as asked, and every variable",
            received="; ".join(differences),
            advice="run the command again; where it fails again, please report it with this message",
        )
