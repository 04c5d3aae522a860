"""The front door's options about what a conversion may use.

What passes through: words of a command line, "8GB" or "90", become `Limits`. No TensorFlow here.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from servable.confinement.limits import Limits

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Adds what is said about time, memory and network of the process that reads the source."""
    group = parser.add_argument_group("limits of the process that reads the source")
    group.add_argument(
        "--time-limit", type=float, metavar="SECONDS", help="default: 1800, and more for large sources"
    )
    group.add_argument(
        "--memory-limit",
        type=read_size,
        metavar="SIZE",
        help="such as 8GB (default: 4 GiB and twenty times the source, at most 90 %% of the machine)",
    )
    group.add_argument(
        "--allow-network", action="store_true", help="let your own code go online while it builds the model"
    )


def read_limits(arguments: argparse.Namespace) -> Limits:
    """Turns what was typed about limits into a value.

    Raises:
        SettingsError: A limit is out of its range.
    """
    from servable.confinement.limits import Limits

    return Limits(
        time_limit_s=arguments.time_limit,
        memory_bytes=arguments.memory_limit,
        network=arguments.allow_network,
    )


def read_size(text: str) -> int:
    """Reads a size: "512M" and "8GB" count in thousands, "8GiB" in 1024s.

    Raises:
        ArgumentTypeError: The text is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        message = f"expected a size such as 8GB or 512MiB, received {text!r}"
        raise argparse.ArgumentTypeError(message)
    number, unit, binary = match.groups()
    factor = _UNITS[unit.upper()]
    if binary:
        factor = 1024 ** list(_UNITS).index(unit.upper())
    return int(float(number) * factor)
