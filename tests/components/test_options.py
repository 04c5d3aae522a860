"""Options as JSON text and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.options import (
    add_target,
    make_absolute,
    read_flag,
    read_options,
    read_signatures,
    require_absolute,
    write_options,
    write_signatures,
)
from servable.convert import ConversionOptions
from servable.errors import SettingsError, SignatureError
from servable.options_json import list_option_files
from servable.signature import SignatureRequest
from servable.sources.options import SourceOptions

FULL = ConversionOptions(
    signatures=(
        SignatureRequest("z", {"x": "x:0"}, {"y": "y:0"}),
        SignatureRequest("a", {"inputs": "s:0"}, {"scores": "p:0"}, "classify"),
    ),
    frozen={"is_training": False, "keep_prob": 1.0, "count": 3, "mode": "serve"},
    source=SourceOptions(
        step=300,
        module=Path("/data/model.py"),
        architecture=Path("/data/model.json"),
        custom_objects=Path("/data/objects.py"),
        replace_layers={"lambda_1": "/data/layers.py:double"},
        ema=True,
        tags=("serve", "gpu"),
        assets={"vocab.txt": Path("/data/words.txt")},
        allowed_ops=frozenset({"ReadFile"}),
        keep_training_ops=True,
    ),
    inputs=Path("/data/inputs.npz"),
    default_signature=None,
    make_baseline=False,
    target="pai-eas/tensorflow_cpu_2.7",
)


@pytest.mark.parametrize("options", [FULL, ConversionOptions()], ids=["every option", "no option"])
def test_options_survive_the_way_through_text(options):
    signatures = write_signatures(options.signatures)
    read = read_options(write_options(options), signatures=signatures)
    assert read == options
    # bool and int are equal in Python, but not to a graph.
    assert [type(value) for value in read.frozen.values()] == [
        type(options.frozen[key]) for key in read.frozen
    ]


def test_order_of_signatures_survives():
    assert [item.name for item in read_signatures(write_signatures(FULL.signatures))] == ["z", "a"]


def test_equal_options_are_one_text():
    one = ConversionOptions(frozen={"a": 1, "b": 2})
    other = ConversionOptions(frozen={"b": 2, "a": 1})
    assert write_options(one) == write_options(other)


@pytest.mark.parametrize("text", [None, "", "None", "{}"])
def test_nothing_means_defaults(text):
    assert read_options(text, signatures=text) == ConversionOptions()


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"frozn": {}}', "frozn"),
        ('{"target": "tensorflow-2.8"}', "tensorflow-2.7"),
    ],
)
def test_wrong_options_are_told(text, fragment):
    with pytest.raises(SettingsError, match=fragment):
        read_options(text)


def test_wrong_signature_is_told():
    with pytest.raises(SignatureError, match="method"):
        read_signatures(json.dumps({"a": {"method": "predictt"}}))


def test_switch_that_is_no_plain_value_is_told():
    with pytest.raises(SettingsError, match="object"):
        write_options(ConversionOptions(frozen={"a": object()}))  # type: ignore[dict-item]


def test_files_that_shape_the_result_are_listed():
    assert list_option_files(FULL) == {
        "asset vocab.txt": Path("/data/words.txt"),
        "layer lambda_1": Path("/data/layers.py"),
        "module": Path("/data/model.py"),
        "architecture": Path("/data/model.json"),
        "custom objects": Path("/data/objects.py"),
        "inputs": Path("/data/inputs.npz"),
    }
    assert list_option_files(ConversionOptions()) == {}


def test_relative_paths_are_fixed_but_links_are_kept(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "newest").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert require_absolute("newest/../newest/m.h5") == tmp_path / "newest" / "m.h5"
    assert make_absolute(None) is None


def test_a_target_goes_into_the_policy_by_its_full_name():
    assert add_target({"run_time_s": 9}, "tensorflow_cpu_2.7") == {
        "run_time_s": 9,
        "target": "pai-eas/tensorflow_cpu_2.7",
    }
    assert add_target({"target": "2.7"}, "tensorflow-2.7") == {"target": "tensorflow-2.7"}


@pytest.mark.parametrize("policy", [{}, {"target": "kserve"}])
def test_no_target_in_particular_leaves_the_say_to_the_policy(policy):
    assert add_target(policy, "current") == policy


@pytest.mark.parametrize(
    ("policy", "target", "fragment"),
    [
        ({}, "tensorflow-2.8", "no such target"),
        ({"target": "kserve"}, "tensorflow-2.7", "names another target"),
        ({"target": "kservee"}, "tensorflow-2.7", "no such target"),
    ],
)
def test_targets_that_are_unknown_or_contradict_each_other_are_told(policy, target, fragment):
    with pytest.raises(SettingsError, match=fragment):
        add_target(policy, target)


def test_object_store_is_refused():
    with pytest.raises(SettingsError, match="gs://bucket/m"):
        require_absolute("gs://bucket/m")


@pytest.mark.parametrize(
    ("value", "flag"), [(None, False), ("None", False), (0, False), (1, True), (1.0, True), ("1", True)]
)
def test_flags_are_read_as_every_runner_hands_them_in(value, flag):
    assert read_flag(value) is flag
