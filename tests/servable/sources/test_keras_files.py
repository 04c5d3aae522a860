"""The look at containers: HDF5 files and zip archives that reach outside themselves, lie or are damaged."""

import io
import stat
import struct
import zipfile

import h5py
import numpy as np
import pytest

from servable.errors import BrokenSourceError, UnsafeSourceError
from servable.sources.keras_files import layout
from servable.sources.keras_files.archive import open_checked_archive, open_weights
from servable.sources.keras_files.config_json import parse_config
from servable.sources.keras_files.hdf5 import open_checked_hdf5
from servable.sources.keras_files.layout import check_weights


@pytest.fixture
def hdf5_path(tmp_path):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file["model_weights/dense/kernel:0"] = np.arange(6.0).reshape(2, 3)
    return path


def _open_hdf5(path):
    with open_checked_hdf5(path, where="model.h5") as file:
        return file["model_weights/dense/kernel:0"][()]


def test_a_plain_file_is_opened(hdf5_path):
    np.testing.assert_array_equal(_open_hdf5(hdf5_path), [[0, 1, 2], [3, 4, 5]])


def test_compressed_data_pass(hdf5_path):
    with h5py.File(hdf5_path, "a") as file:
        file.create_dataset("zeros", data=np.zeros(1 << 22), compression="gzip", shuffle=True)
    _open_hdf5(hdf5_path)


def test_a_circle_of_hard_links_ends(hdf5_path):
    with h5py.File(hdf5_path, "a") as file:
        file["model_weights/dense/again"] = file["model_weights"]
    _open_hdf5(hdf5_path)


def _add_external_link(file):
    file["model_weights/dense/bias:0"] = h5py.ExternalLink("/etc/other.h5", "/x")


def _add_soft_link(file):
    file["model_weights/dense/bias:0"] = h5py.SoftLink("/elsewhere")


def _add_linked_group(file):
    file["linked"] = h5py.ExternalLink("other.h5", "/")


def _add_external_storage(file):
    file["model_weights"].create_dataset("raw", (4,), "f4", external=[("/etc/hostname", 0, 16)])


def _add_virtual_dataset(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (4,))
    file["model_weights"].create_virtual_dataset("virtual", layout)


def _add_empty_giant(file):
    file["model_weights"].create_dataset("giant", (1 << 40,), "f4", chunks=(1024,))


@pytest.mark.parametrize(
    ("add", "said"),
    [
        (_add_external_link, "external link"),
        (_add_soft_link, "soft link"),
        (_add_linked_group, "external link"),
        (_add_external_storage, "external storage"),
        (_add_virtual_dataset, "virtual dataset"),
        (_add_empty_giant, "declares far more bytes"),
    ],
)
def test_a_file_that_reaches_outside_or_lies_is_unsafe(hdf5_path, add, said):
    with h5py.File(hdf5_path, "a") as file:
        add(file)
    with pytest.raises(UnsafeSourceError, match=said) as caught:
        _open_hdf5(hdf5_path)
    assert "model.h5, /" in caught.value.where


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "not HDF5"),
        (lambda data: b"PK" + data[2:], "not HDF5"),
        (lambda data: data[: len(data) // 2], "cut short"),
    ],
)
def test_damage_is_told(hdf5_path, damage, said):
    hdf5_path.write_bytes(damage(hdf5_path.read_bytes()))
    with pytest.raises(BrokenSourceError, match=said):
        _open_hdf5(hdf5_path)


MEMBERS = {"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": b"weights" * 10}


def _write_zip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_weights_are_read_at_any_place(tmp_path, compression):
    path = _write_zip(tmp_path / "model.keras", MEMBERS.items(), compression)
    with open_checked_archive(path) as archive, open_weights(archive, path) as weights:
        assert weights.seek(-7, io.SEEK_END) == 63
        assert weights.read() == b"weights"
        weights.seek(7)
        assert weights.read(3) == b"wei"


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "/etc/evil", "assets/../../evil", "assets\\..\\evil", "assets/C:evil", "evil.py"],
)
def test_names_that_keras_never_writes_are_unsafe(tmp_path, name):
    path = _write_zip(tmp_path / "model.keras", [*MEMBERS.items(), (name, b"x")])
    with pytest.raises(UnsafeSourceError, match="does not write"), open_checked_archive(path):
        pass


def test_assets_pass(tmp_path):
    members = [*MEMBERS.items(), ("assets/layers/lookup/vocabulary.txt", b"a\n")]
    with open_checked_archive(_write_zip(tmp_path / "model.keras", members)) as archive:
        assert len(archive.infolist()) == 4


def test_a_member_twice_is_unsafe(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = _write_zip(tmp_path / "model.keras", [*MEMBERS.items(), ("config.json", b"{1}")])
    with pytest.raises(UnsafeSourceError, match="twice"), open_checked_archive(path):
        pass


def test_a_symbolic_link_is_unsafe(tmp_path):
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = _write_zip(tmp_path / "model.keras", [*MEMBERS.items(), (link, b"/etc")])
    with pytest.raises(UnsafeSourceError, match="symbolic link"), open_checked_archive(path):
        pass


def test_a_bomb_is_unsafe_before_it_is_unpacked(tmp_path):
    members = [*MEMBERS.items(), ("assets/zeros", bytes(32 << 20))]
    path = _write_zip(tmp_path / "model.keras", members, zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeSourceError, match="far more bytes"), open_checked_archive(path):
        pass


def test_overlapping_members_are_unsafe(tmp_path):
    big = bytes(np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8))
    path = _write_zip(tmp_path / "model.keras", [*MEMBERS.items(), ("assets/a", big), ("assets/b", b"")])
    data = bytearray(path.read_bytes())
    # The second asset's entry in the central directory is made to name the first one's bytes too.
    entry = data.rindex(b"PK\x01\x02")
    struct.pack_into("<II", data, entry + 20, len(big), len(big))
    path.write_bytes(data)
    with pytest.raises(UnsafeSourceError, match="overlap"), open_checked_archive(path):
        pass


@pytest.mark.parametrize("missing", MEMBERS)
def test_a_missing_member_is_named(tmp_path, missing):
    members = [(name, data) for name, data in MEMBERS.items() if name != missing]
    path = _write_zip(tmp_path / "model.keras", members)
    with pytest.raises(BrokenSourceError, match=missing), open_checked_archive(path):
        pass


def test_json_of_too_many_values_is_not_parsed():
    with pytest.raises(ValueError, match="at most 5000000"):
        parse_config("[" + "{}," * 6_000_000 + "{}]")
    assert parse_config('{"a": [1, "b"]}') == {"a": [1, "b"]}


def test_one_list_of_weights_in_many_layers_is_refused(hdf5_path, monkeypatch):
    monkeypatch.setattr(layout, "MAX_OBJECTS", 1000)
    with h5py.File(hdf5_path, "a", libver="latest") as file:
        weights = file["model_weights"]
        weights["dense"].attrs["weight_names"] = np.full(100, b"kernel:0")
        for number in range(30):
            weights[f"again_{number}"] = weights["dense"]
        weights.attrs["layer_names"] = [f"again_{number}".encode() for number in range(30)]
        with pytest.raises(UnsafeSourceError, match="too many weights"):
            check_weights(file, "model.h5")
