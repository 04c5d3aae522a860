"""A few kills of `servable convert` and `servable check`, seeded; hundreds are tried by the benchmark."""

from __future__ import annotations

import os

import pytest

from benchmarks.reliability_kill import kill_works

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        not os.environ.get("RELIABILITY"),
        reason="takes minutes; set RELIABILITY=1, or run python -m benchmarks.reliability",
    ),
]


def test_a_killed_command_leaves_nothing_that_looks_finished(tmp_path):
    tallies = list(kill_works(tmp_path, count=10, seed=7, kinds=("convert", "check")))
    assert [tally.kind for tally in tallies] == ["convert", "check"]
    for tally in tallies:
        assert tally.kills == 5
        assert not tally.faults
