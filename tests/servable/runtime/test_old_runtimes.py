"""Old runtimes themselves: those that the user's cache has, and the installed one."""

import time

import numpy as np
import pytest

from servable.runtime.installed import KNOWN_VERSIONS, find_runtime
from servable.runtime.outcome import Call, FaultKind, Limits
from servable.runtime.session import open_session, run_calls

VERSIONS = (*KNOWN_VERSIONS, "current")
TEXTS = (
    b"",
    b"short",
    b"x" * 22,  # the longest that is kept in place since 2.4
    b"x" * 23,
    b"x" * 127,  # the longest whose length is one byte up to 2.3
    b"x" * 128,
    b"x" * 100_000,
    b"\0\xff\0 binary \x80",
    "\u00e4\u4e2d\U0001f600".encode(),
)


def run_one(case, runtime, *, limits=None):
    call = Call(
        {end["tensor"]: case.read_arrays("inputs")[end["name"]] for end in case.facts["inputs"]},
        tuple(end["tensor"] for end in case.facts["outputs"]),
    )
    return run_calls(case.source, [call], limits=limits, library=runtime.library)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["tf1.12-sm_simple-a", "tf1.12-sm_assets-a"])
def test_models_of_1_12_answer_everywhere_as_they_did_there(old_runtime, zoo, name, version):
    runtime, case = old_runtime(version), zoo(name)
    outcome = run_one(case, runtime)
    assert outcome.load_fault is None
    assert outcome.runtime_version == runtime.version
    assert outcome.log == ""
    for end in case.facts["outputs"]:
        expected = case.read_arrays("outputs")[end["name"]]
        np.testing.assert_allclose(outcome.results[0].outputs[end["tensor"]], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != "1.12.3"])
def test_a_model_of_1_15_with_strings_answers_from_1_14_on(old_runtime, zoo, version):
    runtime, case = old_runtime(version), zoo("tf1.15-sm_assets-a")
    outcome = run_one(case, runtime)
    (expected,) = case.read_arrays("outputs").values()
    (received,) = outcome.results[0].outputs.values()
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_a_model_of_1_15_is_refused_by_1_12(old_runtime, zoo):
    outcome = run_one(zoo("tf1.15-sm_assets-a"), old_runtime("1.12.3"))
    assert outcome.load_fault is not None
    assert outcome.load_fault.kind is FaultKind.STATUS
    assert "batch_dims" in outcome.load_fault.message


@pytest.mark.parametrize("version", VERSIONS)
def test_strings_go_in_and_come_out_unchanged(old_runtime, string_model, version):
    runtime = old_runtime(version)
    flat = np.array(TEXTS, dtype=object)
    arrays = [
        flat,
        flat.reshape(3, 3),
        np.array(TEXTS[3], dtype=object),  # a scalar
        np.array(b"", dtype=object),
        np.zeros((0,), dtype=object),
        np.zeros((2, 0), dtype=object),
    ]
    with open_session(string_model, library=runtime.library) as session:
        assert session.load_fault is None
        for array in arrays:
            result = session.run(Call({"x:0": array}, ("y:0", "joined:0")))
            assert result.fault is None
            assert result.outputs["y:0"].shape == array.shape
            assert result.outputs["y:0"].tolist() == array.tolist()
            joined = [text + b"-" + text for text in array.ravel().tolist()]
            assert result.outputs["joined:0"].ravel().tolist() == joined


@pytest.mark.parametrize("version", ["1.15.5", "2.4.4", "2.7.4", "current"])  # each form of strings
def test_memory_of_string_feeds_is_given_back(old_runtime, string_model, version):
    runtime = old_runtime(version)
    call = Call({"x:0": np.array([b"x" * 1000] * 20_000, dtype=object)}, ("y:0",))
    with open_session(string_model, limits=Limits(threads=1), library=runtime.library) as session:
        for _ in range(3):
            session.run(call)
        before = session.peak_memory_bytes
        for _ in range(15):
            assert session.run(call).fault is None
        assert session.peak_memory_bytes - before < 100 << 20  # fifteen feeds are 300 MB


@pytest.mark.parametrize("version", ["1.12.3", "2.4.4", "2.11.1"])
def test_old_runtimes_load_within_a_second(old_runtime, zoo, version):
    runtime = old_runtime(version)
    run_one(zoo("tf1.12-sm_simple-a"), runtime)  # so that the library's file is in memory
    started = time.monotonic()
    run_one(zoo("tf1.12-sm_simple-a"), runtime)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("version", ["1.15.5", "2.4.4"])
def test_limits_hold_in_old_runtimes(old_runtime, zoo, version):
    runtime, case = old_runtime(version), zoo("tf1.12-sm_simple-a")
    late = run_one(case, runtime, limits=Limits(load_time_s=0.001))
    assert late.load_fault is not None
    assert late.load_fault.kind is FaultKind.TIMEOUT
    rows = Call({"x:0": np.zeros((100_000, 784), np.float32)}, ("y:0",))  # 314 MB
    greedy = run_calls(case.source, [rows], limits=Limits(memory_bytes=300 << 20), library=runtime.library)
    assert greedy.load_fault is None
    assert greedy.results[0].fault is not None
    assert greedy.results[0].fault.kind is FaultKind.OUT_OF_MEMORY


def test_an_unknown_library_beside_a_runtime_is_not_taken(old_runtime, zoo, monkeypatch, tmp_path):
    """The framework's library of another version, first on the search path, must not be mixed in."""
    runtime = old_runtime("2.7.4")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(find_runtime("current").library.parent))
    outcome = run_one(zoo("tf1.12-sm_simple-a"), runtime)
    assert outcome.load_fault is None
    assert outcome.runtime_version == "2.7.4"
