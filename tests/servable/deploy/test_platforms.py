"""Which version of a platform takes a model, and what the options say."""

from __future__ import annotations

import pytest

from servable.deploy.choosing import choose_runtimes
from servable.deploy.options import PackOptions
from servable.deploy.platforms import Platform, find_registered, read_platforms
from servable.errors import DeployError, SettingsError
from servable.targets.catalog import find_target


@pytest.mark.parametrize(
    ("target", "platform", "release", "gate"),
    [
        ("pai-eas/tensorflow_gpu_2.4", Platform.EAS, "tensorflow_gpu_2.4", "2.4.4"),
        ("current", Platform.TF_SERVING, "2.20.0", "2.18.1"),
        ("tensorflow-2.11", Platform.KSERVE, "2.11.1", "2.11.1"),
        ("pai-eas/tensorflow_cpu_2.7", Platform.VERTEX, "2.7", "2.7.4"),
        ("current", Platform.VERTEX, "2.15", "2.15.1"),
        ("tensorflow-1.15", Platform.VERTEX, "1.15", "1.15.5"),
        ("tensorflow-2.15", Platform.SAGEMAKER, "2.14.1", "2.11.1"),
    ],
)
def test_nothing_newer_than_what_was_checked_is_chosen(target, platform, release, gate):
    chosen = choose_runtimes([platform], find_target(target), PackOptions())[platform]
    assert (chosen.release, chosen.gate.version) == (release, gate)


@pytest.mark.parametrize(
    ("options", "platform", "release", "gate"),
    [
        ({"eas": {"processor": "tensorflow_cpu_2.3"}}, Platform.EAS, "tensorflow_cpu_2.3", "2.3.4"),
        ({"kserve": {"runtime_version": "2.6.2"}}, Platform.KSERVE, "2.6.2", "2.6.5"),
        ({"tf-serving": {"release": "2.16.1-gpu"}}, Platform.TF_SERVING, "2.16.1-gpu", "2.16.2"),
        ({"vertex": {"release": "2.12"}}, Platform.VERTEX, "2.12", "2.11.1"),
    ],
)
def test_what_the_options_name_is_taken(options, platform, release, gate):
    chosen = choose_runtimes([platform], find_target("current"), PackOptions.from_dict(options))[platform]
    assert (chosen.release, chosen.gate.version) == (release, gate)


def test_a_processor_has_to_be_known():
    for name, said in (("", "Which processor"), ("tensorflow_cpu_2.9", "no such processor")):
        options = PackOptions.from_dict({"eas": {"processor": name}})
        with pytest.raises(SettingsError, match=said):
            choose_runtimes([Platform.EAS], find_target("current"), options)


def test_vertex_has_nothing_as_old_as_1_12():
    with pytest.raises(DeployError, match="as old as"):
        choose_runtimes([Platform.VERTEX], find_target("tensorflow-1.12"), PackOptions())


def test_a_version_has_to_be_one():
    for release in ("two", "0.9"):
        with pytest.raises(SettingsError, match=release):
            find_registered(release)


def test_platforms_are_read_by_name():
    assert read_platforms(["kserve", "eas", "kserve"]) == (Platform.KSERVE, Platform.EAS)
    for names in ([], ["eas", "heroku"]):
        with pytest.raises(SettingsError, match="expected: one or more of eas, tf-serving"):
            read_platforms(names)


def test_every_fault_of_the_options_is_told_at_once():
    settings = {
        "eas": {"cpu": "four", "colour": "red", "batching": 1},
        "heroku": {},
        "kserve": "fast",
        "tf-serving": {"labels": "stable"},
    }
    with pytest.raises(SettingsError) as caught:
        PackOptions.from_dict(settings)
    told = caught.value.received
    for place in ("eas.cpu", "eas.colour", "eas.batching", "heroku", "kserve", "tf-serving.labels"):
        assert f"{place}:" in told


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"eas": {"uri": "gs://b"}}, "eas.uri"),
        ({"vertex": {"uri": "b"}}, "vertex.uri"),
        ({"eas": {"instances": 0}}, "eas.instances"),
        ({"eas": {"archive": "rar"}}, "eas.archive"),
        ({"tf-serving": {"threads": 0}}, "tf-serving.threads"),
        ({"kserve": {"canary_percent": 101}}, "kserve.canary_percent"),
    ],
)
def test_values_have_to_make_sense(settings, place):
    with pytest.raises(SettingsError, match=place):
        PackOptions.from_dict(settings)
