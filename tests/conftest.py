"""Fixtures that every floor uses: the zoo of real model files, and the outputs of those who wrote them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ZOO_DIR = Path(__file__).parent / "data" / "zoo"


@dataclass(frozen=True)
class ZooCase:
    """One model file with its writer's own inputs and outputs."""

    name: str
    folder: Path
    facts: dict[str, Any]

    @property
    def source(self) -> Path:
        keys = ("checkpoint", "h5", "model_file", "saved_model", "path")
        return self.folder / next(self.facts[key] for key in keys if key in self.facts)

    @property
    def frozen(self) -> dict[str, Any]:
        return {**self.facts.get("fixed_feeds", {}), **self.facts.get("constants", {})}

    def read_arrays(self, side: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / "golden.npz") as golden:
            return {end["name"]: _decode(golden[end["key"]], end) for end in self.facts[side]}

    def name_ends(self, side: str) -> dict[str, str]:
        """Serving key to tensor (TF1) or position (Keras)."""
        return {end["name"]: end.get("tensor") or str(end["position"]) for end in self.facts[side]}


def _decode(array: np.ndarray, end: dict[str, Any]) -> np.ndarray:
    if end.get("encoding") != "base64":
        return array
    texts = [base64.b64decode(item) for item in array.ravel().tolist()]
    return np.array(texts, dtype=object).reshape(array.shape)


def find_cases(*patterns: str) -> list[str]:
    return sorted({path.name for pattern in patterns for path in ZOO_DIR.glob(pattern) if path.is_dir()})


def open_case(name: str) -> ZooCase:
    folder = ZOO_DIR / name
    return ZooCase(name, folder, json.loads((folder / "case.json").read_text()))


@pytest.fixture(scope="session")
def zoo():
    """Opens a case by its name."""
    return open_case


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-files", type=int, default=150, help="damaged model files that tests/fuzz makes")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`@pytest.mark.zoo("tf1.*-lr-?")` runs a test once for each case that fits, as `case_name`."""
    mark = metafunc.definition.get_closest_marker("zoo")
    if mark is not None and mark.args and "case_name" in metafunc.fixturenames:
        names = find_cases(*mark.args)
        assert names, f"no case fits {mark.args}"
        metafunc.parametrize("case_name", names)
