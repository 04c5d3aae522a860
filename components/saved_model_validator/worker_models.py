"""Models in a worker process: loaded once, shared by all of its threads, ended with the last user.

What passes through: a plan comes in, calls to its models go out. A worker of Beam makes several instances of
one step and runs them in threads; a model in memory for each of them would be one too many. No Beam here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from servable.checks.example_plan import Ask, ExamplesPlan
from servable.runtime.outcome import CallResult

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Loaded:
    asks: Mapping[str, Ask]
    stack: ExitStack
    users: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_LOADED: dict[_Key, _Loaded] = {}
_LOCK = threading.Lock()


def acquire_models(plan: ExamplesPlan) -> dict[str, Ask]:
    """Gives the models of a plan, loaded if this process has none yet.

    Args:
        plan: What is to be asked; the models lie where it says, on every worker.

    Returns:
        Calls by side; safe from several threads.

    Raises:
        CheckError: A model is not there or does not load, or TensorFlow's C++ library is not there.
    """
    key = _name(plan)
    with _LOCK:
        if key not in _LOADED:
            with ExitStack() as stack:
                asks = plan.open_models(stack)
                _LOADED[key] = _Loaded(asks, stack.pop_all())
        loaded = _LOADED[key]
        loaded.users += 1
    return {side: _share(ask, loaded.lock) for side, ask in loaded.asks.items()}


def release_models(plan: ExamplesPlan) -> None:
    """Says that a user of `acquire_models` is done; the last one's models end."""
    key = _name(plan)
    with _LOCK:
        loaded = _LOADED.get(key)
        if loaded is None:
            return
        loaded.users -= 1
        if loaded.users == 0:
            del _LOADED[key]
            loaded.stack.close()


def count_loaded() -> int:
    """Says how many plans have models in this process."""
    return len(_LOADED)


def _name(plan: ExamplesPlan) -> _Key:
    return str(plan.saved_model_dir), plan.signature.name, str(plan.previous_dir)


def _share(ask: Ask, lock: threading.Lock) -> Ask:
    def ask_alone(inputs: Mapping[str, np.ndarray]) -> CallResult:
        # A session is one pipe to one process: questions go through it one after the other.
        with lock:
            return ask(inputs)

    return ask_alone
