"""The runtime's only door: `run_calls` for one visit, `open_session` for several rounds of calls.

What passes through: a SavedModel directory and `Call`s in, `CallResult`s out. The process that runs the
model lives no longer than the session. Knows graph tensors, not signatures, and judges nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from servable.errors import CheckError
from servable.runtime.ends import describe_end, find_starvation
from servable.runtime.frames import ChildEndedError, DeadlineExceededError
from servable.runtime.installed import find_library
from servable.runtime.outcome import Call, CallResult, Fault, FaultKind, Limits, RunOutcome
from servable.runtime.process import ChildProcess
from servable.runtime.tensors import pack_array, unpack_arrays

SERVE_TAGS = ("serve",)
_RESOURCE_EXHAUSTED = 8  # google.rpc.Code
_MESSAGE_CHARS = 1200
_END_WAIT_S = 10.0


class Session:
    """A SavedModel in the runtime; made by `open_session`.

    Attributes:
        load_fault: Why the model did not load, else None.
        load_time_s: From the start of loading the runtime's library to a loaded model.
        peak_memory_bytes: Largest resident size of the process so far.
        runtime_version: Such as "2.21.0".
    """

    def __init__(self, process: ChildProcess, limits: Limits) -> None:
        self._process = process
        self._limits = limits
        self._end: Fault | None = None
        self.load_fault: Fault | None = None
        self.load_time_s = 0.0
        self.peak_memory_bytes = 0
        self.runtime_version = ""

    @property
    def alive(self) -> bool:
        """True while calls can be answered."""
        return self.load_fault is None and self._end is None

    @property
    def running(self) -> bool:
        """True while its process is there; a call may be the first to notice that it is not."""
        return self.alive and self._process.wait_for_end(0) is None

    def run(self, call: Call) -> CallResult:
        """Runs the graph once.

        Args:
            call: Arrays by graph tensor, and which tensors to return.

        Returns:
            The outputs, or the fault. After a crash, a timeout or an end for want of memory every further
            call gives that same fault.

        Raises:
            CheckError: TensorFlow has no type for a fed array.
        """
        gone = self.load_fault or self._end
        if gone is not None:
            return CallResult(fault=gone)
        packed = [pack_array(tensor, array) for tensor, array in call.feeds.items()]
        fetches = list(dict.fromkeys(call.fetches))
        request = {
            "feeds": [head for head, _ in packed],
            "fetches": fetches,
            "reply_bytes": self._limits.reply_bytes,
        }
        answer = self._ask(request, [body for _, body in packed], self._limits.run_time_s)
        if isinstance(answer, Fault):
            return CallResult(fault=answer)
        reply, body = answer
        return CallResult(outputs=unpack_arrays(reply["outputs"], body), elapsed_s=reply["elapsed_s"])

    def read_log(self) -> str:
        """Gives the end of what the runtime wrote to its log."""
        return self._process.read_log()

    def load(self, saved_model_dir: Path, *, tags: Sequence[str], library: Path) -> None:
        """Loads the model, once; `load_fault` says why if it does not load.

        Raises:
            CheckError: The library cannot be used.
        """
        request = {
            "library": str(library),
            "saved_model_dir": str(saved_model_dir.absolute()),
            "tags": list(tags),
            "threads": self._limits.threads,
            "memory_bytes": self._limits.memory_bytes,
            "parent_pid": os.getpid(),
        }
        answer = self._ask(request, [], self._limits.load_time_s)
        if isinstance(answer, Fault):
            self.load_fault = answer
        else:
            self.load_time_s = answer[0]["elapsed_s"]
            self.runtime_version = answer[0]["version"]

    def _ask(
        self, request: dict[str, Any], bodies: list[bytes], time_limit_s: float
    ) -> tuple[dict[str, Any], memoryview] | Fault:
        try:
            reply, body = self._process.ask(
                request, bodies, time_limit_s=time_limit_s, reply_bytes=self._limits.reply_bytes
            )
        except DeadlineExceededError:
            self._end = Fault(FaultKind.TIMEOUT, f"no answer after {time_limit_s:g} s")
            return self._end
        except ChildEndedError:
            self._end = self._explain_end()
            return self._end
        self.peak_memory_bytes = reply["peak_memory_bytes"]
        if "library_error" in reply:
            raise CheckError(
                "TensorFlow's C++ library cannot be used.",
                received=reply["library_error"],
                where=str(request.get("library", "")),
                advice="install it anew: servable runtimes remove VERSION, then add VERSION; the current one "
                "with  pip install --force-reinstall 'tensorflow>=2.21,<2.22'",
            )
        if "code" in reply:
            exhausted = reply["code"] == _RESOURCE_EXHAUSTED
            kind = FaultKind.OUT_OF_MEMORY if exhausted else FaultKind.STATUS
            return Fault(kind, _shorten(reply["message"]), reply["code"])
        return reply, body

    def _explain_end(self) -> Fault:
        log = self._process.read_log()
        code = self._process.wait_for_end(_END_WAIT_S)
        starved = find_starvation(log)
        if starved is not None:
            limit = f"the runtime ran out of memory (limit {self._limits.memory_bytes} bytes)"
            return Fault(FaultKind.OUT_OF_MEMORY, _shorten(f"{limit}: {starved}"))
        if code == -signal.SIGKILL:
            # Nobody here kills a child that is still asked: that is how the kernel ends a greedy one.
            return Fault(FaultKind.OUT_OF_MEMORY, "the system killed the runtime, most likely for its memory")
        last_words = f": {log.splitlines()[0]}" if log else ""
        return Fault(FaultKind.CRASH, _shorten(f"the runtime ended with {describe_end(code)}{last_words}"))


@contextlib.contextmanager
def open_session(
    saved_model_dir: Path,
    *,
    limits: Limits | None = None,
    tags: Sequence[str] = SERVE_TAGS,
    library: Path | None = None,
) -> Iterator[Session]:
    """Loads a SavedModel in a child process and keeps it for calls; the child ends with the block.

    Args:
        saved_model_dir: The folder with `saved_model.pb`. Nothing is copied and nothing is checked: a
            graph of unknown origin belongs through `servable.checks` first.
        limits: Time and memory; generous by default.
        tags: Exactly the tags of the graph to load.
        library: TensorFlow's C++ library, such as `servable.runtime.installed.find_runtime` gives; the
            installed package's by default.

    Yields:
        The session. A model that does not load is told by its `load_fault`.

    Raises:
        CheckError: The library is not there or cannot be used.

    Example:
        >>> with open_session(Path("model/1")) as session:
        ...     result = session.run(Call({"x:0": images}, ("scores:0",)))
    """
    library_path = choose_library(library)
    with ChildProcess() as process:
        session = Session(process, limits or Limits())
        session.load(saved_model_dir, tags=tags, library=library_path)
        yield session


def choose_library(library: Path | None) -> Path:
    """Gives the library that was named, else that of the installed package.

    Raises:
        CheckError: It is not there.
    """
    library_path = find_library() if library is None else library
    if not library_path.is_file():
        raise CheckError(
            "TensorFlow's C++ library is not there.",
            expected="a file such as libtensorflow_cc.so.2",
            where=str(library_path),
            advice="leave the path out to take that of the installed TensorFlow",
        )
    return library_path


def run_calls(
    saved_model_dir: Path,
    calls: Sequence[Call],
    *,
    limits: Limits | None = None,
    library: Path | None = None,
) -> RunOutcome:
    """Loads a SavedModel in a child process, runs every call, and ends the child.

    Args:
        saved_model_dir: The folder with `saved_model.pb`.
        calls: Run in order, whether or not an earlier one failed.
        limits: Time and memory; generous by default.
        library: TensorFlow's C++ library; the installed package's by default.

    Returns:
        One result per call, or why the model did not load.

    Raises:
        CheckError: The library is not there, or TensorFlow has no type for a fed array.
    """
    with open_session(saved_model_dir, limits=limits, library=library) as session:
        results = () if session.load_fault else tuple(session.run(call) for call in calls)
        return RunOutcome(
            load_fault=session.load_fault,
            results=results,
            load_time_s=session.load_time_s,
            peak_memory_bytes=session.peak_memory_bytes,
            runtime_version=session.runtime_version,
            log=session.read_log(),
        )


def _shorten(text: str) -> str:
    # The beginning says what is wrong; what follows is the path of nodes that it passed through.
    return text if len(text) <= _MESSAGE_CHARS else text[:_MESSAGE_CHARS] + " ..."
