"""What may be given anew for one run of a DAG, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.on_airflow.parameters import apply_parameters, list_parameters
from pipelines.settings import Settings
from pipelines.settings_file import load_settings
from servable.errors import SettingsError


@pytest.fixture
def settings(tmp_path: Path, settings_writer) -> Settings:
    return load_settings(settings_writer(tmp_path))


def test_every_model_has_its_own(settings):
    assert [parameter.name for parameter in list_parameters(settings)] == [
        "enable_cache",
        "linear_tf1.step",
        "linear_tf1.source",
        "dense_keras.step",
        "dense_keras.source",
    ]


def test_null_is_allowed_everywhere(settings):
    assert all("null" in parameter.schema["type"] for parameter in list_parameters(settings))
    nothing = {parameter.name: None for parameter in list_parameters(settings)}
    assert apply_parameters(settings, nothing) == settings
    assert apply_parameters(settings, {}) == settings


def test_a_step_is_for_its_model_alone(settings):
    changed = apply_parameters(settings, {"linear_tf1.step": 7})
    assert [model.step for model in changed.models] == [7, None]
    assert changed.models[1] == settings.models[1]
    assert changed.models[0].model_copy(update={"step": None}).model_dump() == settings.models[0].model_dump()


@pytest.mark.parametrize("source", ["/models/new.keras", "gs://bucket/new.keras"])
def test_a_source_is_a_path_or_an_address(settings, source):
    changed = apply_parameters(settings, {"dense_keras.source": source})
    assert str(changed.models[1].source) == source
    assert changed.models[0] == settings.models[0]


def test_the_cache_can_be_passed_over(settings):
    assert settings.pipeline.cache
    assert not apply_parameters(settings, {"enable_cache": False}).pipeline.cache


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"linear_tf1.stp": 7}, "linear_tf1.stp: is no parameter of this pipeline; linear_tf1.step is"),
        ({"enable_cach": False}, "enable_cache is"),
        ({"linear.step": 7}, "linear.step: is no parameter"),
        ({"models": {}}, "models: is no parameter"),
        ({"linear_tf1.step": "7"}, "linear_tf1.step: .*; received '7'"),
        ({"linear_tf1.step": -1}, "linear_tf1.step: .*; received -1"),
        ({"linear_tf1.step": True}, "linear_tf1.step"),
        ({"enable_cache": "false"}, "enable_cache: takes true or false; received 'false'"),
        ({"dense_keras.source": "models/new.keras"}, "takes an absolute path"),
        ({"dense_keras.source": 3}, "dense_keras.source"),
    ],
)
def test_what_is_wrong_is_told(settings, given, told):
    with pytest.raises(SettingsError, match=told):
        apply_parameters(settings, given)


def test_every_fault_is_told_at_once(settings):
    with pytest.raises(SettingsError) as raised:
        apply_parameters(settings, {"typo": 1, "linear_tf1.step": -1, "enable_cache": 0})
    assert all(word in str(raised.value) for word in ("typo", "linear_tf1.step", "enable_cache: takes"))


def test_a_model_whose_name_begins_another_s(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(
        "pipeline: {name: p, root: r, metadata: m.sqlite}\n"
        "models: [{name: a, source: x, push: out}, {name: a-b, source: y, push: out}]\n"
    )
    changed = apply_parameters(load_settings(path), {"a-b.step": 3})
    assert [model.step for model in changed.models] == [None, 3]
