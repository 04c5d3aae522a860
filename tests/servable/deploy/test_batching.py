"""Plans of batches, against times whose best sizes are known."""

from __future__ import annotations

import pytest

from servable.deploy.batching import plan_batches
from servable.report import Finding, Report, Severity


def report_times(*signatures, findings=(), checked=("batch", "inference_mode")):
    latencies = {
        f"s{i}": {str(rows): {"p50_s": time_s} for rows, time_s in times.items()}
        for i, times in enumerate(signatures)
    }
    return Report("m", checked=checked, findings=findings, facts={"cost": {"latencies": latencies}})


@pytest.mark.parametrize(
    ("times", "sizes"),
    [
        # Each row costs the same, and each request a little: every doubling saves time.
        ({1: 0.0020, 64: 0.0650}, (1, 2, 4, 8, 16, 32, 64)),
        # A request costs as much as 63 rows: 32 rows take 1.49 ms, 16 take 1.24, 8 take 1.11, 1 takes 1.
        ({1: 0.0010, 64: 0.0020}, (8, 32, 64)),
        # All sizes cost the same.
        ({1: 0.0010, 64: 0.0010}, (64,)),
        # 7 rows at 2 ms are the most in a second; 4 take 1.5 ms, 2 take 1.17.
        ({1: 0.0010, 7: 0.0020, 64: 0.1}, (2, 4, 7)),
    ],
)
def test_sizes_are_those_that_save_time(times, sizes):
    assert plan_batches(report_times(times)).sizes == sizes


def test_the_slowest_signature_decides():
    fast, slow = {1: 0.001, 64: 0.001}, {1: 0.002, 64: 0.065}
    plan = plan_batches(report_times(fast, slow))
    assert plan.sizes == (1, 2, 4, 8, 16, 32, 64)
    assert plan.wait_s == 0.002


def test_nobody_waits_longer_than_ten_milliseconds():
    assert plan_batches(report_times({1: 3.0, 64: 4.0})).wait_s == 0.01


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (report_times({1: 0.001, 64: 0.1}), "as much time for each row"),
        (report_times({1: 0.001}), "were not measured"),
        (report_times(), "were not measured"),
        (report_times({1: 0.001, 64: 0.002}, checked=("batch",)), "inference_mode was not made"),
        (
            report_times(
                {1: 0.001, 64: 0.002}, findings=(Finding("batch", Severity.WARNING, "rows are fixed"),)
            ),
            "check batch has findings",
        ),
    ],
)
def test_a_reason_is_given_where_nothing_is_joined(report, reason):
    plan = plan_batches(report)
    assert plan.sizes == ()
    assert reason in plan.reason


def test_a_remark_is_no_reason():
    remark = Finding("batch", Severity.INFO, "a request of 64 rows was not tried")
    assert plan_batches(report_times({1: 0.001, 64: 0.001}, findings=(remark,))).sizes == (64,)
