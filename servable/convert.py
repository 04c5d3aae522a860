"""The corridor: open -> export -> baseline -> check. Every front door (command line, TFX) walks through here.

What passes through: a path and the user's options come in; a SavedModel, the baseline that it is to be
compared with, and where it all comes from go out.

Example:
    >>> conversion = convert_source(Path("train"), Path("out/1"))     # doctest: +SKIP
    >>> check_conversion(conversion).passed                           # doctest: +SKIP
    True
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from servable.baseline import Baseline, Sample, invent_inputs, load_inputs
from servable.checks.made_up_examples import invent_examples
from servable.checks.policy import CheckPolicy
from servable.checks.reach import GraphReach
from servable.checks.suite import check_servable
from servable.errors import ServableError
from servable.export.exporting import FIRST, complete_requests, export_servable, read_signatures
from servable.formats.digest import digest_tree
from servable.graphs.saved_model_parts import MODEL_FILE, read_model_file
from servable.model import Arrays, Origin, Progress, Scalar, TrainedModel
from servable.report import Finding, Report, Severity
from servable.signature import Signature, SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions
from servable.targets.catalog import CURRENT, find_target


@dataclass(frozen=True, slots=True)
class ConversionOptions:
    """What the user says about a conversion.

    Attributes:
        signatures: What to serve; empty for the source's own, or for what its graph shows.
        frozen: Training switches by tensor name and their value in serving.
        source: About the source itself.
        inputs: `.npz` of inputs for the baseline; made up when None.
        default_signature: What `serving_default` repeats: "first", a name, or None for nothing.
        make_baseline: Whether the source itself is run. It then holds all of its variables in memory.
        target: The runtime that is to serve the result, as in `servable.targets.catalog`.

    Raises:
        SettingsError: There is no such target.
    """

    signatures: tuple[SignatureRequest, ...] = ()
    frozen: Mapping[str, Scalar] = field(default_factory=dict)
    source: SourceOptions = field(default_factory=SourceOptions)
    inputs: Path | None = None
    default_signature: str | None = FIRST
    make_baseline: bool = True
    target: str = CURRENT

    def __post_init__(self) -> None:
        find_target(self.target)


@dataclass(frozen=True, slots=True)
class Conversion:
    """A SavedModel and all that is known of it.

    Attributes:
        saved_model_dir: Its folder.
        origin: Where it comes from.
        requests: What was asked, completed from the source.
        signatures: What it offers, by name.
        baseline: Inputs and the source's own outputs; without samples where the source could not be run.
        digest: BLAKE3 over the SavedModel's files.
        notes: What was seen on the way.
        allowed_ops: Ops that the user let in.
        address: Where it was published on another machine; "" when it stays here.
        target: The runtime that it is for, by its full name.
    """

    saved_model_dir: Path
    origin: Origin
    requests: tuple[SignatureRequest, ...]
    signatures: Mapping[str, Signature]
    baseline: Baseline
    digest: str
    notes: tuple[Finding, ...]
    allowed_ops: frozenset[str] = frozenset()
    address: str = ""
    target: str = CURRENT


def convert_source(
    source: Path, out_dir: Path, options: ConversionOptions | None = None, *, progress: Progress | None = None
) -> Conversion:
    """Turns a trained model into a SavedModel.

    Args:
        source: A model file, a checkpoint in any spelling, or a folder that holds one.
        out_dir: Must not exist, or be an empty folder.
        options: What the user says about it.
        progress: Told of long reads and writes.

    Raises:
        SourceError: The source is unknown, broken or unsafe.
        SignatureError: A signature does not fit the model.
        ExportError: The SavedModel could not be written, or its target cannot serve it. Nothing is left
            behind.
        SettingsError: A file of the user's is wrong.
    """
    chosen = options or ConversionOptions()
    target = find_target(chosen.target)
    model = open_source(source, chosen.source, progress=progress)
    completed = complete_requests(model, chosen.signatures, chosen.frozen)
    requests = completed.requests
    export = export_servable(
        model,
        requests,
        out_dir,
        frozen=completed.frozen,
        default_signature=chosen.default_signature,
        target=target,
        progress=progress,
    )
    signatures = read_signatures(out_dir)
    baseline, notes = Baseline({}), model.notes + completed.notes + export.notes
    if chosen.make_baseline:
        baseline, more = make_baseline(
            model, requests, signatures, out_dir, frozen=completed.frozen, inputs=chosen.inputs
        )
        notes += more
    saved_model_digest = digest_tree(out_dir)  # while the source is still being read for its own
    try:
        origin = model.complete_origin(progress)
    except ServableError:
        shutil.rmtree(out_dir, ignore_errors=True)  # of a source that cannot be named again
        raise
    return Conversion(
        out_dir,
        origin,
        requests,
        signatures,
        baseline,
        saved_model_digest,
        notes,
        chosen.source.allowed_ops,
        target=target.name,
    )


def make_baseline(
    model: TrainedModel,
    requests: Sequence[SignatureRequest],
    signatures: Mapping[str, Signature],
    saved_model_dir: Path,
    *,
    frozen: Mapping[str, Scalar],
    inputs: Path | None,
) -> tuple[Baseline, tuple[Finding, ...]]:
    """Lets the source answer, so that the candidate can be compared.

    Args:
        model: The source.
        requests: Explicit signatures.
        signatures: What was exported, for dtypes and shapes.
        saved_model_dir: What was exported, for what its parsers of tf.Examples ask for.
        frozen: Training switches and their values.
        inputs: The user's `.npz`, or None to make inputs up.

    Returns:
        The baseline, and notes on signatures that it could not be made for.

    Raises:
        ServableError: The source cannot be run on inputs that the user gave.
    """
    asked = {request.name: signatures[request.name] for request in requests}
    given = load_inputs(inputs, asked) if inputs is not None else {}
    samples: dict[str, Sample] = {}
    notes: list[Finding] = []
    for request in requests:
        arrays: Arrays = given.get(request.name) or {}
        if inputs is not None and not arrays:
            notes.append(_note_missing(request.name, "the file of inputs has none for it"))
            continue
        try:
            arrays = arrays or _invent_inputs(asked[request.name], saved_model_dir)
            samples[request.name] = Sample(arrays, model.predict(request, arrays, frozen=frozen))
        except ServableError as error:
            if inputs is not None:
                raise
            notes.append(_note_missing(request.name, f"{error.problem} {error.received}".strip()))
    return Baseline(samples, invented=inputs is None), tuple(notes)


def check_conversion(
    conversion: Conversion, *, policy: CheckPolicy | None = None, progress: Progress | None = None
) -> Report:
    """Checks a fresh conversion against what was asked and against its source's own outputs.

    What the user let in is no error here either, and the target is the one that the model is for.

    Raises:
        CheckError: A check could not be made.
    """
    rules = policy or CheckPolicy()
    rules = dataclasses.replace(
        rules,
        allowed_ops=rules.allowed_ops | conversion.allowed_ops,
        # A model for no target in particular may still be asked whether one of them runs it.
        target=conversion.target if conversion.target != CURRENT else rules.target,
    )
    return check_servable(
        conversion.saved_model_dir,
        signatures=conversion.requests,
        baseline=conversion.baseline if conversion.baseline.samples else None,
        policy=rules,
        progress=progress,
    )


def _invent_inputs(signature: Signature, saved_model_dir: Path) -> Arrays:
    examples = None
    if any(spec.dtype == "string" for spec in signature.inputs.values()):
        (meta_graph,) = read_model_file(saved_model_dir / MODEL_FILE).meta_graphs
        examples = invent_examples(signature, GraphReach(meta_graph))
    return examples or invent_inputs(signature)


def _note_missing(name: str, reason: str) -> Finding:
    return Finding(
        "baseline",
        Severity.WARNING,
        f"no baseline for signature {name}: {reason}",
        advice="give inputs of your own with --inputs FILE.npz",
    )
