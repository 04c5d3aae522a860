"""What the proof in real runtimes shares: which are there, which cases are taken, the table at the end."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from servable.runtime.installed import find_runtime
from servable.targets.catalog import find_target

# Those that platforms have, and between them.
TARGETS = ("1.12", "1.14", "1.15", "2.3", "2.4", "2.6", "2.7", "2.11", "current")
# One of each kind of graph: what an ordinary run of the tests walks over.
SAMPLE = frozenset(
    {
        "k2.2.4-bn-b",
        "k2.2.4-rnn_mask-a",
        "keras3.15-attention-a",
        "keras3.15-textvec-a",
        "tf1.12-rnn-a",
        "tf1.15-lookup-b",
        "tf1.15-sm_assets-a",
        "tf2.16-sm_module-a",
        "tfk1.15-nested-a",
    }
)


def list_runtimes_here():
    """Names the targets whose real runtime is installed."""
    found = []
    for name in TARGETS:
        try:
            find_runtime(find_target(name).version)
        except Exception:  # not installed, which is nothing to fail for
            continue
        found.append(name)
    return found


RUNTIMES = list_runtimes_here()


@pytest.fixture(scope="session")
def runtimes():
    """The targets that can be proven here."""
    missing = [name for name in TARGETS if name not in RUNTIMES]
    if missing == [name for name in TARGETS if name != "current"]:
        pytest.skip("no older runtime is installed: servable runtimes add " + " ".join(missing))
    return RUNTIMES


def pytest_collection_modifyitems(config, items):
    if config.getoption("--every-case"):
        return
    here = [item for item in items if "case_name" in getattr(item, "fixturenames", ()) and is_ours(item)]
    left_out = {item for item in here if item.callspec.params["case_name"] not in SAMPLE}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def is_ours(item):
    return item.path.parent.name == "targets"


_rows: dict[str, dict] = {}


def pytest_runtest_logreport(report):
    properties = dict(report.user_properties)
    if report.when == "call" and "outcomes" in properties:
        _rows[report.nodeid] = properties


def pytest_terminal_summary(terminalreporter):
    """Prints what each runtime loads, runs and answers; what is refused; how the verdicts fared."""
    if not _rows:
        return
    groups = defaultdict(lambda: defaultdict(list))
    for row in _rows.values():
        for target, outcome in row["outcomes"].items():
            for group in row["groups"]:
                groups[group][target].append(outcome)
    terminalreporter.section("model files in real runtimes: loaded, run and right, of all (worst difference)")
    shown = [name for name in TARGETS if any(name in row["outcomes"] for row in _rows.values())]
    terminalreporter.line(f"{'':<26}" + "".join(f"{name:>20}" for name in shown))
    for group, by_target in sorted(groups.items()):
        cells = [write_cell(by_target[name]) for name in shown]
        terminalreporter.line(f"{group:<26}" + "".join(f"{cell:>20}" for cell in cells))
    terminalreporter.section("refused at export, with the reason")
    reasons = defaultdict(list)
    for row in _rows.values():
        for target, (state, said) in row["outcomes"].items():
            if state == "refused":
                reasons[target, said].append(row["case"])
    for (target, said), cases in sorted(reasons.items()):
        terminalreporter.line(f"{target}: {said} [{len(cases)}: {', '.join(sorted(cases))}]")
    counts = Counter(verdict for row in _rows.values() for verdict in row["verdicts"])
    total = sum(counts.values())
    agreed = sum(count for (said, seen), count in counts.items() if said == seen)
    terminalreporter.section("static verdict against the real loader")
    terminalreporter.line(f"{agreed} of {total} agree ({agreed / total:.2%})")
    for (said, seen), count in sorted(counts.items()):
        terminalreporter.line(f"{count:>6}  verdict: {said:<6} seen: {seen}")


def write_cell(outcomes):
    right = [said for state, said in outcomes if state == "right"]
    worst = max(right, default=0.0)
    return f"{len(right)} of {len(outcomes)} ({worst:.0e})" if outcomes else ""
