"""What is mended of ML Metadata on PostgreSQL, with the database's part played by a few lines."""

from __future__ import annotations

import inspect

import pytest
from ml_metadata import errors
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

from pipelines.metadata.postgresql import mend_postgresql


class Database:
    """Refuses backslashes and second external ids, as PostgreSQL does; keeps what it is given."""

    def __init__(self) -> None:
        self.types: list[metadata_store_pb2.ArtifactType] = []
        self.artifacts: list[metadata_store_pb2.Artifact] = []
        self.rival: metadata_store_pb2.ArtifactType | None = None

    def answer(self, store, method_name, request, response, extra_options=None):
        if b"\\" in request.SerializeToString():
            raise errors.InternalError('syntax error at or near "{"')
        if method_name == "GetArtifactType":
            found = [one for one in self.types if one.name == request.type_name]
            if not found:
                raise errors.NotFoundError(request.type_name)
            response.artifact_type.CopyFrom(found[0])
        elif method_name == "PutArtifactType":
            self.put_type(request.artifact_type, response)
        elif method_name == "PutArtifacts":
            self.artifacts += request.artifacts
        elif method_name == "GetArtifactsByID":
            response.artifacts.extend(reversed(self.artifacts))

    def put_type(self, wanted, response):
        if self.rival is not None:  # another process was quicker by a hair
            self.types, self.rival = [self.rival], None
        known = [one for one in self.types if one.name == wanted.name]
        if known and wanted.external_id:
            raise errors.InternalError("duplicate key value violates unique constraint")
        if not known:
            self.types.append(metadata_store_pb2.ArtifactType.FromString(wanted.SerializeToString()))
        response.type_id = 1


@pytest.fixture
def database(monkeypatch) -> Database:
    database = Database()
    # A function, which the class binds to a store; a bound method it would not.
    monkeypatch.setattr(MetadataStore, "_call", lambda store, *rest: database.answer(store, *rest))  # noqa: PLW0108
    mend_postgresql()
    return database


@pytest.fixture
def store(database) -> MetadataStore:
    store = MetadataStore.__new__(MetadataStore)
    store._config = metadata_store_pb2.ConnectionConfig(
        postgresql=metadata_store_pb2.PostgreSQLDatabaseConfig(host="db")
    )
    return store


def test_a_new_type_has_an_external_id(store, database):
    assert store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model")) == 1
    assert [one.external_id for one in database.types] == ["artifact_type:Model"]
    # As TFX does before each node; it is there.
    assert store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model")) == 1
    assert len(database.types) == 1


def test_who_comes_second_takes_what_is_there(store, database):
    database.rival = metadata_store_pb2.ArtifactType(name="Model", external_id="artifact_type:Model")
    assert store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model")) == 1
    assert len(database.types) == 1


def test_backslashes_come_back_as_they_were(store):
    text = '{"message": "line\\nline", "path": "C:\\\\models", "name": "m\\u00e4rz"}'
    artifact = metadata_store_pb2.Artifact(uri="a\\b", id=1)
    artifact.custom_properties["reasons"].string_value = text
    artifact.custom_properties["step"].int_value = 7
    store.put_artifacts([artifact])
    assert artifact.uri == "a\\b"  # the caller's own is left alone
    (back,) = store.get_artifacts_by_id([1])
    assert (back.uri, back.custom_properties["reasons"].string_value) == ("a\\b", text)
    assert back.custom_properties["step"].int_value == 7


def test_answers_come_in_the_order_of_the_question(store):
    store.put_artifacts([metadata_store_pb2.Artifact(id=number) for number in (1, 2, 3)])
    assert [one.id for one in store.get_artifacts_by_id([1, 3, 2])] == [1, 3, 2]


def test_other_databases_are_left_alone(store, database):
    store._config = metadata_store_pb2.ConnectionConfig(
        mysql=metadata_store_pb2.MySQLDatabaseConfig(host="db")
    )
    store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model"))
    assert [one.external_id for one in database.types] == [""]
    store._config = metadata_store_pb2.MetadataStoreClientConfig(host="db")
    store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model"))


def test_mending_twice_does_no_more(database):
    before = MetadataStore._call
    mend_postgresql()
    assert MetadataStore._call is before


def test_ml_metadata_still_has_what_is_mended():
    assert list(inspect.signature(MetadataStore._call).parameters)[:4] == [
        "self",
        "method_name",
        "request",
        "response",
    ] or getattr(MetadataStore._call, "_mended_by_servable", False)
    assert hasattr(metadata_store_service_pb2, "GetExecutionTypeRequest")
