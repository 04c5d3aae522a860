"""Both benchmarks at a small size: they run through and tell figures that can be. No time is judged."""

import json
import shutil
import sys

import pytest

from benchmarks import inspect_time, large_checkpoint
from benchmarks.large_checkpoint import (
    CONVERT_ALONE,
    CONVERT_AND_CHECK,
    CP,
    CP_FLUSHED,
    IMPORT,
    PLAIN_TENSORFLOW,
)
from benchmarks.make_checkpoint import CHECKPOINT_NAME
from benchmarks.measuring import run_measured
from benchmarks.verify_weights import find_differences
from servable.formats.checkpoints.bundle import copy_tensors, open_bundle

pytestmark = pytest.mark.tensorflow

_MEGABYTES = 6.0


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    patch = pytest.MonkeyPatch()
    arguments = [
        "--megabytes",
        str(_MEGABYTES),
        "--repeats",
        "1",
        "--work-dir",
        folder,
        "--json",
        folder / "f.json",
    ]
    patch.setattr(sys, "argv", ["large_checkpoint", *map(str, arguments)])
    try:
        assert large_checkpoint.main() == 0
    finally:
        patch.undo()
    assert [path.name for path in folder.iterdir()] == ["f.json"]  # gigabytes must not stay behind
    return json.loads((folder / "f.json").read_text())


def test_every_contender_is_told(figures):
    assert [one["contender"] for one in figures["results"]] == [
        *(IMPORT, CP, CP_FLUSHED, PLAIN_TENSORFLOW),
        *(CONVERT_ALONE, CONVERT_AND_CHECK),
    ]
    assert (figures["megabytes"], figures["repeats"]) == (_MEGABYTES, 1)


def test_bytes_on_disk_are_what_they_must_be(figures):
    written = {one["contender"]: one["written_bytes"] for one in figures["results"]}
    assert written[IMPORT] == 0
    assert written[CP] == written[CP_FLUSHED] == pytest.approx(_MEGABYTES * 1e6, rel=0.02)
    assert written[PLAIN_TENSORFLOW] == pytest.approx(_MEGABYTES * 1e6, rel=0.02)  # Adam's slots stay in
    assert written[CONVERT_ALONE] == pytest.approx(_MEGABYTES * 1e6 / 3, rel=0.02)
    assert written[CONVERT_AND_CHECK] == written[CONVERT_ALONE]


def test_figures_over_the_import_are_differences(figures):
    by_name = {one["contender"]: one for one in figures["results"]}
    alone = by_name[IMPORT]
    for contender, one in by_name.items():
        assert 0 < one["fastest_s"] <= one["elapsed_s"] <= one["slowest_s"]
        assert one["ratio_to_cp"] == pytest.approx(one["elapsed_s"] / by_name[CP]["elapsed_s"])
        if contender in (IMPORT, CP, CP_FLUSHED):
            assert one["over_import_s"] is one["peak_over_import_bytes"] is None
        else:
            assert one["over_import_s"] == pytest.approx(one["elapsed_s"] - alone["elapsed_s"])
            assert one["peak_over_import_bytes"] == one["peak_bytes"] - alone["peak_bytes"]


@pytest.fixture(scope="module")
def conversion(tmp_path_factory):
    """A small checkpoint and what the converter makes of it."""
    folder = tmp_path_factory.mktemp("verified")
    made_dir = folder / "made"
    log_path = folder / "log.txt"
    make = [sys.executable, "-m", "benchmarks.make_checkpoint", "--megabytes", "3", "--out", folder]
    run_measured(make, log_path=log_path)
    run_measured(large_checkpoint.list_commands(folder, made_dir)[CONVERT_ALONE], log_path=log_path)
    return folder / CHECKPOINT_NAME, made_dir


def test_converted_weights_are_the_checkpoints(conversion):
    assert find_differences(*conversion) == []


def test_leftover_slots_are_found(conversion, tmp_path):
    prefix, _ = conversion
    spoilt_dir = tmp_path / "spoilt"
    (spoilt_dir / "variables").mkdir(parents=True)
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        if path.suffix != ".meta":
            shutil.copy(path, spoilt_dir / "variables" / path.name.replace(prefix.name, "variables"))
    leftovers = find_differences(prefix, spoilt_dir)
    assert any("Adam" in line and "does not belong" in line for line in leftovers)


def test_weight_of_other_value_or_missing_is_found(conversion, tmp_path):
    prefix, made_dir = conversion
    made_prefix = made_dir / "variables" / "variables"
    swapped = {"layer0/weights": "layer2/weights", "layer2/weights": "layer0/weights"}  # same shape
    keys = {key: swapped.get(key, key) for key in open_bundle(made_prefix).entries if key != "head/weights"}
    assert set(swapped) < set(keys)
    (tmp_path / "variables").mkdir()
    copy_tensors(open_bundle(made_prefix), keys, tmp_path / "variables" / "variables")
    assert find_differences(prefix, tmp_path) == [
        "head/weights is missing",
        "layer0/weights has other values",
        "layer2/weights has other values",
    ]


def test_inspection_is_measured_for_every_kind_of_file(tmp_path):
    rows = inspect_time.measure_inspection(tmp_path, repeats=1, megabytes=3.0)
    assert [row["what"] for row in rows] == ["python, doing nothing", "checkpoint", ".h5", ".keras"]
    for row in rows[1:]:
        assert row["file_bytes"] > 1e6
        assert row["elapsed_s"] > rows[0]["elapsed_s"]


def test_too_little_room_is_told_before_anything_is_made(tmp_path):
    with pytest.raises(large_checkpoint.BenchmarkError, match="bytes of room"):
        large_checkpoint.measure_contenders(tmp_path, megabytes=1e12, repeats=1)
    assert list(tmp_path.iterdir()) == []
