"""Several processes of one model, for a server: each answers one call at a time, and a dead one is replaced.

What passes through: `Call`s of many threads come in, `CallResult`s go out. A call that kills its process gets
the fault; calls in the other processes notice nothing.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from servable.errors import CheckError
from servable.runtime.outcome import Call, CallResult, Fault, FaultKind, Limits
from servable.runtime.session import Session, open_session

# google.rpc.Code
_RESOURCE_EXHAUSTED: Final = 8
_UNAVAILABLE: Final = 14
# A process that dies as soon as it is started would otherwise be started without a pause.
_PAUSES_S: Final = (0.0, 1.0, 5.0, 30.0)
_POLL_S: Final = 0.5


@dataclass(slots=True)
class _Process:
    session: Session
    end: ExitStack


class SessionPool:
    """One model in as many processes as are asked for.

    Args:
        saved_model_dir: The folder with `saved_model.pb`.
        size: How many processes, and so how many calls at once.
        limits: Of each process; a call also waits for a free one no longer than `run_time_s`.
        library: TensorFlow's C++ library; the installed package's by default.

    Attributes:
        runtime_version: Such as "2.21.0", once the model is loaded.
        load_time_s: Of the first process.
        restarts: How many processes have been replaced.
    """

    def __init__(
        self, saved_model_dir: Path, *, size: int, limits: Limits | None = None, library: Path | None = None
    ) -> None:
        self._saved_model_dir, self._library = saved_model_dir, library
        self._limits = limits or Limits()
        self._size = size
        self._free: queue.LifoQueue[_Process] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._all: list[_Process] = []
        self._is_closed = False
        self.runtime_version = ""
        self.load_time_s = 0.0
        self.restarts = 0

    @property
    def alive(self) -> int:
        """How many processes are there."""
        return len(self._all)

    def load(self) -> Fault | None:
        """Loads the model in a first process, and starts the others beside it.

        Returns:
            Why the model did not load, else None.

        Raises:
            CheckError: The library is not there or cannot be used.
        """
        process = self._open()
        if isinstance(process, Fault):
            return process
        self.runtime_version = process.session.runtime_version
        self.load_time_s = process.session.load_time_s
        for _ in range(self._size - 1):
            self._open_beside(attempt=0)
        return None

    def run(self, call: Call) -> CallResult:
        """Runs the graph in a process that is free; many threads may call.

        Raises:
            CheckError: TensorFlow has no type for a fed array.
        """
        process = self._wait_for_process()
        if isinstance(process, Fault):
            return CallResult(fault=process)
        try:
            return process.session.run(call)
        finally:
            if process.session.alive and not self._is_closed:
                self._free.put(process)
            else:
                self._replace(process)

    def close(self) -> None:
        """Ends all processes; calls that still run get a fault. Safe to call twice."""
        with self._lock:
            self._is_closed = True
            processes, self._all = self._all, []
        for process in processes:
            process.end.close()

    def _wait_for_process(self) -> _Process | Fault:
        deadline_s = time.monotonic() + self._limits.run_time_s
        while not self._is_closed and time.monotonic() < deadline_s:
            try:
                return self._free.get(timeout=_POLL_S)
            except queue.Empty:
                continue
        if self._is_closed:
            return Fault(FaultKind.STATUS, "the model is being taken away", _UNAVAILABLE)
        waited = f"no process was free within {self._limits.run_time_s:g} s"
        return Fault(FaultKind.STATUS, waited, _RESOURCE_EXHAUSTED)

    def _replace(self, process: _Process) -> None:
        process.end.close()
        with self._lock:
            if self._is_closed:
                return
            self._all.remove(process)
            self.restarts += 1
        self._open_beside(attempt=0)

    def _open_beside(self, *, attempt: int) -> None:
        threading.Thread(target=self._keep_opening, args=(attempt,), daemon=True).start()

    def _keep_opening(self, attempt: int) -> None:
        while not self._is_closed:
            time.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
            try:
                if not isinstance(self._open(), Fault):
                    return
            except (CheckError, OSError):  # the library was taken away, say; it may come back
                pass
            attempt += 1

    def _open(self) -> _Process | Fault:
        end = ExitStack()
        opening = open_session(self._saved_model_dir, limits=self._limits, library=self._library)
        session = end.enter_context(opening)
        if session.load_fault is not None:
            end.close()
            return session.load_fault
        process = _Process(session, end)
        with self._lock:
            is_late = self._is_closed
            if not is_late:
                self._all.append(process)
        if is_late:
            end.close()
            return Fault(FaultKind.STATUS, "the model is being taken away", _UNAVAILABLE)
        self._free.put(process)
        return process
