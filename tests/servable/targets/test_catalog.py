import pytest

from servable.errors import SettingsError
from servable.targets.catalog import CURRENT, find_target, list_targets


@pytest.mark.parametrize(
    ("name", "found", "version"),
    [
        ("1.15", "tensorflow-1.15", "1.15.5"),
        ("1.15.5", "tensorflow-1.15", "1.15.5"),
        ("tensorflow-1.15.5", "tensorflow-1.15", "1.15.5"),
        ("TensorFlow-Serving-2.6", "tensorflow-serving-2.6", "2.6.5"),
        ("kserve", "kserve", "2.6.5"),
        ("pai-eas/tensorflow_cpu_2.7", "pai-eas/tensorflow_cpu_2.7", "2.7.4"),
        ("tensorflow_gpu_1.12", "pai-eas/tensorflow_gpu_1.12", "1.12.3"),
        ("current", "current", "2.21.0"),
    ],
)
def test_targets_are_found_by_the_names_that_people_use(name, found, version):
    target = find_target(name)
    assert (target.name, target.version) == (found, version)


def test_every_target_is_found_by_its_own_name():
    names = [target.name for target in list_targets()]
    assert len(set(names)) == len(names)
    assert [find_target(name).name for name in names] == names
    assert names[0] == CURRENT
    # Alibaba's list has no GPU processor of 2.3.
    assert sum(name.startswith("pai-eas/") for name in names) == 11
    assert "pai-eas/tensorflow_gpu_2.3" not in names


def test_an_unknown_name_is_told_with_its_neighbours():
    with pytest.raises(SettingsError) as caught:
        find_target("pai-eas/tensorflow_cpu_2.6")
    assert "pai-eas/tensorflow_cpu_2.7" in caught.value.expected
    assert "servable targets" in caught.value.advice


@pytest.mark.parametrize(
    ("name", "is_strict", "is_v1"),
    [
        ("1.12", True, True),
        ("1.15", True, True),
        ("2.3", True, False),
        ("2.4", True, False),
        ("2.6", False, False),
    ],
)
def test_loaders_are_strict_up_to_2_4_and_graphs_of_version_1_up_to_1_15(name, is_strict, is_v1):
    target = find_target(name)
    assert (target.is_strict, target.is_v1) == (is_strict, is_v1)


def test_wires_carry_what_their_messages_have_fields_for():
    eas, serving = find_target("tensorflow_cpu_2.7"), find_target("tensorflow-serving-2.7")
    assert {"float32", "int64", "string", "bool"} <= eas.wire_dtypes
    assert {"uint32", "uint64", "float16"} & eas.wire_dtypes == set()
    assert {"uint32", "uint64", "float16"} <= serving.wire_dtypes
    assert {"resource", "variant"} & serving.wire_dtypes == set()
