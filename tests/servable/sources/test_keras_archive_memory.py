"""Weights of a Keras 3 archive are unpacked to the disk, whatever Keras thinks of this machine's memory."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from servable.sources.keras_files.config import Loader
from servable.sources.keras_files.loading import _read_weights_from_disk

LIBRARY = "keras.src.saving.saving_lib"


@pytest.fixture
def library(monkeypatch):
    module = ModuleType(LIBRARY)
    monkeypatch.setitem(sys.modules, LIBRARY, module)
    return module


def test_keras_3_is_told_to_spare_memory_while_it_loads(library):
    def is_memory_sufficient(model):
        return True

    library.is_memory_sufficient = is_memory_sufficient
    with _read_weights_from_disk(Loader.KERAS):
        assert library.is_memory_sufficient(None) is False
    assert library.is_memory_sufficient is is_memory_sufficient
    with _read_weights_from_disk(Loader.TF_KERAS):
        assert library.is_memory_sufficient is is_memory_sufficient


def test_a_keras_that_does_not_ask_reads_as_it_likes(library):
    with _read_weights_from_disk(Loader.KERAS):
        assert not hasattr(library, "is_memory_sufficient")
