"""Models of a worker process: one for all users, ended with the last; and which runner is taken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.saved_model_validator.examples_reading import choose_runner
from components.saved_model_validator.worker_models import acquire_models, count_loaded, release_models

IN_PROCESS = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"


class FakePlan(SimpleNamespace):
    """Loads a model that notes how many ask it at once."""

    def __init__(self, name: str = "m") -> None:
        super().__init__(
            saved_model_dir=Path(name), signature=SimpleNamespace(name="s"), previous_dir=None, events=[]
        )

    def open_models(self, stack):
        self.events.append("loaded")
        stack.callback(self.events.append, "ended")
        return {"candidate": self.ask}

    def ask(self, inputs):
        self.events.append("in")
        self.events.append("out")
        return inputs


def test_users_share_one_model_that_ends_with_the_last():
    plan, other = FakePlan(), FakePlan("other")
    acquire_models(plan)
    acquire_models(plan)
    acquire_models(other)
    assert count_loaded() == 2
    release_models(plan)
    assert plan.events == ["loaded"]
    release_models(plan)
    release_models(other)
    assert plan.events == other.events == ["loaded", "ended"]
    assert count_loaded() == 0
    release_models(plan)  # a step that was never set up is torn down as well
    acquire_models(plan)
    release_models(plan)
    assert plan.events == ["loaded", "ended"] * 2


def test_threads_ask_one_after_the_other():
    plan = FakePlan()
    asks = [acquire_models(plan)["candidate"] for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda i: asks[i % 4](i), range(200))) == list(range(200))
    assert plan.events == ["loaded", *["in", "out"] * 200]
    for _ in asks:
        release_models(plan)


def test_model_that_does_not_load_leaves_nothing():
    plan = FakePlan()

    def fail(stack):
        stack.callback(plan.events.append, "ended")
        raise ValueError

    plan.open_models = fail
    with pytest.raises(ValueError):  # noqa: PT011 - raised above
        acquire_models(plan)
    assert plan.events == ["ended"]
    assert count_loaded() == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), [IN_PROCESS]),
        (("--runner=DirectRunner",), [IN_PROCESS]),
        (("--runner", "directrunner", "--direct_num_workers=2"), ["--direct_num_workers=2", IN_PROCESS]),
        (("--runner=FlinkRunner", "--flink_master=h:1"), ["--flink_master=h:1", "--runner=FlinkRunner"]),
        (("--runner=PrismRunner",), ["--runner=PrismRunner"]),
    ],
)
def test_local_runner_is_the_one_that_downloads_nothing(given, expected):
    assert choose_runner(given) == expected
