"""Inputs that once broke a reader, as `benchmarks.fuzz_readers` found them: read, or refused in words.

Without atheris, and without TensorFlow. To add one, put the file into `corpus/READER/`.
"""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path
from unittest import mock

import pytest

from benchmarks.faults_readers.readers import READERS, ignore_checksums, list_seeds, try_reader
from servable.errors import ServableError

CORPUS_DIR = Path(__file__).parent / "corpus"
KEPT = sorted(path.relative_to(CORPUS_DIR).as_posix() for path in CORPUS_DIR.rglob("*.bin"))
MEMORY_KIB = 1 << 20


@pytest.fixture(autouse=True)
def open_gates():
    yield ignore_checksums()
    mock.patch.stopall()


def test_the_corpus_is_kept_small():
    paths = [CORPUS_DIR / name for name in KEPT]
    assert paths
    assert all(path.parent.name in READERS for path in paths)
    assert sum(path.stat().st_size for path in paths) < 64 << 10


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", KEPT)
def test_what_once_broke_a_reader_is_read_or_refused(name, tmp_path):
    reader = name.partition("/")[0]
    READERS[reader].prepare(tmp_path)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(ServableError):
        try_reader(reader, (CORPUS_DIR / name).read_bytes(), tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MEMORY_KIB


@pytest.mark.parametrize("reader", sorted(set(READERS) - {"records", "example"}))
def test_every_reader_has_files_of_the_zoo_to_begin_with(reader):
    assert next(list_seeds(reader), None) is not None
