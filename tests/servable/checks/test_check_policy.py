import pytest

from servable.checks.policy import CHECK_NAMES, CheckPolicy
from servable.checks.suite import CHECKS
from servable.checks.tolerances import Tolerance
from servable.errors import SettingsError
from servable.report import Severity


def test_names_are_those_of_the_checks_in_their_order():
    assert tuple(check.name for check in CHECKS) == CHECK_NAMES


def test_checks_need_only_earlier_ones():
    for position, check in enumerate(CHECKS):
        assert set(check.needs) <= {earlier.name for earlier in CHECKS[:position]}


def test_reads_every_key():
    policy = CheckPolicy.from_dict(
        {
            "tolerances": {"float32": {"atol": "1e-6", "rtol": 0}},
            "output_tolerances": {"scores": {"atol": 0.1, "rtol": 0}},
            "version_folder": True,
            "budget": {"latency_p99_s": "1e-3"},
            "severities": {"weights": "warning"},
            "switched_off": ["batch"],
            "load_time_s": 10,
            "run_time_s": 1.5,
            "memory_bytes": 1000,
            "batch_sizes": [1, 8],
            "target": "kserve",
        }
    )
    assert policy == CheckPolicy(
        tolerances={"float32": Tolerance(1e-6, 0.0)},
        output_tolerances={"scores": Tolerance(0.1, 0.0)},
        version_folder=True,
        budget={"latency_p99_s": 0.001},
        severities={"weights": Severity.WARNING},
        switched_off=frozenset({"batch"}),
        load_time_s=10.0,
        run_time_s=1.5,
        memory_bytes=1000,
        batch_sizes=(1, 8),
        target="kserve",
    )


def test_all_unknown_keys_and_wrong_values_are_told_at_once():
    with pytest.raises(SettingsError) as caught:
        CheckPolicy.from_dict(
            {
                "atoll": 1,
                "run_time": 2,
                "severities": {"weights": "fatal"},
                "batch_sizes": [1.5],
                "switched_off": "x",
            }
        )
    for words in ("atoll", "run_time: not known", "fatal", "1.5", "list of names"):
        assert words in caught.value.received


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"switched_off": ["layouts"]}, "no check 'layouts'"),
        ({"switched_off": ["tags"]}, "tags is always made"),
        ({"severities": {"weight": "error"}}, "no check 'weight'"),
        ({"tolerances": {"int32": {"atol": 1, "rtol": 0}}}, "int32"),
        ({"tolerances": {"float32": {"atol": -1, "rtol": 0}}}, "negative"),
        ({"tolerances": {"float32": {"atol": 1}}}, "takes atol and rtol"),
        ({"output_tolerances": {"y": {"atol": 0, "rtol": -1}}}, "y must not be negative"),
        ({"version_folder": 1}, "true or false"),
        ({"run_time_s": 0}, "run_time_s"),
        ({"run_time_s": True}, "must be a number"),
        ({"batch_sizes": [0]}, "batch_sizes"),
        ({"severities": ["weights"]}, "severities"),
    ],
)
def test_faults_are_named(settings, words):
    with pytest.raises(SettingsError) as caught:
        CheckPolicy.from_dict(settings)
    assert words in caught.value.received


def test_exact_types_tolerate_nothing_and_short_floats_more():
    policy = CheckPolicy()
    assert policy.find_tolerance("int64") == Tolerance(0.0, 0.0)
    assert policy.find_tolerance("bfloat16").rtol > policy.find_tolerance("float16").rtol
    assert policy.find_tolerance("float16").rtol > policy.find_tolerance("float32").rtol


def test_tolerance_of_an_output_stands_above_that_of_its_type():
    mine, signatures_own = Tolerance(1.0, 0.0), Tolerance(2.0, 0.0)
    policy = CheckPolicy(output_tolerances={"y": mine, "a/y": signatures_own})
    assert policy.find_tolerance("float32", signature="b", output="y") == mine
    assert policy.find_tolerance("float32", signature="a", output="y") == signatures_own
    assert policy.find_tolerance("float32", signature="a", output="z") == CheckPolicy().find_tolerance(
        "float32"
    )


def test_batches_of_64_are_tried_by_default():
    assert CheckPolicy().batch_sizes == (1, 2, 3, 7, 64)
