"""Runtimes on this machine as a part of the cache key."""

from __future__ import annotations

import json

import pytest

from components.runtimes_here import describe_runtimes_here
from servable.errors import SettingsError
from servable.runtime.installed import RECORD_NAME


@pytest.fixture
def add_runtime(monkeypatch, tmp_path):
    monkeypatch.setenv("SERVABLE_CACHE_DIR", str(tmp_path))

    def add(version: str) -> None:
        folder = tmp_path / "runtimes" / version
        folder.mkdir(parents=True)
        (folder / "lib.so").touch()
        (folder / RECORD_NAME).write_text('{"library": "lib.so", "wheel": "w.whl"}')

    return add


def describe(**policy: object) -> dict[str, str]:
    return describe_runtimes_here({"policy": json.dumps(policy), "signatures": "{}"})


def test_only_wanted_runtimes_that_are_installed_count(add_runtime):
    assert describe(target="kserve") == {"runtimes_here": "none"}
    add_runtime("1.15.5")
    assert describe(target="kserve") == {"runtimes_here": "none"}
    assert describe(target="kserve", runtimes=["1.15"]) == {"runtimes_here": "1.15.5"}
    add_runtime("2.6.5")
    assert describe(target="kserve") == {"runtimes_here": "2.6.5"}
    assert describe(target="kserve", runtimes=["1.15", "2.3"]) == {"runtimes_here": "1.15.5, 2.6.5"}


def test_a_node_without_a_policy_has_no_such_property(add_runtime):
    assert describe_runtimes_here({"source": "m", "options": "{}"}) == {}


def test_a_wrong_policy_is_told(add_runtime):
    with pytest.raises(SettingsError, match=r"tensorflow-2\.7"):
        describe(target="tensorflow-2.8")
