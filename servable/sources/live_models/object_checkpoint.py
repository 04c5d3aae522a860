"""ROOM 1: a TF2 object checkpoint becomes a `TrainedModel`.

What passes through: a checkpoint of `tf.train.Checkpoint`, `CheckpointManager` or Keras' `save_weights` comes
in with the model's structure or code; the model with the checkpoint's weights goes out when the two fit in
every variable, and an error that lists all that doesn't else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from servable.errors import BrokenSourceError, ServableError, UnknownSourceError
from servable.model import Progress, TrainedModel
from servable.report import Finding, Severity
from servable.sources.keras_files.config import Loader
from servable.sources.keras_files.layout import advise_structure
from servable.sources.keras_files.loading import note_files_run
from servable.sources.live_models.keras_opening import bind_keras, make_trained_model
from servable.sources.live_models.keras_subclassed import ensure_built
from servable.sources.live_models.model_building import build_candidates
from servable.sources.live_models.module_building import BuiltModel
from servable.sources.live_models.module_calling import ModuleFunction, bind_module, join_functions
from servable.sources.live_models.object_graph import ObjectGraph, read_object_graph, write_place
from servable.sources.live_models.object_matching import Match, match_places
from servable.sources.live_models.object_restoring import restore_match
from servable.sources.live_models.predicting import ObjectPredictor
from servable.sources.options import SourceOptions
from servable.sources.resolving import Source, describe_origin

_MAX_LISTED = 40


def open_object_checkpoint(
    source: Source, options: SourceOptions, *, progress: Progress | None = None
) -> TrainedModel:
    """Builds the model that the user names and restores a checkpoint into it.

    Args:
        source: The checkpoint.
        options: Names the structure (`--architecture`) or the code (`--module`) of the model.
        progress: Told of the stages.

    Raises:
        UnknownSourceError: Neither is named.
        BrokenSourceError: Checkpoint and model don't fit, or the checkpoint is damaged.
        UnsafeSourceError: The structure carries code.
        SettingsError: A file of the user's cannot be used.
    """
    graph = read_object_graph(source.path)
    if options.module is None and options.architecture is None:
        raise _refuse_alone(graph, source.path)
    if progress:
        progress("load model", 0, 1)
    misfits: list[_Misfit] = []
    for candidate in build_candidates(options, _prefer_keras(graph)):
        if isinstance(candidate, ServableError):
            misfits.append(_Misfit(candidate))
            continue
        try:
            model = _restore(source, graph, candidate, options)
        except _Misfit as misfit:
            misfits.append(misfit)
            continue
        if progress:
            progress("load model", 1, 1)
        return model
    # The Keras that comes nearest says most about what is wrong.
    raise min(misfits, key=lambda misfit: misfit.differences).error


class _Misfit(Exception):  # noqa: N818 - never leaves this module
    """The model of one Keras does not fit, or cannot be built; that of the other may."""

    def __init__(self, error: ServableError, differences: float = math.inf) -> None:
        super().__init__(str(error))
        self.error = error
        self.differences = differences


def _restore(
    source: Source, graph: ObjectGraph, candidate: BuiltModel, options: SourceOptions
) -> TrainedModel:
    functions: list[ModuleFunction] = []
    if candidate.loader is not None:
        ensure_built(candidate.model, candidate.loader, candidate.inputs, where=str(source.path))
    else:
        # Modules may make their variables when they are first called.
        functions = bind_module(candidate, options.module or source.path)
    match = _choose(graph, match_places(graph, candidate.model, candidate.slot), candidate, source.path)
    restore_match(graph, match, candidate.model, source.path)
    notes = [*source.notes, *note_files_run(options), *candidate.notes, _note_place(match, graph)]
    if candidate.loader is not None:
        call = bind_keras(
            candidate.model,
            candidate.loader,
            build_config=None,
            inputs=candidate.inputs,
            where=str(source.path),
        )
        return make_trained_model(source, candidate.model, call, version="", notes=[*notes, *call.notes])
    body, requests = join_functions(candidate.model, functions)
    return TrainedModel(
        origin=describe_origin(source, framework="tensorflow", framework_version=""),
        body=body,
        signatures=tuple(requests),
        predict=ObjectPredictor(body, fills_inputs=False),
        notes=tuple(notes),
    )


def _choose(graph: ObjectGraph, matches: Sequence[Match], candidate: BuiltModel, path: Path) -> Match:
    if len(matches) == 1 and matches[0].is_clean:
        return matches[0]
    if len(matches) > 1:
        raise UnknownSourceError(
            "The model fits several objects of this checkpoint.",
            expected="one of " + ", ".join(write_place(match.place) for match in matches),
            received=", ".join(f"{write_place(m.place)} ({len(m.pairs)} variables)" for m in matches),
            where=str(path),
            advice="name one: --module FILE.py, where build_model() returns "
            + "{"
            + f'"{matches[0].place}": model'
            + "}",
        )
    slots = ", ".join(write_place(name) for name in graph.list_slots()) or "no models"
    if not matches:
        raise _Misfit(
            BrokenSourceError(
                "This model lies nowhere in this checkpoint.",
                expected=f"one of its models: {slots}",
                received=f"a {type(candidate.model).__name__}, no variable of which is there"
                + (f" under {candidate.slot!r}" if candidate.slot else ""),
                where=str(path),
                advice="build the very model that was saved, with the same attributes for its parts",
            )
        )
    match = matches[0]
    listed = [
        *(f"only in the model: {text}" for text in match.missing),
        *(f"only in the checkpoint: {text}" for text in match.left),
        *match.differing,
    ]
    more = f"; and {len(listed) - _MAX_LISTED} more" if len(listed) > _MAX_LISTED else ""
    raise _Misfit(
        BrokenSourceError(
            f"The model and {write_place(match.place)} of this checkpoint don't fit each other.",
            expected="for every variable of the model one of the same type and sizes in the checkpoint, and "
            "none left",
            received="; ".join(listed[:_MAX_LISTED]) + more,
            where=str(path),
            advice=_advise_fitting(match),
        ),
        len(listed),
    )


def _advise_fitting(match: Match) -> str:
    if match.missing and not match.left and not match.differing:
        return (
            "build the very model that was saved; a Keras 3 model whose layers stand in plain lists or dicts "
            "is not whole in any checkpoint: save its weights where it was trained, "
            "model.save_weights('model.weights.h5')"
        )
    slot = f"; if only this part is wanted, build_model() returns {{{match.place!r}: model}}"
    return "build the very model that was saved" + (slot if "/" in match.place else "")


def _prefer_keras(graph: ObjectGraph) -> Loader:
    # Names that Keras 3 gives to its objects, and Keras 2 never did.
    keras3 = {"_functional", "_operations", "_tracked", "_kernel"}
    return Loader.KERAS if any(keras3 & node.children.keys() for node in graph.nodes) else Loader.TF_KERAS


def _refuse_alone(graph: ObjectGraph, path: Path) -> UnknownSourceError:
    return UnknownSourceError(
        "This checkpoint holds variables but no model: the structure of the model is not in it.",
        expected="the model's structure or code beside it",
        received="; ".join(graph.write_slots()),
        where=str(path),
        advice=advise_structure(path, is_keras=graph.is_keras),
    )


def _note_place(match: Match, graph: ObjectGraph) -> Finding:
    others = [name for name in graph.list_slots() if name and name != match.place.partition("/")[0]]
    left = (
        f"; other models of the checkpoint are left out: {', '.join(others)}"
        if others and match.place
        else ""
    )
    return Finding(
        "source",
        Severity.INFO,
        f"restored {len(match.pairs)} variables from {write_place(match.place)} of the checkpoint, all that "
        f"the model has{left}",
    )
