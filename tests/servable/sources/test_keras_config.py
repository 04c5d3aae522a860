"""What a Keras file says about itself: which Keras reads it, what is missing, what `inspect` tells."""

import importlib.metadata
import json
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from servable.errors import BrokenSourceError, UnknownSourceError
from servable.sources.keras_files.config import Loader, read_keras_config
from servable.sources.keras_files.facts import describe_keras

SEQUENTIAL = {
    "class_name": "Sequential",
    "config": {"name": "m", "layers": [{"class_name": "Dense", "config": {"name": "d", "units": 2}}]},
}


def _write_hdf5(path, model=SEQUENTIAL, version="2.3.1", layers=("d",), stored=("d",)):
    with h5py.File(path, "w") as file:
        if model is not None:
            file.attrs["model_config"] = model if isinstance(model, bytes) else json.dumps(model)
        if version:
            file.attrs["keras_version"] = version.encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([name.encode() for name in layers])
        for name in stored:
            group.create_group(name).attrs["weight_names"] = np.array([b"d/kernel:0"])
            group[f"{name}/d/kernel:0"] = np.zeros((3, 2), "float32")
    return path


def _write_archive(path, version):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(SEQUENTIAL))
        weights = path.with_suffix(".h5")
        with h5py.File(weights, "w"):
            pass
        archive.write(weights, "model.weights.h5")
    return path


@pytest.mark.parametrize(
    ("version", "loader"),
    [
        ("", Loader.TF_KERAS),
        ("1.2.2", Loader.TF_KERAS),
        ("2.1.6-tf", Loader.TF_KERAS),
        ("2.15.0", Loader.TF_KERAS),
        ("3.0.0.dev2024", Loader.KERAS),
        ("3.12.4", Loader.KERAS),
    ],
)
def test_every_file_before_keras_3_belongs_to_tf_keras(tmp_path, version, loader):
    config = read_keras_config(_write_hdf5(tmp_path / "m.h5", version=version), "keras-hdf5")
    assert (config.loader, config.version) == (loader, version)


def test_an_archive_of_tf_keras_belongs_to_tf_keras(tmp_path):
    path = _write_archive(tmp_path / "m.keras", "2.15.0")
    assert read_keras_config(path, "keras-archive").loader is Loader.TF_KERAS


def test_a_newer_keras_is_told_with_both_versions(tmp_path):
    installed = importlib.metadata.version("keras")
    major, minor, *_ = installed.split(".")
    same = f"{major}.{minor}.999"
    newer = f"{major}.{int(minor) + 1}.0"
    read_keras_config(_write_archive(tmp_path / "same.keras", same), "keras-archive")
    with pytest.raises(BrokenSourceError, match="newer Keras") as caught:
        read_keras_config(_write_archive(tmp_path / "newer.keras", newer), "keras-archive")
    assert newer in caught.value.received
    assert installed in caught.value.expected


def test_weights_without_a_model_ask_for_the_model(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"conv", b"dense"])
    with pytest.raises(UnknownSourceError, match="weights but no model") as caught:
        read_keras_config(tmp_path / "w.h5", "keras-hdf5-weights")
    assert "conv, dense" in caught.value.received
    assert "--architecture" in caught.value.advice


def test_layers_without_their_weights_are_all_named(tmp_path):
    path = _write_hdf5(tmp_path / "m.h5", layers=("d", "e", "f"), stored=("d",))
    with pytest.raises(BrokenSourceError, match="missing") as caught:
        read_keras_config(path, "keras-hdf5")
    assert "'e'" in caught.value.problem
    assert "'f'" in caught.value.problem
    assert "'d'" not in caught.value.problem


def test_a_weight_that_is_listed_but_not_stored_is_named(tmp_path):
    path = _write_hdf5(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        del file["model_weights/d/d/kernel:0"]
    with pytest.raises(BrokenSourceError, match="d/kernel:0"):
        read_keras_config(path, "keras-hdf5")


@pytest.mark.parametrize("model", [b'{"class_name": "Sequ', b"[]", b'{"config": {}}', b"null"])
def test_a_broken_configuration_is_told(tmp_path, model):
    with pytest.raises(BrokenSourceError, match="model configuration"):
        read_keras_config(_write_hdf5(tmp_path / "m.h5", model=model), "keras-hdf5")


def test_names_split_over_attributes_are_joined(tmp_path):
    path = _write_hdf5(tmp_path / "m.h5", layers=())
    with h5py.File(path, "a") as file:
        group = file["model_weights"]
        del group.attrs["layer_names"]
        group.attrs["layer_names0"] = np.array([b"d"])
        group.attrs["layer_names1"] = np.array([b"gone"])
    with pytest.raises(BrokenSourceError, match="'gone'"):
        read_keras_config(path, "keras-hdf5")


@pytest.mark.parametrize("kind", ["keras-hdf5", "keras-archive", "other"])
def test_what_is_not_there_or_not_a_kind_is_unknown(tmp_path, kind):
    with pytest.raises(UnknownSourceError):
        read_keras_config(tmp_path / "none.h5", kind)


# Counted by hand from the shapes: 3 * 3 * 1 * 4 + 4 and 196 * 10 + 10, and so on.
FACTS = {
    "tfk2.15-seq_cnn-a": (
        "keras-hdf5",
        {"conv2d": 40, "dense": 1970, "dropout": 0},
        {"conv2d_input": (28, 28, 1)},
    ),
    "keras3.15-multi_io-a": ("keras-archive", {"dense": 24, "gru": 72, "cls": 24, "reg": 8}, {"left": (5,)}),
    "keras3.15-multi_io_h5-a": ("keras-hdf5", {"dense": 24, "gru": 72, "cls": 24, "reg": 8}, {"left": (5,)}),
}


@pytest.mark.parametrize("name", FACTS)
def test_layers_parameters_and_inputs_are_described(zoo, name):
    kind, parameters, inputs = FACTS[name]
    facts = describe_keras(zoo(name).source, kind)
    counted = {layer.name: layer.parameters for layer in facts.layers}
    assert {layer: counted[layer] for layer in parameters} == parameters
    assert {key: facts.inputs[key].shape for key in inputs} == {key: (None, *s) for key, s in inputs.items()}
    assert sum(counted.values()) == sum(np.prod(weight.shape, dtype=int) for weight in facts.weights)
    assert not any("optimizer" in weight.name for weight in facts.weights)


def test_the_intake_looks_without_tensorflow(zoo):
    case = zoo("tfk2.15-multi_io-a")
    code = (
        "import sys; from pathlib import Path; from servable.sources.keras_files.facts import describe_keras;"
        f"facts = describe_keras(Path({str(case.source)!r}), 'keras-hdf5');"
        "print([m for m in ('tensorflow', 'keras', 'tf_keras') if m in sys.modules], sorted(facts.inputs))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = sorted(entry["name"] for entry in case.facts["inputs"])
    assert result.stdout.strip() == f"[] {names}"
