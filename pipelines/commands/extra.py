"""Tells what to install, where a command of `servable` needs this package's TFX parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from servable.errors import ServableError


@contextmanager
def need_extra(name: str = "tfx") -> Iterator[None]:
    """Turns a missing package into an error that says how to get it.

    Args:
        name: The extra of this package that brings it.

    Raises:
        ServableError: A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ServableError(
            "This command needs packages that are not installed.",
            expected=f"the packages of the extra [{name}]",
            received=f"no {error.name}",
            advice=f'pip install "tfx-servable[{name}]"',
        ) from error
