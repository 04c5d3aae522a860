"""Several processes of one model, for a server: each answers one call at a time, and a dead one is replaced.

What passes through: `Call`s of many threads come in, `CallResult`s go out. A call that kills its process gets
the fault; calls in the other processes notice nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from servable.errors import CheckError
from servable.runtime.outcome import Call, CallResult, Fault, FaultKind, Limits
from servable.runtime.process import ChildProcess
from servable.runtime.session import SERVE_TAGS, Session, choose_library

# google.rpc.Code
_RESOURCE_EXHAUSTED: Final = 8
_UNAVAILABLE: Final = 14
# A process that dies as soon as it is started would otherwise be started without a pause.
_PAUSES_S: Final = (0.0, 1.0, 5.0, 30.0)
_POLL_S: Final = 0.5
_CLOSE_POLL_S: Final = 0.05
_END_LIMIT_S: Final = 10.0
_CLOSED: Final = Fault(FaultKind.STATUS, "the model is being taken away", _UNAVAILABLE)


@dataclass(frozen=True, slots=True, eq=False)
class _Worker:
    process: ChildProcess
    session: Session


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
        self._free: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._change = threading.Condition()
        self._processes: set[ChildProcess] = set()  # those that load, too
        self._is_closed = False
        self.runtime_version = ""
        self.load_time_s = 0.0
        self.restarts = 0

    @property
    def alive(self) -> int:
        """How many processes there are."""
        return len(self._processes)

    def load(self) -> Fault | None:
        """Loads the model in a first process, and starts the others beside it.

        Returns:
            Why the model did not load, else None.

        Raises:
            CheckError: The library is not there or cannot be used.
        """
        worker = self._open()
        if isinstance(worker, Fault):
            return worker
        self.runtime_version = worker.session.runtime_version
        self.load_time_s = worker.session.load_time_s
        for _ in range(self._size - 1):
            self._open_beside()
        return None

    def run(self, call: Call) -> CallResult:
        """Runs the graph in a process that is free; many threads may call.

        Raises:
            CheckError: TensorFlow has no type for a fed array.
        """
        worker = self._wait_for_worker()
        if isinstance(worker, Fault):
            return CallResult(fault=worker)
        try:
            return worker.session.run(call)
        finally:
            if worker.session.alive:
                self._free.put(worker)
            else:
                self._replace(worker)

    def close(self) -> None:
        """Ends all processes; calls that still run get a fault. Safe to call twice."""
        with self._change:
            self._is_closed = True
            processes = tuple(self._processes)
        for process in processes:
            process.stop()
        deadline_s = time.monotonic() + _END_LIMIT_S
        while self._processes and time.monotonic() < deadline_s:
            self._discard_free()
            with self._change:
                # Those in use are discarded by the threads that use them.
                self._change.wait_for(lambda: not self._processes, _CLOSE_POLL_S)

    def _discard_free(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._discard(self._free.get_nowait().process)

    def _wait_for_worker(self) -> _Worker | Fault:
        deadline_s = time.monotonic() + self._limits.run_time_s
        while not self._is_closed and time.monotonic() < deadline_s:
            try:
                worker = self._free.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if worker.session.running:
                return worker
            self._replace(worker)  # it ended while nobody asked it anything
        if self._is_closed:
            return _CLOSED
        waited = f"no process was free within {self._limits.run_time_s:g} s"
        return Fault(FaultKind.STATUS, waited, _RESOURCE_EXHAUSTED)

    def _replace(self, worker: _Worker) -> None:
        self._discard(worker.process)
        if not self._is_closed:
            self.restarts += 1
            self._open_beside()

    def _open_beside(self) -> None:
        threading.Thread(target=self._keep_opening, daemon=True).start()

    def _keep_opening(self) -> None:
        for pause_s in itertools.chain(_PAUSES_S, itertools.repeat(_PAUSES_S[-1])):
            time.sleep(pause_s)
            if self._is_closed:
                return
            # The library may have been taken away, say, and may come back.
            with contextlib.suppress(CheckError, OSError):
                if not isinstance(self._open(), Fault):
                    return

    def _open(self) -> _Worker | Fault:
        library = choose_library(self._library)
        process = ChildProcess()
        with self._change:
            self._processes.add(process)
        session = Session(process, self._limits)
        try:
            if not self._is_closed:
                session.load(self._saved_model_dir, tags=SERVE_TAGS, library=library)
        except BaseException:
            self._discard(process)
            raise
        fault = _CLOSED if self._is_closed else session.load_fault
        if fault is not None:
            self._discard(process)
            return fault
        worker = _Worker(process, session)
        self._free.put(worker)
        return worker

    def _discard(self, process: ChildProcess) -> None:
        process.kill()
        with self._change:
            self._processes.discard(process)
            self._change.notify_all()
