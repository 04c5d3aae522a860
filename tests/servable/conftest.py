"""Fixtures of the core's tests: old runtimes, where the user's cache has them."""

from __future__ import annotations

import pytest

from servable.errors import CheckError
from servable.runtime.installed import find_runtime


@pytest.fixture
def old_runtime():
    """Gives an installed runtime by its version; skips the test where that one is not there."""

    def find(version):
        try:
            return find_runtime(version)
        except CheckError as error:
            pytest.skip(f"TensorFlow {version} is not installed; {error.advice}")

    return find
