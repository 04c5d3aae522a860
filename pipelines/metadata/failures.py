"""Why ML Metadata could not be opened, in a sentence with what to do next.

What passes through: what ML Metadata raised and what it wrote to standard error come in, a `SettingsError`
goes out. Its compiled part tells the reason only there, and of MySQL's refusals not even there: a connection
is tried here, to tell a server that is not there from one that does not let us in. Nothing else is imported.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.metadata.address import PASSWORD_VARIABLE, StoreAddress
from servable.errors import SettingsError

_PROBE_S: Final = 3.0
# Standard error is of the whole process: two threads would restore each other's.
_CATCHING: Final = threading.Lock()

# What stands in the message of a failure that trying again does not mend, in lower case, and what to do then.
_PASSWORD: Final = f"put the right password into {PASSWORD_VARIABLE}, or the variable that the address names"
_LASTING: Final = (
    ("password authentication failed", _PASSWORD),
    ("no password supplied", _PASSWORD),
    ("access denied", "let the user make the database, or make it for the user: CREATE DATABASE {database}"),
    ("unknown database", "make it: mysql -h {host} -P {port} -e 'CREATE DATABASE {database}'"),
    ("does not exist", "make it: createdb -h {host} -p {port} -U {user} {database}"),
    ("no pg_hba.conf entry", "let this machine in, in the server's pg_hba.conf"),
    ("permission denied", "look at the rights of the user, or of the file"),
    ("unable to open database file", "look at the rights of the file and of its folder"),
    ("file is not a database", "name the SQLite file of ML Metadata"),
    ("readonly database", "nothing was written into this file yet: run the pipeline first"),
    ("schema version", "open the store once with the newer version of ML Metadata, which upgrades it"),
)
_NO_SERVER: Final = "start the server, or mend host and port"
_MYSQL: Final = (
    f"look at user and password ({PASSWORD_VARIABLE}, or the variable that the address names), at the user's "
    "rights on database {database}, whether it is there, and whether the user has the plug-in "
    "mysql_native_password"
)


@dataclass(frozen=True, slots=True)
class OpeningFailure:
    """One attempt that failed.

    Attributes:
        message: In the words of the database.
        advice: What to do next, "" where nothing is known about it.
        is_lasting: Whether another attempt would fail as well.
    """

    message: str
    advice: str
    is_lasting: bool

    @classmethod
    def from_messages(cls, location: Path | str, raised: str, told: str) -> OpeningFailure:
        """Finds out why an attempt failed.

        Args:
            location: Of the store.
            raised: The exception's message.
            told: What stood on standard error.
        """
        message = " ".join(_choose_lines(told) or raised.split())
        # SQLite's repeats the whole statement.
        message = message.removeprefix("Error when executing query: ").partition(" query: ")[0]
        advice = next((advice for text, advice in _LASTING if text in message.lower()), "")
        if isinstance(location, Path):
            return cls(message, advice, bool(advice))
        address = StoreAddress.from_text(location).fill_in()
        is_there = _answers(address)
        if advice:
            return cls(message, _name_parts(advice, address), True)
        if not is_there:
            return cls(f"nothing answers at {address.host}:{address.port}", _NO_SERVER, False)
        if address.kind == "mysql" and "mysql_real_connect" in message:
            advice = _name_parts(_MYSQL, address)
            return cls(f"{address.host}:{address.port} answers, but does not let us in", advice, True)
        return cls(message, advice, False)

    def make_error(self, location: Path | str) -> SettingsError:
        """Makes the error to raise."""
        return SettingsError(
            "ML Metadata cannot be opened.",
            expected="a database that can be reached and lets us in",
            received=self.message,
            where=str(location),
            advice=self.advice,
        )


def _choose_lines(told: str) -> list[str]:
    """Keeps what the database itself said: "... PostgreSQL error: FATAL:  database "x" does not exist"."""
    for mark in ("PostgreSQL error:", "error: "):
        _, found, rest = told.partition(mark)
        if found:
            return rest.split("\nE1", 1)[0].split("\nI1", 1)[0].split("\nE0", 1)[0].split()
    return []


def _name_parts(advice: str, address: StoreAddress) -> str:
    return advice.format(
        database=address.database,
        host=address.options.get("host", address.host),
        port=address.port,
        user=address.user or "USER",
    )


def _answers(address: StoreAddress) -> bool:
    if address.options.keys() & {"socket", "host"}:
        return True
    try:
        with socket.create_connection((address.host, int(address.port)), timeout=_PROBE_S):
            return True
    except OSError:
        return False


@contextmanager
def catch_native_messages() -> Iterator[Callable[[], str]]:
    """Catches what compiled code writes to standard error meanwhile.

    Yields:
        What to call for the text so far. It is not shown: with a failure, its reason goes into the error.
    """
    with _CATCHING, tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)

        def read() -> str:
            return os.pread(file.fileno(), 2**16, 0).decode(errors="replace")

        try:
            yield read
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
