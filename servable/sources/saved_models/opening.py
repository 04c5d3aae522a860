"""ROOM 1: a SavedModel of any era, or a TF-Hub v1 module, becomes a `TrainedModel`.

What passes through: a folder comes in. Its graph is read as a plain message and brought into one form: which
variable lies under which key, which node takes which asset, what a loader runs at start-up. The original is
run only to make a baseline, in the C++ runtime. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from servable.errors import BrokenSourceError, SignatureError
from servable.formats.checkpoints.bundle import check_extents, open_bundle
from servable.formats.files import require_inside
from servable.graphs.call_graph import require_bounded
from servable.graphs.graph import VARIABLE_OPS
from servable.graphs.graph_heads import begins_like_graph
from servable.graphs.saved_bodies import read_graph_body
from servable.graphs.saved_model_parts import find_model_file, read_model_file
from servable.model import Scalar, Suggestion, TrainedModel
from servable.report import Finding, Severity
from servable.signature import SignatureRequest
from servable.sources.choosing.completing import GraphSuggester
from servable.sources.detect import Kind
from servable.sources.options import SourceOptions
from servable.sources.resolving import Source, describe_origin
from servable.sources.running.saved_model import choose_runner
from servable.sources.saved_models.frozen_graph import open_frozen_graph
from servable.sources.saved_models.graphs import choose_meta_graph
from servable.sources.saved_models.signatures import read_saved_signatures

_EXTRA_ASSETS = "assets.extra"  # tensorflow/cc/saved_model/constants.h; such as requests for warming up


def open_saved_model(source: Source, options: SourceOptions) -> TrainedModel:
    """Reads the graph of a SavedModel.

    Args:
        source: Of kind SAVED_MODEL.
        options: What the user says about it; `tags` choose the graph.

    Raises:
        BrokenSourceError: The graph is damaged or missing, or variables are.
        SettingsError: The tags that were asked for are not there.
        UnsafeSourceError: A file of it lies outside the folder, or its functions call one another endlessly.
    """
    model_path = find_model_file(source.path)
    require_inside(model_path, source.path)
    if begins_like_graph(model_path):
        # A frozen graph under this name is what people try first when they are asked for a saved_model.pb.
        return open_frozen_graph(_name_frozen(source, model_path), options)
    meta_graph, notes = choose_meta_graph(read_model_file(model_path), options.tags, where=model_path)
    require_bounded(meta_graph.graph_def, where=str(model_path))

    prefix = _find_variables(source.path, meta_graph)
    body = read_graph_body(
        source.path,
        meta_graph,
        prefix,
        assets=options.assets,
        allowed_ops=options.allowed_ops,
        keep_training_ops=options.keep_training_ops,
    )
    signatures, more = read_saved_signatures(meta_graph)
    version = meta_graph.meta_info_def.tensorflow_version
    origin = describe_origin(source, framework="tensorflow", framework_version=version)
    return TrainedModel(
        origin=origin,
        body=body,
        signatures=signatures,
        predict=choose_runner(source.path, body),
        notes=(*source.notes, *notes, *more, *_note_extras(source.path)),
        suggest=partial(_complete_requests, GraphSuggester(meta_graph, source.path), bool(signatures)),
    )


def _complete_requests(
    suggester: GraphSuggester,
    has_signatures: bool,
    requests: Sequence[SignatureRequest],
    *,
    frozen: Mapping[str, Scalar],
) -> Suggestion:
    """Completes what the user began; who exports without a signature has to say what is to be served."""
    if not has_signatures and any(not (request.inputs or request.outputs) for request in requests):
        found = suggester.candidates
        raise SignatureError(
            "The SavedModel has no signature, so that nothing says what it takes and gives.",
            expected="--input KEY=TENSOR and --output KEY=TENSOR",
            received="it offers inputs "
            + (", ".join(f"{end.tensor} ({end.reason})" for end in found.inputs) or "none")
            + " and outputs "
            + (", ".join(f"{end.tensor} ({end.reason})" for end in found.outputs) or "none"),
            advice=suggester.spell_command(),
        )
    return suggester(requests, frozen=frozen)


def _find_variables(folder: Path, meta_graph: Any) -> Path | None:
    """Finds the checkpoint in a SavedModel; None where it has no variables.

    Raises:
        BrokenSourceError: The graph has variables and a saver, but their files are missing or short.
    """
    prefix = folder / "variables" / "variables"
    if not prefix.with_name(prefix.name + ".index").is_file():
        has_variables = any(node.op in VARIABLE_OPS for node in meta_graph.graph_def.node)
        if has_variables and meta_graph.saver_def.restore_op_name:
            raise BrokenSourceError(
                "The SavedModel has variables, but not their values.",
                expected=f"variables/{prefix.name}.index and its .data files",
                received=", ".join(sorted(path.name for path in folder.iterdir())),
                where=str(folder),
                advice="copy the whole folder, with variables/ in it",
            )
        return None
    problems = check_extents(open_bundle(prefix))
    if problems:
        raise BrokenSourceError(
            "The variables of the SavedModel are incomplete.",
            expected="every shard in full length",
            received="; ".join(problems),
            where=str(prefix),
            advice="copy the whole folder again from where it was written",
        )
    return prefix


def _name_frozen(source: Source, path: Path) -> Source:
    note = Finding(
        "source", Severity.INFO, f"{path.name} is no SavedModel but a frozen graph; taken as such", str(path)
    )
    return Source(path, Kind.FROZEN_GRAPH, (path,), path.parent, source.step, (*source.notes, note))


def _note_extras(folder: Path) -> tuple[Finding, ...]:
    if not (folder / _EXTRA_ASSETS).is_dir():
        return ()
    text = f"{_EXTRA_ASSETS}/ is not taken over: its requests were recorded for the signatures of the source"
    return (Finding("source", Severity.INFO, text, str(folder / _EXTRA_ASSETS)),)
