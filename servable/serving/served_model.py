"""The model that is served: one version of it at a time, and how a new one takes over.

What passes through: a folder is looked at again and again; requests get the version that is loaded. A new
version is loaded beside the old one, then takes its place in one step; the old one answers what it was asked
before and ends. One that does not load is told of, and changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from servable.errors import ServableError
from servable.runtime.outcome import Fault
from servable.serving.folders import FoundVersion, ModelPlace
from servable.serving.loaded import LoadedVersion, RuntimeChoice, load_version
from servable.serving.statuses import Code, StatusError, explain_fault, refuse_argument
from servable.serving.warming import warm_up

# A request that takes longer than a call may take has ended some other way.
_DRAIN_EXTRA_S: Final = 10.0


class State(IntEnum):
    """Numbers of ModelVersionStatus.State in get_model_status.proto."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """How a version fares; `code` and `message` say why it does not load."""

    number: int
    state: State
    code: Code = Code.OK
    message: str = ""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What a request asks for.

    Attributes:
        name: Of the model; "" for whichever is served, where a protocol does not name it.
        version: None for the one that is served.
        label: Of the version, for which there are none here.
    """

    name: str
    version: int | None = None
    label: str = ""


class ServedModel:
    """One model and the versions in its folder.

    Args:
        place: Where the versions lie.
        name: What clients call it.
        runtime: What runs it.
        tell: Gets a sentence whenever something happens.
    """

    def __init__(
        self, place: ModelPlace, name: str, *, runtime: RuntimeChoice, tell: Callable[[str], None]
    ) -> None:
        self.name = name
        self._place, self._runtime, self._tell = place, runtime, tell
        self._lock = threading.Lock()
        self._statuses: dict[int, VersionStatus] = {}
        self._current: LoadedVersion | None = None
        self._tried: dict[int, tuple[int, int, int]] = {}  # stamps of versions that were loaded, or not
        self._seen: dict[int, tuple[int, int, int]] | None = None  # stamps at the look before
        self._is_told_empty = False
        self._is_closed = threading.Event()
        self._drains: list[threading.Thread] = []
        self._watch: threading.Thread | None = None

    @property
    def current(self) -> LoadedVersion | None:
        """The version that answers; None before there is one."""
        return self._current

    def start(self, poll_s: float) -> None:
        """Loads the newest version if there is one, and goes on looking for newer ones."""
        self.look()
        self._watch = threading.Thread(target=self._keep_looking, args=(poll_s,), daemon=True)
        self._watch.start()

    def look(self) -> None:
        """Looks into the folder once, and changes to another version if there is reason to."""
        versions = self._place.find_versions()
        stamps = {number: version.stamp for number, version in versions.items()}
        # A file that is still being written has another size at the next look. At the start, somebody waits.
        before, self._seen = self._seen, stamps
        if not versions:
            self._tell_empty()
            return
        newest = versions[max(versions)]
        is_settled = before is None or before.get(newest.number) == newest.stamp
        is_current = self._current is not None and self._current.number == newest.number
        if is_settled and not is_current and self._tried.get(newest.number) != newest.stamp:
            self._tried[newest.number] = newest.stamp
            self._change_to(newest)

    @contextmanager
    def use(self, choice: ModelChoice) -> Iterator[LoadedVersion]:
        """Gives the version that a request asks for, which does not end before the block does.

        Raises:
            StatusError: There is no such model or version.
        """
        if choice.label:
            raise refuse_argument(f"Unrecognized servable version label: {choice.label}")
        with self._lock:
            version = self._current
            is_asked = version is not None and choice.version in (None, version.number)
            if version is None or not is_asked or choice.name not in ("", self.name):
                asked = "Latest(" if choice.version is None else "Specific("
                asked += choice.name if choice.version is None else f"{choice.name}, {choice.version}"
                raise StatusError(Code.NOT_FOUND, f"Servable not found for request: {asked})")
            version.enter()
        try:
            yield version
        finally:
            version.leave()

    def list_statuses(self, choice: ModelChoice) -> list[VersionStatus]:
        """Says how the versions fare, or the one that is asked for.

        Raises:
            StatusError: There is no such model or version.
        """
        if choice.label:
            raise refuse_argument(f"Unrecognized servable version label: {choice.label}")
        statuses = self._statuses if choice.name == self.name else {}
        if choice.version is None:
            if not statuses:
                message = f"Could not find any versions of model {choice.name}"
                raise StatusError(Code.NOT_FOUND, message)
            return [statuses[number] for number in sorted(statuses)]
        if choice.version not in statuses:
            message = f"Could not find version {choice.version} of model {choice.name}"
            raise StatusError(Code.NOT_FOUND, message)
        return [statuses[choice.version]]

    def close(self) -> None:
        """Stops looking, and ends the version once it has answered."""
        self._is_closed.set()
        if self._watch is not None:
            self._watch.join()
        with self._lock:
            version, self._current = self._current, None
        if version is not None:
            self._drain(version)
        for drain in self._drains:
            drain.join()

    def _keep_looking(self, poll_s: float) -> None:
        while not self._is_closed.wait(poll_s):
            try:
                self.look()
            except (ServableError, OSError) as error:
                # The next look may find things mended; what is served is served on.
                self._tell(f"{self.name}: looking for new versions failed: {' '.join(str(error).split())}")

    def _tell_empty(self) -> None:
        if not self._is_told_empty and self._current is None:
            self._is_told_empty = True
            self._tell(f"{self.name}: no version is there yet; waiting for one with saved_model.pb")

    def _change_to(self, found: FoundVersion) -> None:
        self._set_status(VersionStatus(found.number, State.LOADING))
        try:
            loaded = _load_warm(found, self._runtime)
        except StatusError as error:
            self._note_failure(found, error.code, " ".join(error.message.split()))
            return
        except ServableError as error:
            self._note_failure(found, Code.FAILED_PRECONDITION, " ".join(str(error).split()))
            return
        with self._lock:
            old, self._current = self._current, loaded
            self._statuses[found.number] = VersionStatus(found.number, State.AVAILABLE)
        facts = f"loaded in {loaded.pool.load_time_s:.1f} s by TensorFlow {loaded.pool.runtime_version}"
        self._tell(f"{self.name}: version {found.number} answers ({facts})")
        if old is not None:
            drain = threading.Thread(target=self._drain, args=(old,), daemon=True)
            self._drains = [*(one for one in self._drains if one.is_alive()), drain]
            drain.start()

    def _note_failure(self, found: FoundVersion, code: Code, message: str) -> None:
        self._set_status(VersionStatus(found.number, State.END, code, message))
        goes_on = "" if self._current is None else f"; version {self._current.number} goes on"
        self._tell(f"{self.name}: version {found.number} does not load{goes_on}: {message}")

    def _drain(self, version: LoadedVersion) -> None:
        self._set_status(VersionStatus(version.number, State.UNLOADING))
        is_done = version.drain(self._runtime.limits.run_time_s + _DRAIN_EXTRA_S)
        self._set_status(VersionStatus(version.number, State.END))
        # Once the newer one is taken away, it is loaded anew.
        self._tried.pop(version.number, None)
        cut = "" if is_done else ", although requests were still in it"
        self._tell(f"{self.name}: version {version.number} has ended{cut}")

    def _set_status(self, status: VersionStatus) -> None:
        with self._lock:
            # One that came back while its older self was still ending is not ending.
            if self._current is None or self._current.number != status.number:
                self._statuses[status.number] = status


def _load_warm(found: FoundVersion, runtime: RuntimeChoice) -> LoadedVersion:
    """Loads a version and has it answer its warm-up requests; one that fails is none."""
    loaded = load_version(found, runtime)
    if isinstance(loaded, Fault):
        raise explain_fault(loaded)
    try:
        warm_up(loaded, found.folder)
    except BaseException:
        loaded.pool.close()
        raise
    return loaded
