"""A remote store that fails at each of its calls: an error with its place, nothing that looks finished."""

from __future__ import annotations

import pytest

from benchmarks.reliability_disk import be_slow, fail_remote


@pytest.mark.parametrize("stays_broken", [False, True])
def test_a_store_that_fails_leaves_nothing_that_looks_finished(stays_broken):
    rows = list(fail_remote(stays_broken=stays_broken))
    assert len(rows) == 6
    for row in rows:
        assert row.tried >= 5
        assert not row.misses, row.describe()


def test_a_slow_store_is_waited_for():
    row = be_slow()
    assert row.tried == 2
    assert not row.misses
