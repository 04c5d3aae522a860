"""What a report means to TFX."""

from __future__ import annotations

import json

import pytest

from components.blessing import describe_blessing, describe_runtimes, find_input_name
from servable.report import Finding, Report, Severity

GOOD = Report("model", checked=("layout", "weights"))
BAD = Report(
    "model",
    checked=("layout", "weights"),
    findings=(
        Finding("layout", Severity.WARNING, "an empty folder"),
        Finding("weights", Severity.ERROR, "w holds NaN at [0, 1]"),
        Finding("batch", Severity.ERROR, "fails with 7 rows"),
    ),
)


def test_good_model_is_blessed_under_its_own_identity():
    properties = describe_blessing(GOOD, model_id=5, model_uri="/pipeline/model/5")
    assert properties["blessed"] == 1
    assert (properties["current_model"], properties["current_model_id"]) == ("/pipeline/model/5", 5)
    assert properties["reasons"] == ""


def test_bad_model_is_refused_with_every_reason():
    properties = describe_blessing(BAD, model_id=5, model_uri="/pipeline/model/5")
    assert properties["blessed"] == 0
    assert properties["reasons"] == "weights: w holds NaN at [0, 1]\nbatch: fails with 7 rows"
    assert "w holds NaN" in str(properties["blessing_message"])


def test_nothing_checked_is_not_blessed():
    assert describe_blessing(Report("model"), model_id=5, model_uri="u")["blessed"] == 0


def test_flag_is_a_number_since_pusher_asks_for_one():
    assert type(describe_blessing(GOOD, model_id=5, model_uri="u")["blessed"]) is int


def test_the_target_is_named_even_where_nothing_was_checked():
    properties = describe_blessing(Report("model"), model_id=5, model_uri="u", target="tensorflow_cpu_1.15")
    assert (properties["target"], properties["target_version"]) == ("pai-eas/tensorflow_cpu_1.15", "1.15.5")
    assert "runtimes" not in properties


def test_runtimes_that_answered_everything_alike_are_proven():
    def make(*, loaded=True, ran=("a", "b"), differing=()):
        return {
            "loaded": loaded,
            "ran": list(ran),
            "differing": list(differing),
            "load_time_s": 0.1,
            "peak_memory_bytes": 1,
        }

    facts = {
        "first_run_times_s": {"a": 0.1, "b": 0.1},
        "runtimes": {
            "1.15.5": make(loaded=False, ran=()),
            "2.4.4": make(ran=("a",)),
            "2.6.5": make(differing=("a/y",)),
            "2.7.4": make(),
        },
    }
    properties = describe_runtimes(Report("model", facts=facts), target="kserve")
    assert properties["proven_runtimes"] == "2.7.4"
    assert json.loads(str(properties["runtimes"]))["2.6.5"] == {
        "loaded": True,
        "ran": ["a", "b"],
        "differing": ["a/y"],
    }


def test_resource_name_takes_the_place_of_the_id():
    name = "projects/1/locations/l/metadataStores/default/artifacts/42"
    invocation = {"inputs": {"artifacts": {"model": {"artifacts": [{"name": name, "uri": "u"}]}}}}
    argv = ["run", "--executor_class_path", "x", "--json_serialized_invocation_args", json.dumps(invocation)]
    assert find_input_name("model", argv) == name
    properties = describe_blessing(GOOD, model_id=371042538993436608, model_uri="u", model_name=name)
    assert properties["current_model_id"] == name


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--json_serialized_invocation_args"],
        ["--json_serialized_invocation_args", "{"],
        ["--json_serialized_invocation_args", "{}"],
        ["--json_serialized_invocation_args", '{"inputs": {"artifacts": {"model": {"artifacts": []}}}}'],
        ["--json_serialized_invocation_args", "[]"],
    ],
)
def test_other_runners_have_no_resource_name(argv):
    assert find_input_name("model", argv) is None
