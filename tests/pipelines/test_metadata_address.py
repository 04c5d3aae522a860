"""Addresses of databases: what is taken, what is refused, and that no password is ever shown."""

from __future__ import annotations

import pytest

from pipelines.metadata.address import (
    PASSWORD_VARIABLE,
    StoreAddress,
    check_location,
    hide_password,
    is_address,
)
from servable.errors import SettingsError


def test_a_whole_address_is_taken_apart():
    address = StoreAddress.from_text("postgresql://trainer:${PW}@db.example:6432/ml%20md?sslmode=require")
    assert (address.kind, address.user, address.password) == ("postgresql", "trainer", "${PW}")
    assert (address.host, address.port, address.database) == ("db.example", "6432", "ml md")
    assert address.options == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("text", "kind", "host", "port"),
    [
        ("mysql://u@h/d", "mysql", "h", "3306"),
        ("mariadb://u@h/d", "mysql", "h", "3306"),
        ("postgres://h/d", "postgresql", "h", "5432"),
        ("grpc://h", "grpc", "h", "8080"),
        ("grpc://[::1]:99", "grpc", "::1", "99"),
        ("mysql://u@/d?socket=/run/mysqld/mysqld.sock", "mysql", "", "3306"),
        ("mysql://${USER_NAME}@${HOST}:${PORT}/d", "mysql", "${HOST}", "${PORT}"),
    ],
)
def test_short_forms_have_the_usual_ports(text, kind, host, port):
    address = StoreAddress.from_text(text)
    assert (address.kind, address.host, address.port) == (kind, host, port)
    assert check_location(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "oracle://h/d",
        "mysql://h",
        "mysql:///d",
        "mysql://h:0/d",
        "mysql://h:70000/d",
        "mysql://h:port/d",
        "grpc://u@h",
        "grpc://h/d",
        "mysql://h/d?sslmode=require",
        "mysql://h/d/e",
        "metadata.sqlite",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(SettingsError):
        check_location(text)


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:s3cret@h/d",
        "mysql://u:s3cret@h:99/d?socket=/x",
        "mysql://u:s3cret/x@h/d",
        "mysql://u:s3cret@x@h/d",
        "mysql://u:s3cret",
        "mysql://u:${A}s3cret@h/d",
        "mysql://h/d?password=s3cret",
        "oracle://u:s3cret@h/d",
        "grpc://u:s3cret@h",
        "postgresql://s3cret:s3cret@@h/d",
    ],
)
def test_a_password_in_the_text_is_refused_and_not_shown(text):
    with pytest.raises(SettingsError) as raised:
        check_location(text)
    assert "s3cret@" not in str(raised.value).replace("s3cret:***@", "")
    assert ":s3cret" not in str(raised.value)
    assert "=s3cret" not in str(raised.value)


def test_hidden_addresses_keep_what_helps():
    assert hide_password("mysql://u:p@h:99/d") == "mysql://u:***@h:99/d"
    assert hide_password("mysql://h:99/d") == "mysql://h:99/d"


def test_the_environment_fills_in():
    filled = StoreAddress.from_text("mysql://${WHO}:${PW}@${HOST}:${PORT}/d").fill_in(
        {"WHO": "trainer", "PW": "a@b:c/d", "HOST": "db", "PORT": "99"}
    )
    assert (filled.user, filled.password, filled.host, filled.port) == ("trainer", "a@b:c/d", "db", "99")


def test_a_user_without_a_password_takes_the_usual_variable():
    address = StoreAddress.from_text("mysql://u@h/d")
    assert address.fill_in({PASSWORD_VARIABLE: "pw"}).password == "pw"
    assert address.fill_in({}).password == ""
    assert StoreAddress.from_text("postgresql://h/d").fill_in({PASSWORD_VARIABLE: "pw"}).password == ""


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(SettingsError, match="export PW="):
        StoreAddress.from_text("mysql://u:${PW}@h/d").fill_in({})


@pytest.mark.parametrize(
    ("text", "expected"), [("mysql://h/d", True), ("out/metadata.sqlite", False), ("C:\\x", False)]
)
def test_addresses_and_paths_are_told_apart(text, expected):
    assert is_address(text) is expected
