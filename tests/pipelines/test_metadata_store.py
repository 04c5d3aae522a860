"""Stores that open and stores that do not, without any server."""

from __future__ import annotations

import logging
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.metadata import store
from pipelines.metadata.store import make_connection_config, open_store
from servable.errors import SettingsError


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("SERVABLE_METADATA_PASSWORD", 'geh"eim')
    return monkeypatch


def test_a_path_is_sqlite_and_may_be_new(tmp_path):
    config = make_connection_config(tmp_path / "new.sqlite")
    assert config.sqlite.filename_uri == str(tmp_path / "new.sqlite")
    assert config.WhichOneof("config") == "sqlite"


def test_mysql_has_its_parts(environment):
    config = make_connection_config("mysql://u@localhost:99/d?ssl_ca=/ca.pem").mysql
    # "localhost" would be a socket to MySQL's client.
    assert (config.host, config.port, config.user, config.database) == ("127.0.0.1", 99, "u", "d")
    assert (config.password, config.ssl_options.ca) == ('geh"eim', "/ca.pem")
    assert not config.skip_db_creation


def test_postgresql_has_its_parts(environment):
    config = make_connection_config("postgresql://u@db:99/d?sslmode=require").postgresql
    assert (config.host, config.port, config.user, config.dbname) == ("db", "99", "u", "d")
    assert (config.password, config.ssloption.sslmode) == ('geh"eim', "require")


def test_a_grpc_server_has_its_parts():
    config = make_connection_config("grpc://db:99")
    assert (config.host, config.port) == ("db", 99)


def test_a_new_store_is_made_and_read(tmp_path):
    path = tmp_path / "deeper" / "new.sqlite"
    open_store(path, read_only=False)
    assert path.is_file()
    assert open_store(path).get_contexts() == []


def test_reading_what_is_not_there_makes_nothing(tmp_path):
    with pytest.raises(SettingsError, match="no metadata of this pipeline yet"):
        open_store(tmp_path / "none.sqlite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "text"), [(b"", "run the pipeline first"), (b"no database" * 100, "SQLite file")]
)
def test_a_file_that_is_no_store_is_told_at_once(tmp_path, content, text, monkeypatch):
    monkeypatch.setattr(store.time, "sleep", lambda seconds: pytest.fail("tried again"))
    path = tmp_path / "other.sqlite"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=text):
        open_store(path)


@pytest.mark.parametrize("scheme", ["mysql", "postgresql", "grpc"])
def test_a_server_that_is_not_there_is_tried_again_and_told(environment, scheme, capfd):
    waited = []
    environment.setattr(store.time, "sleep", waited.append)
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        account, database = ("", "") if scheme == "grpc" else ("u@", "/d")
        with pytest.raises(SettingsError, match=f"nothing answers at 127.0.0.1:{port}") as raised:
            open_store(f"{scheme}://{account}127.0.0.1:{port}{database}")
    assert len(waited) >= 3
    assert sum(waited) < 6
    assert "geh" not in str(raised.value)
    assert "metadata_source" not in capfd.readouterr().err


def test_threads_leave_standard_error_where_it_was(tmp_path, capfd):
    open_store(tmp_path / "m.sqlite", read_only=False)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: open_store(tmp_path / "m.sqlite"), range(40)))
    os.write(2, b"still here")
    assert "still here" in capfd.readouterr().err


def test_passwords_stay_out_of_the_log(environment, caplog):
    config = make_connection_config("mysql://u@h/d")
    with caplog.at_level(logging.INFO, "absl"):
        logger = logging.getLogger("absl")
        logger.info("Using connection config:\n %s", config)
        logger.info("bytes %r and %s", config.SerializeToString(), 'geh"eim')
        logger.info("%s of %s", 1, 2)
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert 'password: "***"' in text
    assert "geh" not in text
    assert "1 of 2" in text


def test_only_asking_imports_ml_metadata():
    source = Path(store.__file__).read_text()
    assert "\nimport ml_metadata" not in source
    assert "\nfrom ml_metadata" not in source
