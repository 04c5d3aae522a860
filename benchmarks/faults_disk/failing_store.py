"""A remote store, in memory, that is slow or fails at a call of one's choice.

What passes through: `register_store` makes it known to fsspec as `failing://`, and calls are counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

import fsspec  # type: ignore[import-untyped]
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

PROTOCOL = "failing"
_CALLS = ("ls", "isdir", "exists", "info", "get_file", "put_file", "cat_file", "makedirs", "rm_file")


class FailingStore(MemoryFileSystem):  # type: ignore[misc]
    """Counts calls from outside, and fails at the `fails_at`th, alone or with all that follow.

    Attributes:
        calls: So far.
        fails_at: 0 for never.
        stays_broken: Whether later calls fail too.
        delay_s: Before each call.
        raises: What.
    """

    protocol = PROTOCOL
    cachable = False
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    calls: ClassVar[int] = 0
    fails_at: ClassVar[int] = 0
    stays_broken: ClassVar[bool] = False
    delay_s: ClassVar[float] = 0.0
    raises: ClassVar[type[Exception]] = OSError
    _depth: ClassVar[int] = 0

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return str(super()._strip_protocol(str(path).removeprefix(f"{PROTOCOL}://")))

    @classmethod
    def reset(cls, *, fails_at: int = 0, stays_broken: bool = False, delay_s: float = 0.0) -> None:
        """Begins to count anew; what is stored stays."""
        cls.calls, cls.fails_at, cls.stays_broken, cls.delay_s = 0, fails_at, stays_broken, delay_s


def register_store(*, raises: type[Exception] = OSError) -> type[FailingStore]:
    """Makes the store known, empty."""
    FailingStore.store.clear()
    FailingStore.pseudo_dirs[:] = [""]
    FailingStore.raises = raises
    FailingStore.reset()
    fsspec.register_implementation(PROTOCOL, FailingStore, clobber=True)
    return FailingStore


def _count_calls(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(self: FailingStore, *words: Any, **named: Any) -> Any:
        cls = FailingStore
        if cls._depth == 0:  # drivers call themselves, too
            cls.calls += 1
            time.sleep(cls.delay_s)
            if cls.fails_at and (
                cls.calls == cls.fails_at or (cls.stays_broken and cls.calls > cls.fails_at)
            ):
                raise cls.raises(f"call {cls.calls}, {name}, failed")
        cls._depth += 1
        try:
            return call(self, *words, **named)
        finally:
            cls._depth -= 1

    return counted


for _name in _CALLS:
    setattr(FailingStore, _name, _count_calls(_name, getattr(FailingStore, _name)))
