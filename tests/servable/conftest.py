"""Fixtures of the core's tests: old runtimes, where the user's cache has them."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from servable.errors import CheckError
from servable.runtime.installed import find_runtime


@pytest.fixture
def old_runtime():
    """Gives an installed runtime by its version; skips the test where that one is not there."""

    def find(version):
        try:
            return find_runtime(version)
        except CheckError as error:
            pytest.skip(f"TensorFlow {version} is not installed; {error.advice}")

    return find


def find_schema_faults(value, schema, root=None, at="$"):
    """Says where a value breaks a JSON Schema, of which it knows the words that ours uses."""
    root = root or schema
    known = {"$schema", "$comment", "$defs", "$ref", "title", "description", "type", "required", "properties"}
    known |= {"additionalProperties", "items", "enum", "const"}
    assert not schema.keys() - known, f"{at}: a word that is not known here"
    if "$ref" in schema:
        assert schema["$ref"].startswith("#/$defs/")
        return find_schema_faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    types |= {"integer": int, "number": (int, float)}
    wanted = schema.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted and not any(
        isinstance(value, types[name]) and (name not in ("integer", "number") or is_number) for name in wanted
    ):
        return [f"{at}: expected {wanted}, received {value!r}"]
    faults = []
    if "const" in schema and value != schema["const"]:
        faults.append(f"{at}: expected {schema['const']!r}, received {value!r}")
    if "enum" in schema and value not in schema["enum"]:
        faults.append(f"{at}: expected one of {schema['enum']}, received {value!r}")
    if isinstance(value, dict):
        faults += [f"{at}: {key} is missing" for key in schema.get("required", []) if key not in value]
        others = schema.get("additionalProperties", {})
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, others)
            faults += find_schema_faults(item, inner, root, f"{at}.{key}")
    if isinstance(value, list) and "items" in schema:
        for position, item in enumerate(value):
            faults += find_schema_faults(item, schema["items"], root, f"{at}[{position}]")
    return faults


@pytest.fixture(scope="session")
def report_faults():
    """Says where a report, as plain JSON values, breaks the schema that the package brings."""
    schema = json.loads(files("servable").joinpath("report.schema.json").read_text(encoding="utf-8"))
    return lambda value: find_schema_faults(value, schema)
