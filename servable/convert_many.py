"""The corridor for a folder of models: each is converted in a fork of one worker, some at a time.

What passes through: sources by name come in, one `ManyOutcome` for each goes out as soon as it is known. A
model that cannot be converted keeps no other from it. TensorFlow is imported once, whatever the number of
models; where a kind of source needs more of it, the worker learns that once, between two jobs.

Example:
    >>> list(convert_many(list_sources(Path("models")), Path("out"), workers=8))    # doctest: +SKIP
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing import connection
from pathlib import Path

from servable.checks.policy import CheckPolicy
from servable.confinement.converting import convert_confined
from servable.confinement.jobs import count_preloads, end_worker
from servable.confinement.limits import Limits
from servable.convert import Conversion, ConversionOptions, check_conversion
from servable.errors import CheckError, ServableError, UnknownSourceError
from servable.report import Report
from servable.sources.locating.checkpoint_spelling import find_prefix
from servable.sources.locating.checkpoint_state import STATE_FILE

VERSION_DIR = "1"


class ManyState(StrEnum):
    """What became of one model."""

    SERVABLE = "servable"
    FINDINGS = "findings"
    FAILED = "failed"
    NO_MODEL = "no model"
    THERE_ALREADY = "there already"


@dataclass(frozen=True, slots=True)
class ManyOutcome:
    """One model of many.

    Attributes:
        name: As its folder below the destination is called.
        source: Where it came from.
        saved_model_dir: Where it was, or would have been, written.
        state: What became of it.
        message: In a sentence.
        elapsed_s: From its turn to its end.
        report: Of its checks, where they were made.
        error: Why it failed, where it did.
    """

    name: str
    source: Path
    saved_model_dir: Path
    state: ManyState
    message: str
    elapsed_s: float
    report: Report | None = None
    error: ServableError | None = None


def list_sources(folder: Path) -> dict[str, Path]:
    """Lists what lies in a folder and may be a model: its folders, files and checkpoints, sorted by name.

    Whether an entry is a model is seen when it is opened. Files of one checkpoint are one entry.

    Raises:
        UnknownSourceError: There is no such folder, or nothing in it.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UnknownSourceError(
            "There is no folder of models.",
            expected="a folder with one model, or folder of a model, beside the other",
            received=error.strerror or str(error),
            where=str(folder),
            advice="name the folder that holds them",
        ) from error
    found: dict[str, Path] = {}
    for path in paths:
        if path.name == STATE_FILE and path.is_file():
            continue  # it names one of its neighbours
        source = path if path.is_dir() else _find_checkpoint(path) or path
        if source not in found.values():
            found[source.name if source.name not in found else path.name] = source
    if not found:
        raise UnknownSourceError("The folder is empty.", expected="models", where=str(folder))
    return found


def convert_many(
    sources: Mapping[str, Path],
    out_dir: Path,
    options: ConversionOptions | None = None,
    *,
    workers: int,
    limits: Limits | None = None,
    policy: CheckPolicy | None = None,
    check: bool = True,
) -> Iterator[ManyOutcome]:
    """Turns many trained models into SavedModels, several at a time, and checks them.

    Args:
        sources: Name to path.
        out_dir: Takes a folder NAME/1 for each. What is there already is left as it is, so that a run that
            was stopped can be taken up again.
        options: What the user says about all of them.
        workers: How many at a time.
        limits: Of each conversion.
        policy: Of the checks.
        check: Whether they are made.

    Yields:
        Outcomes in the order in which they come.

    Raises:
        ServableError: No process could be started.
    """
    many = _Many(out_dir, options or ConversionOptions(), limits, policy or CheckPolicy())
    # Checking is work in Python: in threads, it would be done one after the other.
    context = multiprocessing.get_context("spawn")
    checkers = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    with checkers, ThreadPoolExecutor(workers) as converters:
        futures = [
            converters.submit(many.convert, name, path, checkers if check else None)
            for name, path in sources.items()
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:  # also where nobody asks for the rest, or Ctrl-C was pressed
            if any(not future.done() for future in futures):
                converters.shutdown(wait=False, cancel_futures=True)
                end_worker()


@dataclass(slots=True)
class _Many:
    """What all models have in common."""

    out_dir: Path
    options: ConversionOptions
    limits: Limits | None
    policy: CheckPolicy
    gate: _Gate = field(default_factory=lambda: _Gate())  # noqa: PLW0108 - the class stands below

    def convert(self, name: str, source: Path, checkers: ProcessPoolExecutor | None) -> ManyOutcome:
        began_s = time.monotonic()
        saved_model_dir = self.out_dir / name / VERSION_DIR

        def tell(
            state: ManyState, message: str, report: Report | None = None, error: ServableError | None = None
        ) -> ManyOutcome:
            elapsed_s = time.monotonic() - began_s
            return ManyOutcome(name, source, saved_model_dir, state, message, elapsed_s, report, error)

        if saved_model_dir.is_dir() and any(saved_model_dir.iterdir()):
            return tell(ManyState.THERE_ALREADY, "left as it is")
        try:
            with self.gate.enter():
                began_s = time.monotonic()
                conversion = convert_confined(source, saved_model_dir, self.options, limits=self.limits)
            if checkers is None:
                return tell(ManyState.SERVABLE, "converted, not checked")
            report = _wait_for_report(checkers.submit(_check, conversion, self.policy), saved_model_dir)
        except UnknownSourceError as error:
            return tell(ManyState.NO_MODEL, error.problem, error=error)
        except (ServableError, OSError, MemoryError, RecursionError) as error:
            refusal = error if isinstance(error, ServableError) else ServableError(repr(error))
            return tell(ManyState.FAILED, refusal.problem, error=refusal)
        state = ManyState.SERVABLE if report.passed else ManyState.FINDINGS
        return tell(state, report.summarize(), report)


class _Gate:
    """Lets conversions in, and lets all of them out first where the worker has something to import.

    The worker imports only while no job runs. Without a pause, each model of a kind that came late would
    import what it needs for itself.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._inside = 0
        self._known: int | None = None  # nothing is known before the first one, which goes alone

    @contextmanager
    def enter(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: self._inside == 0 or self._known == count_preloads())
            is_first = self._known is None
            if self._inside == 0 and not is_first:
                self._known = count_preloads()
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1
                if is_first:
                    self._known = -1  # the next one finds an idle worker; others may follow it
                self._change.notify_all()


def _check(conversion: Conversion, policy: CheckPolicy) -> Report:
    return check_conversion(conversion, policy=policy)


def _wait_for_report(future: Future[Report], saved_model_dir: Path) -> Report:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise CheckError(
            "The process that checks has ended.",
            where=str(saved_model_dir),
            advice=f"servable check {saved_model_dir}",
        ) from error


def _end_with_parent() -> None:
    """In a process that checks: ends it when its parent does, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def watch() -> None:
            connection.wait([sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _find_checkpoint(path: Path) -> Path | None:
    try:
        return find_prefix(path)
    except (ServableError, OSError):
        return None  # whoever opens it says what is wrong
