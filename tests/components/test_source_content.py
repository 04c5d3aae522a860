"""Pinning a source: the cache key follows contents, never paths or times."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from components.source_content import (
    PinnedSource,
    describe_toolchain,
    open_pinned,
    pin_source,
    verify_source,
)
from components.source_locating import open_located
from servable.convert import ConversionOptions
from servable.errors import BrokenSourceError, SettingsError, SourceError
from servable.sources.options import SourceOptions

CHECKPOINT, OTHER_CHECKPOINT = "tf1.15-lr-a", "tf1.12-lr-a"
KERAS = "keras3.15-multi_io-a"
NO_OPTIONS = ConversionOptions()


@pytest.mark.parametrize("case", [CHECKPOINT, KERAS])
def test_same_contents_are_a_hit(copy_case, case):
    folder = copy_case(case)
    first = pin_source(folder, NO_OPTIONS)
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    assert pin_source(folder, NO_OPTIONS) == first


def test_folder_is_resolved_to_the_exact_checkpoint(copy_case):
    folder = copy_case(CHECKPOINT)
    assert pin_source(folder, NO_OPTIONS).path == folder / "model.ckpt"


def test_copy_at_another_place_has_the_same_digest(copy_case):
    pins = [pin_source(copy_case(CHECKPOINT, folder), NO_OPTIONS) for folder in ("here", "there")]
    assert pins[0].source_digest == pins[1].source_digest
    assert pins[0].path != pins[1].path


def test_overwritten_in_place_is_a_miss(copy_case):
    folder = copy_case(CHECKPOINT)
    first = pin_source(folder, NO_OPTIONS)
    shutil.copytree(copy_case(OTHER_CHECKPOINT, "other"), folder, dirs_exist_ok=True)
    second = pin_source(folder, NO_OPTIONS)
    assert second.path == first.path
    assert second.source_digest != first.source_digest


def test_one_changed_bit_is_a_miss(copy_case):
    folder = copy_case(CHECKPOINT)
    first = pin_source(folder, NO_OPTIONS)
    data_path = folder / "model.ckpt.data-00000-of-00001"
    data = bytearray(data_path.read_bytes())
    data[len(data) // 2] ^= 1
    times = data_path.stat()
    data_path.write_bytes(data)
    os.utime(data_path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert pin_source(folder, NO_OPTIONS).source_digest != first.source_digest


@pytest.mark.parametrize("case", ["bad-ckpt_missing_shard-a", "bad-ckpt_truncated_data-a", "bad-empty_dir-a"])
def test_incomplete_source_is_never_taken(copy_case, case):
    with pytest.raises(SourceError):
        pin_source(copy_case(case), NO_OPTIONS)


@pytest.mark.parametrize("option", ["custom_objects", "inputs", "assets"])
def test_file_of_an_option_is_part_of_the_key(copy_case, tmp_path, option):
    folder, path = copy_case(CHECKPOINT), tmp_path / "file"
    path.write_bytes(b"one")
    if option == "inputs":
        options = ConversionOptions(inputs=path)
    else:
        said = {"vocab": path} if option == "assets" else path
        options = ConversionOptions(source=SourceOptions(**{option: said}))
    first = pin_source(folder, options)
    assert pin_source(folder, options) == first
    path.write_bytes(b"two")
    second = pin_source(folder, options)
    assert second.source_digest == first.source_digest
    assert second.options_digest != first.options_digest != pin_source(folder, NO_OPTIONS).options_digest


def test_two_assets_that_change_places_are_a_miss(copy_case, tmp_path):
    folder = copy_case(CHECKPOINT)
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    there = pin_source(folder, ConversionOptions(source=SourceOptions(assets={"a": one, "b": two})))
    back = pin_source(folder, ConversionOptions(source=SourceOptions(assets={"a": two, "b": one})))
    assert there.options_digest != back.options_digest


def test_option_file_behind_a_link_counts_by_what_it_points_to(copy_case, tmp_path):
    folder, link = copy_case(CHECKPOINT), tmp_path / "links" / "inputs.npz"
    (tmp_path / "elsewhere").mkdir()
    link.parent.mkdir()
    target = tmp_path / "elsewhere" / "inputs.npz"
    link.symlink_to(target)
    options = replace(NO_OPTIONS, inputs=link)
    target.write_bytes(b"one")
    first = pin_source(folder, options)
    target.write_bytes(b"two")
    assert pin_source(folder, options).options_digest != first.options_digest


def test_missing_option_files_are_all_told(copy_case, tmp_path):
    options = ConversionOptions(
        inputs=tmp_path / "none.npz", source=SourceOptions(custom_objects=tmp_path / "none.py")
    )
    with pytest.raises(SettingsError, match=r"none\.py.*none\.npz"):
        pin_source(copy_case(CHECKPOINT), options)


def test_pin_survives_the_way_through_properties(copy_case):
    pinned = pin_source(copy_case(CHECKPOINT), NO_OPTIONS)
    properties = pinned.to_properties()
    assert all(isinstance(value, str) for value in properties.values())
    assert PinnedSource.from_properties(properties) == pinned


@pytest.mark.parametrize("value", [None, "", "None"])
def test_missing_property_means_that_no_driver_ran(copy_case, value):
    properties = pin_source(copy_case(CHECKPOINT), NO_OPTIONS).to_properties()
    assert PinnedSource.from_properties({**properties, "source_digest": value}) is None
    assert PinnedSource.from_properties({}) is None


def test_unmoved_source_is_verified(copy_case):
    pinned = pin_source(copy_case(CHECKPOINT), NO_OPTIONS)
    verify_source(pinned, NO_OPTIONS)


@pytest.mark.parametrize("accident", ["overwritten", "cut", "removed"])
def test_source_that_moved_is_told(copy_case, accident):
    folder = copy_case(CHECKPOINT)
    pinned = pin_source(folder, NO_OPTIONS)
    data_path = folder / "model.ckpt.data-00000-of-00001"
    if accident == "overwritten":
        shutil.copytree(copy_case(OTHER_CHECKPOINT, "other"), folder, dirs_exist_ok=True)
    elif accident == "cut":
        data_path.write_bytes(data_path.read_bytes()[:-1])
    else:
        shutil.rmtree(folder)
    with pytest.raises(BrokenSourceError, match="changed while it was being read"):
        verify_source(pinned, NO_OPTIONS)


def test_toolchain_names_every_version_that_shapes_the_result():
    text = describe_toolchain()
    for name in ("tfx-servable 0.", "tensorflow 2.", "keras 3.", "tf-keras 2.", "options "):
        assert name in text


def test_a_remote_source_has_the_digest_of_the_same_files_here(copy_case, monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    folder = copy_case(CHECKPOINT)
    fsspec.filesystem("memory").put(str(folder), "memory://bucket/train", recursive=True)
    with open_located({"source": "memory://bucket/train"}, {}) as source:
        pinned = pin_source(source.path, NO_OPTIONS, address=source.address)
    assert pinned.source_digest == pin_source(folder, NO_OPTIONS).source_digest
    read = PinnedSource.from_properties(pinned.to_properties())
    assert read.name == "memory://bucket/train/model.ckpt"
    with open_pinned(read) as here:
        assert here.path.with_name("model.ckpt.index").is_file()
        verify_source(here, NO_OPTIONS)
    fsspec.filesystem("memory").pipe_file("memory://bucket/train/model.ckpt.meta", b"other")
    with pytest.raises(SourceError), open_pinned(read) as here:
        verify_source(here, NO_OPTIONS)
