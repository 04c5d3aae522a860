"""What the walk over the whole zoo shares: the table at the end."""

from __future__ import annotations

from collections import defaultdict

# Kind to outcome of each of its tests.
_outcomes: dict[str, dict[str, bool]] = defaultdict(dict)


def pytest_runtest_logreport(report):
    kind = dict(report.user_properties).get("kind")
    if kind is not None and (report.when == "call" or report.failed):
        _outcomes[kind][report.nodeid] = _outcomes[kind].get(report.nodeid, True) and report.passed


def pytest_terminal_summary(terminalreporter):
    """Prints the table, kind by kind."""
    if not _outcomes:
        return
    terminalreporter.section("model files by kind")
    width = max(map(len, _outcomes))
    for kind, cases in sorted(_outcomes.items()):
        terminalreporter.line(f"{kind:<{width}}  {sum(cases.values()):>4} of {len(cases):>4}")
    passed = sum(sum(cases.values()) for cases in _outcomes.values())
    terminalreporter.line(f"{'all':<{width}}  {passed:>4} of {sum(map(len, _outcomes.values())):>4}")
