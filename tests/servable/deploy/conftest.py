"""A small TensorFlow 1 model that old and new servers take, and a report on it, made by hand."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from servable.baseline import Baseline, Sample
from servable.report import Report


@pytest.fixture
def model(zoo, tmp_path):
    """A copy of a SavedModel, x: float32 [?, 784] -> y: float32 [?, 10], from TensorFlow 1.15."""
    shutil.copytree(zoo("tf1.15-sm_simple-a").source, tmp_path / "digits" / "3")
    return tmp_path / "digits" / "3"


@pytest.fixture
def baseline(zoo):
    case = zoo("tf1.15-sm_simple-a")
    return Baseline({"serving_default": Sample(case.read_arrays("inputs"), case.read_arrays("outputs"))})


@pytest.fixture
def make_report():
    """Writes the report that the checks would give, with hashes made here."""

    def make(folder: Path, *, target="pai-eas/tensorflow_cpu_1.15", **changes):
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        hashes = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }
        listing = "".join(f"{value}  {name}\n" for name, value in sorted(hashes.items()))
        times = {"1": {"p50_s": 0.001}, "64": {"p50_s": 0.0064}}
        facts = {
            "files": {"digest": hashlib.sha256(listing.encode()).hexdigest(), "sha256": hashes},
            "target": target,
            "signature_specs": {
                "serving_default": {
                    "method": "predict",
                    "inputs": {"x": {"dtype": "float32", "shape": [None, 784]}},
                    "outputs": {"y": {"dtype": "float32", "shape": [None, 10]}},
                }
            },
            "cost": {"latencies": {"serving_default": times}, "latency_p50_s": 0.001},
            "worst_differences": {"serving_default": {"y": 2.5e-7}},
        }
        checked = ("layout", "tags", "serving_load", "inference_mode", "batch", "cost")
        return Report(str(folder), **{"checked": checked, "facts": facts} | changes)

    return make


@pytest.fixture
def report(model, make_report):
    return make_report(model)
