"""Several processes of one model: calls of many threads, processes that die, and the end."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from servable.errors import CheckError
from servable.runtime.outcome import Call, FaultKind, Limits
from servable.runtime.pool import SessionPool

LIMIT_S = 60.0


@pytest.fixture
def make_pool(string_model):
    pools = []

    def make(size, **limits):
        pool = SessionPool(string_model, size=size, limits=Limits(**limits))
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.close()


def make_call(text):
    return Call({"x:0": np.array([text], dtype=object)}, ("joined:0",))


def wait_for(condition):
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_calls_of_many_threads_do_not_mix(make_pool):
    pool = make_pool(2)
    assert pool.load() is None
    assert pool.runtime_version.startswith("2.")
    answers = {}

    def ask(number):
        text = b"%d" % number
        answers[number] = [
            pool.run(make_call(text)).outputs["joined:0"].tolist() == [text + b"-" + text] for _ in range(20)
        ]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(all(own) for own in answers.values())
    assert len(answers) == 5
    wait_for(lambda: pool.alive == 2)
    assert pool.restarts == 0


def test_a_call_that_takes_too_long_ends_its_process_only(make_pool):
    pool = make_pool(1, run_time_s=1.0)
    assert pool.load() is None
    (process,) = pool._processes
    os.kill(process._popen.pid, signal.SIGSTOP)  # stands in for an endless kernel
    late = []
    asking = threading.Thread(target=lambda: late.append(pool.run(make_call(b"a"))))
    asking.start()
    wait_for(lambda: not pool._free.qsize())
    # Nobody else is free meanwhile, and there may be none for as long as a call may take.
    busy = pool.run(make_call(b"b"))
    asking.join()
    assert late[0].fault.kind is FaultKind.TIMEOUT
    assert busy.fault is None or "no process was free" in busy.fault.message
    wait_for(lambda: pool.run(make_call(b"c")).fault is None)
    assert pool.restarts == 1


def test_a_model_that_does_not_load_leaves_nothing(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"none")
    pool = SessionPool(tmp_path, size=2)
    assert pool.load().kind is FaultKind.STATUS
    assert pool.alive == 0
    pool.close()


def test_a_library_that_is_none(string_model, tmp_path):
    pool = SessionPool(string_model, size=1, library=tmp_path / "libtensorflow_cc.so.2")
    with pytest.raises(CheckError, match="not there"):
        pool.load()
    (tmp_path / "libtensorflow_cc.so.2").write_bytes(b"none")
    with pytest.raises(CheckError, match="cannot be used"):
        pool.load()
    assert pool.alive == 0


def test_the_end_does_not_wait_for_those_that_still_load(make_pool):
    pool = make_pool(4)
    assert pool.load() is None
    started_s = time.monotonic()
    pool.close()
    pool.close()
    assert pool.alive == 0
    assert time.monotonic() - started_s < LIMIT_S / 6
    assert "taken away" in pool.run(make_call(b"a")).fault.message
