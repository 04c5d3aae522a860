"""Opens ML Metadata where it is kept: a SQLite file, MySQL, MariaDB, PostgreSQL or a gRPC server.

What passes through: a path or an address comes in; a connection's configuration for TFX, or an open store,
goes out. A configuration holds the password in the clear: it is made in the process that connects, and goes
into no file. ML Metadata is imported when a function is called, TFX is not.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

from pipelines.metadata.address import StoreAddress, check_location, is_address
from pipelines.metadata.failures import OpeningFailure, catch_native_messages
from pipelines.metadata.passwords import keep_out_of_logs
from pipelines.metadata.postgresql import mend_postgresql
from servable.errors import SettingsError

__all__ = ["check_location", "is_address", "make_connection_config", "open_store"]

# Processes that make the tables of an empty database at the same time abort one another, which passes.
_ATTEMPTS: Final = 6
_FIRST_WAIT_S: Final = 0.05


def make_connection_config(location: Path | str) -> Any:
    """Makes what TFX calls `metadata_connection_config`.

    Args:
        location: The path of a SQLite file, which need not be there yet, or an address.

    Returns:
        `ml_metadata.proto.ConnectionConfig`, or `MetadataStoreClientConfig` for a gRPC server. The password
        is in it, and is kept out of the logs of this process from now on.

    Raises:
        SettingsError: The address is wrong, or names an environment variable that is not set.
    """
    return _make_config(location, read_only=False)


def open_store(location: Path | str, *, read_only: bool = True) -> Any:
    """Opens the store.

    Args:
        location: The path of a SQLite file, or an address.
        read_only: Whether a store that is not there yet is an error; else it is made, with its tables.

    Returns:
        `ml_metadata.metadata_store.MetadataStore`.

    Raises:
        SettingsError: There is no store, or the database does not let us in.
    """
    if isinstance(location, Path):
        if read_only and not location.is_file():
            raise SettingsError(
                "There is no metadata of this pipeline yet.",
                expected="the SQLite file that a run of the pipeline writes",
                where=str(location),
                advice="run it first: python -m pipelines local CONFIG.yaml",
            )
        if not read_only:
            location.parent.mkdir(parents=True, exist_ok=True)
    config = _make_config(location, read_only=read_only)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _connect(config, location)
        except _OpeningError as error:
            failure = error.failure
            if failure.is_lasting or attempt == _ATTEMPTS:
                raise failure.make_error(location) from error.__cause__
        time.sleep(_FIRST_WAIT_S * 2**attempt * (0.5 + random.random()))
    raise AssertionError("unreachable")


class _OpeningError(Exception):
    def __init__(self, failure: OpeningFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _connect(config: Any, location: Path | str) -> Any:
    from ml_metadata import errors, metadata_store

    with catch_native_messages() as read_messages:
        try:
            store = metadata_store.MetadataStore(config)
            store.get_context_types()  # a gRPC server is not asked before
        except (errors.StatusError, RuntimeError) as error:
            failure = OpeningFailure.from_messages(location, str(error), read_messages())
            raise _OpeningError(failure) from error
    return store


def _make_config(location: Path | str, *, read_only: bool) -> Any:
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    if isinstance(location, Path):
        modes = metadata_store_pb2.SqliteMetadataSourceConfig
        config.sqlite.filename_uri = str(location)
        config.sqlite.connection_mode = modes.READONLY if read_only else modes.READWRITE_OPENCREATE
        return config
    address = StoreAddress.from_text(location).fill_in()
    keep_out_of_logs(address.password)
    if address.kind == "grpc":
        return metadata_store_pb2.MetadataStoreClientConfig(host=address.host, port=_read_port(address))
    if address.kind == "postgresql":
        mend_postgresql()
    if address.kind == "mysql":
        _fill_mysql(config.mysql, address, read_only=read_only)
    else:
        _fill_postgresql(config.postgresql, address)
    return config


def _fill_mysql(config: Any, address: StoreAddress, *, read_only: bool) -> None:
    options = dict(address.options)
    # MySQL's client takes "localhost" for a socket and forgets the port.
    config.host = "127.0.0.1" if address.host == "localhost" else address.host
    config.port = _read_port(address)
    config.user, config.password, config.database = address.user, address.password, address.database
    config.socket = options.pop("socket", "")
    # It would otherwise be made, which a reader has no business to do.
    config.skip_db_creation = read_only
    for name, value in options.items():
        setattr(config.ssl_options, name.removeprefix("ssl_"), value)


def _fill_postgresql(config: Any, address: StoreAddress) -> None:
    options = dict(address.options)
    config.host, config.port = options.pop("host", address.host), address.port
    config.user, config.password, config.dbname = address.user, address.password, address.database
    # Whoever runs the server makes the database; ML Metadata would need the right to make any.
    config.skip_db_creation = True
    config.passfile = options.pop("passfile", "")
    for name, value in options.items():
        setattr(config.ssloption, name, value)


def _read_port(address: StoreAddress) -> int:
    if not address.port.isdecimal():
        raise SettingsError("The port of ML Metadata's address is not a number.", received=address.port)
    return int(address.port)
