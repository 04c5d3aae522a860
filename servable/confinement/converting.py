"""The confined corridor's only door: the same as `convert_source`, in a child process with limits.

What passes through: a path, a destination and options come in, a `Conversion` goes out. A source that
crashes, hangs or eats all memory is a `SourceError`; the child never publishes anything itself.

Example:
    >>> conversion = convert_confined(Path("train"), Path("out/1"))   # doctest: +SKIP
    >>> check_conversion(conversion).passed                           # doctest: +SKIP
    True
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from servable import errors
from servable.confinement.job import ARRAYS_BYTES, ERROR_FIELDS
from servable.confinement.jobs import Job, note_imports, start_job
from servable.confinement.lean_tensorflow import is_worth_keeping
from servable.confinement.limits import Limits, SettledLimits, settle_limits
from servable.confinement.values import decode_value, encode_value
from servable.convert import Conversion, ConversionOptions
from servable.errors import CheckError, ServableError, SourceError
from servable.formats.publishing import publish_dir
from servable.formats.scratch import open_scratch_dir
from servable.model import Progress
from servable.runtime.ends import describe_end, find_starvation, read_log_end
from servable.runtime.frames import ChildEndedError, DeadlineExceededError
from servable.runtime.tensors import unpack_arrays
from servable.targets.catalog import find_target

_END_S = 10.0


def convert_confined(
    source: Path,
    out_dir: Path,
    options: ConversionOptions | None = None,
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Turns a trained model into a SavedModel, in a child process.

    Args:
        source: A model file, a checkpoint in any spelling, or a folder that holds one.
        out_dir: Must not exist, or be an empty folder.
        options: What the user says about it; files of code that it names run in the child too.
        limits: Time, memory, disk and network; generous by default.
        progress: Told of long reads and writes.

    Raises:
        SourceError: The source is unknown, broken or unsafe, or crashed its reader, or took more than the
            limits allow.
        SignatureError: A signature does not fit the model.
        ExportError: The SavedModel could not be written, or its target cannot serve it. Nothing is left
            behind.
        SettingsError: A file of the user's is wrong.
        ServableError: No child could be started.
    """
    chosen = options or ConversionOptions()
    settled = settle_limits(limits or Limits(), source)
    with publish_dir(out_dir) as staged_dir, _make_scratch_dir() as scratch:
        request = _write_request(source, staged_dir, chosen, scratch, progress is not None)
        request["limits"] = encode_value(settled, [])
        # The child writes beside the destination, and this process moves it there: a child that is killed a
        # moment after it wrote the last byte has not published either.
        with start_job() as job:
            answer, arrays = _wait_for_answer(job, request, settled, progress=progress)
        if "error" in answer:
            raise _read_error(answer, staged_dir, out_dir)
        try:
            conversion = decode_value(
                Conversion, _replace_path(answer["conversion"], staged_dir, out_dir), arrays
            )
        except (ValueError, TypeError, KeyError) as error:
            raise SourceError(
                "The process that converted gave no answer that makes sense.", received=str(error)[:500]
            ) from error
    # The child's word is not taken for what decides how strictly its work is checked.
    return replace(conversion, saved_model_dir=out_dir, target=find_target(chosen.target).name)


def _make_scratch_dir() -> AbstractContextManager[Path]:
    # Also the child's folder for temporary files: what it cannot remove any more is removed here.
    return open_scratch_dir(prefix="servable-job-")


def _write_request(
    source: Path, staged_dir: Path, options: ConversionOptions, scratch: Path, with_progress: bool
) -> dict[str, Any]:
    (scratch / "tmp").mkdir()
    (scratch / "log").touch()
    return {
        "source": str(source),
        "out_dir": str(staged_dir),
        "options": encode_value(options, []),
        "progress": with_progress,
        "environ": dict(os.environ),
        "search_path": [entry for entry in sys.path if isinstance(entry, str)],
        "working_dir": os.curdir if not _has_working_dir() else str(Path.cwd()),
        "temporary_dir": str(scratch / "tmp"),
        "log": str(scratch / "log"),
    }


def _wait_for_answer(
    job: Job, request: dict[str, Any], limits: SettledLimits, *, progress: Progress | None
) -> tuple[dict[str, Any], list[np.ndarray]]:
    deadline_s = time.monotonic() + limits.time_limit_s
    try:
        job.channel.send(request, deadline_s=deadline_s)
        while True:
            answer, body = job.channel.receive(deadline_s=deadline_s, body_bytes=ARRAYS_BYTES)
            if "progress" not in answer:
                break
            _pass_on(answer["progress"], progress)
        arrays = list(unpack_arrays(answer.get("arrays", []), body).values())
    except DeadlineExceededError as error:
        job.end()
        raise SourceError(
            "Converting this source took longer than the time limit.",
            expected=f"at most {limits.time_limit_s:g} s",
            where=request["source"],
            advice="give it longer with --time-limit SECONDS, or spare the baseline with --no-baseline",
        ) from error
    except (ChildEndedError, CheckError, ValueError, TypeError, KeyError, MemoryError) as error:
        code = job.wait_for_end(_END_S)
        raise _explain_end(code, Path(request["log"]), limits, request["source"]) from error
    told = answer.get("imports")
    note_imports(filter(is_worth_keeping, told if isinstance(told, list) else ()))
    return answer, arrays


def _pass_on(news: Any, progress: Progress | None) -> None:
    if progress is not None and isinstance(news, list) and len(news) == 3:
        stage, done, total = news
        if isinstance(done, int) and isinstance(total, int):
            progress(str(stage)[:100], done, total)


def _explain_end(code: int | None, log_path: Path, limits: SettledLimits, source: str) -> SourceError:
    log = read_log_end(log_path)
    starved = find_starvation(log)
    if starved is not None or code == -signal.SIGKILL:
        # Nobody here kills a child that still works in time: that is how the kernel ends a greedy one.
        return SourceError(
            "Converting this source ran out of memory.",
            expected=f"at most {limits.memory_bytes} bytes",
            received=starved or "the system killed the process, most likely for its memory",
            where=source,
            advice="give it more with --memory-limit SIZE, or spare the baseline with --no-baseline",
        )
    return SourceError(
        "Converting this source crashed the process that read it.",
        received=f"{describe_end(code)}: {log[-1000:]}" if log else describe_end(code),
        where=source,
        advice="the file is damaged or hostile, or meets a fault of TensorFlow's: try a fresh copy of it",
    )


def _read_error(answer: dict[str, Any], staged_dir: Path, out_dir: Path) -> ServableError:
    kind = getattr(errors, str(answer["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, ServableError)):
        kind = SourceError
    given = _replace_path(answer.get("fields"), staged_dir, out_dir)
    texts = {name: str(given.get(name, "")) for name in ERROR_FIELDS} if isinstance(given, dict) else {}
    error = kind(texts.pop("problem", ""), **texts)
    error.add_note(f"in the process that converted:\n{answer.get('traceback', '')}")
    return error


def _replace_path(value: Any, staged_dir: Path, out_dir: Path) -> Any:
    """Names the destination wherever the child, which does not know it, named its own folder."""
    own = re.escape(str(staged_dir.parent)) + rf"(?:/\.{staged_dir.name}\.[^/]+\.tmp)?/{staged_dir.name}"
    return _replace_text(value, re.compile(own), str(out_dir))


def _replace_text(value: Any, pattern: re.Pattern[str], text: str) -> Any:
    if isinstance(value, str):
        return pattern.sub(lambda _: text, value)
    if isinstance(value, list):
        return [_replace_text(item, pattern, text) for item in value]
    if isinstance(value, dict):
        return {key: _replace_text(item, pattern, text) for key, item in value.items()}
    return value


def _has_working_dir() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True
