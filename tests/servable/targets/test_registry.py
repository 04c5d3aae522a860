"""What is said of runtimes is what TensorFlow's release notes, and the installed TensorFlow itself, say."""

import pytest

from servable.errors import SettingsError
from servable.targets.registry import CURRENT_VERSION, list_versions, load_registry


def test_versions_of_platforms_are_known_oldest_first():
    series = [version.rpartition(".")[0] for version in list_versions()]
    assert series == [
        "1.12",
        "1.14",
        "1.15",
        "2.3",
        "2.4",
        "2.6",
        "2.7",
        "2.11",
        "2.15",
        "2.16",
        "2.18",
        "2.21",
    ]


@pytest.mark.parametrize(
    ("op", "first"),
    [
        ("MatMul", "1.12.3"),
        ("BatchMatMulV2", "1.14.0"),
        ("SelectV2", "1.14.0"),
        ("Einsum", "1.15.5"),
        ("RaggedTensorToTensor", "1.15.5"),
        ("ParseExampleV2", "2.3.4"),
        ("DisableCopyOnRead", "2.11.1"),
    ],
)
def test_ops_are_there_from_the_version_on_that_brought_them(op, first):
    versions = list_versions()
    for version in versions:
        assert (op in load_registry(version).ops) == (versions.index(version) >= versions.index(first))


def test_kernels_are_those_of_a_cpu():
    old, new = load_registry("1.12.3"), load_registry(CURRENT_VERSION)
    # Its kernel lay in tf.contrib until 1.15.
    assert "BlockLSTM" in old.ops
    assert "BlockLSTM" not in old.kernels
    assert "BlockLSTM" in new.kernels
    assert "CudnnRNNV3" in new.ops
    assert "CudnnRNNV3" not in new.kernels


def test_attributes_are_found_by_name():
    registry = load_registry("2.11.1")
    transpose = registry.find_attr("MatMul", "transpose_a")
    assert transpose is not None
    assert not transpose.default_value.b
    assert registry.find_attr("MatMul", "grad_a") is None
    assert registry.find_attr("NoSuchOp", "T") is None


def test_an_unknown_version_is_told():
    with pytest.raises(SettingsError, match=r"1\.13\.1"):
        load_registry("1.13.1")


@pytest.mark.tensorflow
def test_the_newest_registry_is_that_of_the_installed_tensorflow():
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    assert tf.__version__ == CURRENT_VERSION
    for name, definition in load_registry(CURRENT_VERSION).ops.items():
        own = op_def_registry.get(name)
        assert own is not None, name
        assert [attr.name for attr in own.attr] == [attr.name for attr in definition.attr]
        assert [arg.name for arg in own.input_arg] == [arg.name for arg in definition.input_arg]
        assert [arg.name for arg in own.output_arg] == [arg.name for arg in definition.output_arg]
