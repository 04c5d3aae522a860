"""ROOM 1: weights of a Keras model, put into the structure that the user names.

What passes through: a weights-only HDF5 file and `--architecture` or `--module` come in; a model with these
weights goes out when the two fit each other in every layer, and an error that lists all that doesn't else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from servable.errors import BrokenSourceError, ServableError, SettingsError
from servable.report import Finding, Severity
from servable.signature import TensorSpec
from servable.sources.keras_files.config import HDF5_WEIGHTS_KIND, Loader, find_era, read_keras_config
from servable.sources.keras_files.layout import StoredWeights, read_stored_weights
from servable.sources.keras_files.loading import LoadedModel, describe_error
from servable.sources.keras_files.vocabularies import check_vocabularies
from servable.sources.live_models.keras_fit import Fit, fit_weights
from servable.sources.live_models.keras_subclassed import ensure_built
from servable.sources.live_models.model_building import build_candidates
from servable.sources.live_models.module_building import BuiltModel
from servable.sources.options import SourceOptions


@dataclass(frozen=True, slots=True)
class WeighedModel:
    """A model with its weights.

    Attributes:
        loaded: The live model.
        version: Keras version that wrote the weights; "" where the file does not say.
        inputs: What the user says that it takes; empty for what the model itself says.
    """

    loaded: LoadedModel
    version: str
    inputs: Mapping[str, TensorSpec] = field(default_factory=dict)


def load_keras_weights(path: Path, options: SourceOptions) -> WeighedModel:
    """Builds the model that the user names and puts the weights of a file into it.

    Args:
        path: A weights-only HDF5 file, in either layout.
        options: Names the structure or the code.

    Raises:
        UnknownSourceError: Neither is named, or the file holds no weights of Keras.
        BrokenSourceError: Weights and model don't fit; everything that doesn't is listed.
        UnsafeSourceError: A file reaches outside itself, or the structure carries code.
        SettingsError: A file of the user's cannot be used.
    """
    if options.module is None and options.architecture is None:
        read_keras_config(path, HDF5_WEIGHTS_KIND)  # raises, and says what is missing
    stored = read_stored_weights(path)
    faults: list[ServableError] = []
    for candidate in build_candidates(options, _prefer_keras(stored)):
        if isinstance(candidate, ServableError):
            faults.append(candidate)
            continue
        if candidate.loader is None:
            raise SettingsError(
                "These are the weights of a Keras model, and build_model() returns none.",
                expected="a model of Keras or tf_keras",
                received=type(candidate.model).__name__,
                where=str(options.module),
                advice="let build_model() return the keras.Model that these weights are of",
            )
        ensure_built(candidate.model, candidate.loader, candidate.inputs, where=str(path))
        fit = fit_weights(stored, candidate.model)
        try:
            _load(path, stored, candidate, fit)
        except ServableError as error:
            faults.append(error)
            continue
        check_vocabularies(candidate.model, path)
        notes = [*candidate.notes, *_note_fit(fit, path)]
        return WeighedModel(
            LoadedModel(candidate.model, candidate.loader, tuple(notes)), stored.version, candidate.inputs
        )
    raise faults[0]


def _prefer_keras(stored: StoredWeights) -> Loader:
    if stored.version:
        return find_era(stored.version)
    return Loader.TF_KERAS if stored.by_layer else Loader.KERAS


def _load(path: Path, stored: StoredWeights, candidate: BuiltModel, fit: Fit) -> None:
    if fit.faults:
        raise _describe_misfit(path, fit.faults, "")
    with _stage(path, stored) as staged_path:
        by_name = {"by_name": True} if fit.by_name else {}
        try:
            candidate.model.load_weights(staged_path, **by_name)
        # Keras raises whatever its layers raise.
        except Exception as error:
            raise _describe_misfit(path, fit.doubts, describe_error(error)) from error


@contextmanager
def _stage(path: Path, stored: StoredWeights) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="servable-") as folder:
        # Both Keras go by the suffix; the newer layout's reader may open its file for writing.
        if stored.by_layer:
            staged_path = Path(folder, "model.h5")
            staged_path.symlink_to(path.resolve())
        else:
            staged_path = Path(folder, "model.weights.h5")
            shutil.copyfile(path, staged_path)
        yield str(staged_path)


def _describe_misfit(path: Path, faults: tuple[str, ...], said: str) -> BrokenSourceError:
    more = f"; and {len(faults) - 40} more" if len(faults) > 40 else ""
    return BrokenSourceError(
        "These weights are not those of this model.",
        expected="for every layer of the model one of the same sizes in the file, and none left",
        received="; ".join([*faults[:40], *([said] if said else [])]) + more,
        where=str(path),
        advice="name the structure of the very model that wrote these weights; where two models in "
        "it share a layer, its code (--module FILE.py), since a structure as JSON does not say so",
    )


def _note_fit(fit: Fit, path: Path) -> Iterator[Finding]:
    if fit.by_name:
        yield Finding(
            "source",
            Severity.WARNING,
            "The layers of the file and of the model have the same names in another order: weights were "
            "given by name.",
            where=str(path),
            advice="compare the outputs with those of the model where it was trained",
        )
    elif fit.renamed:
        shown = ", ".join(f"{ours} from {theirs}" for ours, theirs in list(fit.renamed.items())[:10])
        yield Finding(
            "source",
            Severity.INFO,
            "Layers of the file and of the model have other names; weights were given in their order, as "
            f"Keras does: {shown}",
            where=str(path),
        )
