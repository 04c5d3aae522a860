"""Where ML Metadata is kept, as one text: the address of a database or of ML Metadata's own server.

What passes through: the text of a settings file or of a command line comes in, a checked `StoreAddress` goes
out, and with the environment's values its parts. A password never stands in the text: it is the value of an
environment variable, and is looked up when a connection is made, not before. Nothing is opened here.

    mysql://trainer@db.example:3306/mlmd                  MySQL or MariaDB
    postgresql://trainer:${MLMD_PASSWORD}@db.example/mlmd  PostgreSQL
    grpc://mlmd.example:8080                              ML Metadata's gRPC server
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import unquote

from servable.errors import SettingsError

# Holds the password of an address that has a user and names no variable of its own.
PASSWORD_VARIABLE: Final = "SERVABLE_METADATA_PASSWORD"

_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mysql": "mysql",
        "mariadb": "mysql",
        "postgresql": "postgresql",
        "postgres": "postgresql",
        "grpc": "grpc",
    }
)
_PORTS: Final[Mapping[str, str]] = MappingProxyType({"mysql": "3306", "postgresql": "5432", "grpc": "8080"})
# As the databases' own clients name them.
_OPTIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "mysql": frozenset({"socket", "ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher"}),
        "postgresql": frozenset({"host", "passfile", "sslmode", "sslcert", "sslkey", "sslrootcert"}),
        "grpc": frozenset(),
    }
)
_EXPECTED: Final = "mysql://USER@HOST:PORT/DATABASE, postgresql://USER@HOST:PORT/DATABASE or grpc://HOST:PORT"
_FORM: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@/?#\[\]]*)(?::(?P<port>[^@/?#:]*))?"
    r"(?:/(?P<database>[^@/?#]*))?(?:\?(?P<options>[^#]*))?"
)
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """The parts of an address. Variables are still named in them, so that they can be printed.

    Attributes:
        kind: "mysql", "postgresql" or "grpc".
        user: "" where there is none.
        password: The ``${NAME}`` of a variable, or "".
        host: A name or a number; "" for a socket of this machine.
        port: A number, as text.
        database: "" for a gRPC server.
        options: By name, such as ``{"sslmode": "require"}``.
    """

    kind: str
    user: str
    password: str
    host: str
    port: str
    database: str
    options: Mapping[str, str]

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Takes an address apart.

        Raises:
            SettingsError: It has not the form of one, or holds a password.
        """
        match = _FORM.fullmatch(text)
        kind = _KINDS.get(match["scheme"].lower(), "") if match else ""
        if match is None or not kind:
            raise _make_error("This is not the address of a database for ML Metadata.", text)
        _refuse_password(text, match["password"] or "")
        options = _read_options(text, match["options"] or "", kind)
        host = unquote((match["host"] or "").strip("[]"))
        database = unquote(match["database"] or "")
        if kind == "grpc" and (database or match["user"] is not None):
            raise _make_error("The address of a gRPC server has a host and a port, and nothing else.", text)
        if kind != "grpc" and not database:
            raise _make_error("The address names no database.", text)
        if not host and not {"socket", "host"} & options.keys():
            raise _make_error("The address names no host.", text)
        port = match["port"] or _PORTS[kind]
        if not _VARIABLE.search(port) and not (port.isdecimal() and 0 < int(port) < 2**16):
            raise _make_error("The port of the address is not a number from 1 to 65535.", text)
        user = unquote(match["user"] or "")
        return cls(kind, user, match["password"] or "", host, port, database, options)

    def fill_in(self, environment: Mapping[str, str] | None = None) -> Self:
        """Puts the values of the named variables in, the password's included.

        Args:
            environment: Variables by name; those of this process by default.

        Returns:
            What is not to be printed.

        Raises:
            SettingsError: A variable is not set.
        """
        values = os.environ if environment is None else environment
        password = _expand(self.password, values)
        if self.user and not self.password:
            password = values.get(PASSWORD_VARIABLE, "")
        return type(self)(
            self.kind,
            _expand(self.user, values),
            password,
            _expand(self.host, values),
            _expand(self.port, values),
            _expand(self.database, values),
            {name: _expand(value, values) for name, value in self.options.items()},
        )


def is_address(text: str) -> bool:
    """Says whether a text is an address, and not the path of a SQLite file."""
    return "://" in text


def check_location(text: str) -> str:
    """Checks an address without looking at the environment or at the network.

    Args:
        text: As it stands in the settings.

    Returns:
        The same text, which holds no password and may be printed.

    Raises:
        SettingsError: It has not the form of an address, or holds a password.

    Example:
        >>> check_location("mysql://trainer@db.example:3306/mlmd")
        'mysql://trainer@db.example:3306/mlmd'
    """
    StoreAddress.from_text(text)
    return text


def _refuse_password(text: str, password: str) -> None:
    if password and not _VARIABLE.fullmatch(password):
        raise SettingsError(
            "A password does not belong into the address.",
            expected="the name of an environment variable, such as ${MLMD_PASSWORD}",
            received=hide_password(text),
            advice=f"put it into the variable {PASSWORD_VARIABLE}, or name a variable of yours",
        )


def _read_options(text: str, query: str, kind: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in query.split("&") if part]
    unknown = sorted({name for name, _, _ in pairs} - _OPTIONS[kind])
    if unknown:
        raise SettingsError(
            "The address has options that are not known.",
            expected=", ".join(sorted(_OPTIONS[kind])) or "none",
            received=", ".join(unknown),
            where=hide_password(text.partition("?")[0]),
        )
    return {name: unquote(value) for name, _, value in pairs}


def hide_password(text: str) -> str:
    """Puts stars where a password may stand in an address; an unclear one loses all before its last "@"."""
    scheme, mark, rest = text.partition("://")
    if not mark or "@" not in rest:
        # What stands in the place of a port may be a password whose host was forgotten.
        return re.sub(r":(?!//)(?!\d+(?:[/?]|$))[^/]*", ":***", text.partition("?")[0])
    account, _, place = rest.rpartition("@")
    user = account.partition(":")[0]
    stars = ":***" if ":" in account else ""
    user = user if re.fullmatch(r"[\w.%${}-]*", user) else "***"
    return f"{scheme}://{user}{stars}@{place.partition('?')[0]}"


def _expand(text: str, values: Mapping[str, str]) -> str:
    missing = sorted({name for name in _VARIABLE.findall(text) if name not in values})
    if missing:
        raise SettingsError(
            "An environment variable that ML Metadata's address names is not set.",
            expected=", ".join(missing),
            received="nothing",
            advice=f"export {missing[0]}=...; for a scheduler, in the environment that it gives its tasks",
        )
    return _VARIABLE.sub(lambda match: values[match[1]], text)


def _make_error(problem: str, text: str) -> SettingsError:
    return SettingsError(
        problem,
        expected=_EXPECTED,
        received=hide_password(text),
        advice=f"a password is taken from the environment variable {PASSWORD_VARIABLE}",
    )
