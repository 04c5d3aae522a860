"""The user's file of custom objects: three ways to offer them, and what is said when it fails."""

from types import SimpleNamespace

import pytest

from servable.errors import SettingsError
from servable.sources.user_code.custom_objects import load_custom_objects


class _FakeKeras(SimpleNamespace):
    """Stands for either Keras: only the registry of custom objects is asked."""

    def __init__(self):
        self.registry = {"registered before": object()}
        super().__init__(saving=SimpleNamespace(get_custom_objects=lambda: self.registry))


@pytest.fixture
def load(tmp_path):
    def load(text, keras=None):
        path = tmp_path / "objects.py"
        path.write_text(text)
        return load_custom_objects(path, keras or _FakeKeras())

    return load


def test_a_mapping_and_a_function_are_joined(load):
    found = load(
        "CUSTOM_OBJECTS = {'a': 1}\ndef custom_objects(keras): return {'b': keras}\n", keras := _FakeKeras()
    )
    assert found == {"a": 1, "b": keras}


def test_registered_classes_are_found(load):
    keras = _FakeKeras()
    text = "def custom_objects(keras):\n    keras.registry['lab>Scale'] = float\n    return {}\n"
    assert load(text, keras) == {"lab>Scale": float}


def test_dataclasses_in_the_file_work(load):
    text = (
        "from __future__ import annotations\nimport dataclasses\n"
        "@dataclasses.dataclass\nclass Scale:\n    by: float = 1.0\nCUSTOM_OBJECTS = {'Scale': Scale}\n"
    )
    assert load(text)["Scale"]().by == 1.0


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("x = 1\n", "no such names"),
        ("CUSTOM_OBJECTS = [1]\n", "list"),
        ("CUSTOM_OBJECTS = {1: 2}\n", "dict"),
        ("custom_objects = 3\n", "int"),
        ("def custom_objects(keras): pass\n", "NoneType"),
        ("\nraise RuntimeError('no license')\n", "RuntimeError: no license"),
        ("import a_module_that_is_not_there\n", "ModuleNotFoundError"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("def custom_objects(keras): return {'a': 1 / 0}\n", "ZeroDivisionError"),
        ("def (:\n", "SyntaxError"),
    ],
)
def test_a_file_that_fails_says_why(load, text, received):
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert received in caught.value.received
    assert "objects.py" in caught.value.where


def test_the_failing_line_is_named(load):
    with pytest.raises(SettingsError) as caught:
        load("def f():\n    raise ValueError('here')\n\nf()\n")
    assert caught.value.where.endswith("line 2")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(SettingsError, match="no such file"):
        load_custom_objects(tmp_path / "none.py", _FakeKeras())
