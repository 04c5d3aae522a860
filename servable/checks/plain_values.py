"""Plain values of a policy, from YAML or JSON: numbers, texts and lists that are what they should be.

What passes through: one value comes in, the same as Python wants it goes out, else an error in words that
`servable.checks.policy` gathers. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def read_number(value: Any) -> float:
    """Reads a number.

    Raises:
        TypeError: It is a bool.
        ValueError: It is a text that says no number.
    """
    # YAML 1.1 reads 1e-4 as text.
    if isinstance(value, bool):
        raise TypeError(f"must be a number, is {value}")
    return float(value)


def read_whole_number(value: Any) -> int:
    """Reads a whole number.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"must be a whole number, is {value!r}")
    return value


def read_text(value: Any) -> str:
    """Reads a text.

    Raises:
        TypeError: It is something else.
    """
    # YAML reads 2.7 as a number, and 1.10 as the same one as 1.1.
    if not isinstance(value, str):
        raise TypeError(f"must be a text, in quotes, is {value!r}")
    return value


def read_flag(value: Any) -> bool:
    """Reads true or false.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"must be true or false, is {value!r}")
    return value


def read_list(value: Any) -> Any:
    """Takes anything that gives items, but no text.

    Raises:
        TypeError: It is a text.
    """
    if isinstance(value, str):
        raise TypeError(f"must be a list of names, is {value!r}")
    return value


def read_names(value: Any) -> frozenset[str]:
    """Reads a list of names.

    Raises:
        TypeError: It is no list.
    """
    return frozenset(str(name) for name in read_list(value))


def read_section(
    settings: Mapping[str, Any], readers: Mapping[str, Callable[[Any], Any]]
) -> tuple[dict[str, Any], list[str]]:
    """Reads a section of settings as far as it can be read.

    Args:
        settings: By key, as they were given.
        readers: What reads the value of each key that is known, in the order in which faults are told.

    Returns:
        What was read, by key, and everything that is wrong.
    """
    faults = [f"{key}: not known" for key in sorted(set(settings) - set(readers), key=str)]
    values = {}
    for key, read in readers.items():
        if key in settings:
            try:
                values[key] = read(settings[key])
            except (TypeError, ValueError, AttributeError) as error:
                faults.append(f"{key}: {error}")
    return values, faults
