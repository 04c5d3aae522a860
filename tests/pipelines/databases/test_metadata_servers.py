"""Two pipelines at once on one store: a SQLite file, and real servers of MariaDB and PostgreSQL.

Two child processes import TFX once each and run their pipelines at the same time, one store after the other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.history.tracing import trace_history
from pipelines.lineage.versions import find_version
from pipelines.metadata.records import read_executions
from pipelines.metadata.store import open_store
from servable.errors import SettingsError

pytestmark = [
    pytest.mark.tfx,
    pytest.mark.timeout(1800),
    # Raised inside Keras 3 when a model is saved.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
    pytest.mark.skipif(
        not os.environ.get("TEST_DATABASES"),
        reason="two processes with TFX and two servers take minutes: TEST_DATABASES=1, or nox -s databases",
    ),
]

STORES = ("sqlite", "mariadb", "postgresql")
PIPELINES = ("alpha", "beta")
CHILD = """
import json, logging, sys, time
from absl import logging as absl_logging
absl_logging.set_verbosity(absl_logging.INFO)
absl_logging.use_absl_handler()
from pathlib import Path
from pipelines.branch_running import import_tfx
from pipelines.local import run_local
from pipelines.settings_file import load_settings
import_tfx()
print("ready", flush=True)
for line in sys.stdin:
    began = time.time()
    outcome = run_local(load_settings(Path(line.strip())))
    states = {one.model: [str(one.state), list(one.executed), one.message] for one in outcome.models}
    print(json.dumps({"states": states, "began": began, "ended": time.time()}), flush=True)
"""


@contextmanager
def run_child(log: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            env=environment,
        )
    try:
        yield process
    finally:
        # Closes both pipes and waits.
        process.communicate(timeout=60)


def read_answer(child: subprocess.Popen[str], log: Path) -> str:
    """Passes over what TFX itself prints on standard output."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith(("ready", '{"states"')):
            return line
    raise AssertionError(log.read_text()[-3000:])


@pytest.fixture(scope="module")
def story(
    tmp_path_factory,
    checkpoint_saver,
    keras_saver,
    settings_writer,
    mariadb_runner,
    postgresql_runner,
    password,
) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("servers")
    patch = pytest.MonkeyPatch()
    patch.setenv("SERVABLE_METADATA_PASSWORD", password)
    patch.setenv("MLMD_PASSWORD", password)
    weights = np.array([[1.0, -2.0], [0.5, 0.25], [3.0, 4.0]], np.float32)
    with ExitStack() as stack:
        stack.callback(patch.undo)
        locations: dict[str, Path | str] = {
            "sqlite": folder / "metadata.sqlite",
            "mariadb": stack.enter_context(mariadb_runner()),
            "postgresql": stack.enter_context(postgresql_runner()),
        }
        logs = {name: folder / f"{name}.log" for name in PIPELINES}
        children = {name: stack.enter_context(run_child(logs[name])) for name in PIPELINES}
        settings: dict[tuple[str, str], Path] = {}
        for store in STORES:
            for name in PIPELINES:
                here = folder / store / name
                here.mkdir(parents=True)
                checkpoint_saver(here / "training", weights)
                keras_saver(here / "model.keras")
                path = settings[store, name] = settings_writer(here)
                text = path.read_text().replace("two_models", name)
                path.write_text(text.replace("metadata.sqlite", json.dumps(str(locations[store]))))
        for name, child in children.items():
            read_answer(child, logs[name])
        told = SimpleNamespace(folder=folder, locations=locations, settings=settings, logs=logs, runs={})

        def run(title: str, store: str) -> None:
            for name, child in children.items():
                child.stdin.write(f"{settings[store, name]}\n")
                child.stdin.flush()
            for name, child in children.items():
                told.runs[store, title, name] = json.loads(read_answer(child, logs[name]))

        for store in STORES:
            run("first", store)
            run("unchanged", store)
            for name in PIPELINES:
                checkpoint_saver(folder / store / name / "training", weights * 2)
            run("overwritten", store)
            for data in (folder / store).rglob("model.ckpt-7.data-*"):
                data.write_bytes(data.read_bytes()[:-4])
            run("broken", store)
        for key, answer in told.runs.items():
            sys.stdout.write(f"{' '.join(key):32s} {answer['ended'] - answer['began']:6.1f} s\n")
        yield told


@pytest.mark.parametrize("store", STORES)
def test_two_pipelines_push_at_the_same_time(story, store):
    first = [story.runs[store, "first", name] for name in PIPELINES]
    for answer in first:
        assert {model: state for model, (state, _, _) in answer["states"].items()} == {
            "linear_tf1": "pushed",
            "dense_keras": "pushed",
        }, answer
    assert max(one["began"] for one in first) < min(one["ended"] for one in first)


@pytest.mark.parametrize("store", STORES)
def test_what_is_unchanged_comes_from_the_cache(story, store):
    for name in PIPELINES:
        for state, executed, message in story.runs[store, "unchanged", name]["states"].values():
            assert (state, executed) == ("unchanged", []), message
        overwritten = story.runs[store, "overwritten", name]["states"]
        assert overwritten["dense_keras"][:2] == ["unchanged", []]
        assert overwritten["linear_tf1"][0] == "pushed"


@pytest.mark.parametrize("store", STORES)
def test_a_failure_is_recorded_and_told(story, store):
    for name in PIPELINES:
        state, executed, message = story.runs[store, "broken", name]["states"]["linear_tf1"]
        assert (state, executed) == ("failed", [])
        assert ".data-00000-of-00001" in message


@pytest.mark.parametrize("store", STORES)
def test_no_type_is_registered_twice(story, store):
    opened = open_store(story.locations[store])
    for kind in ("artifact", "execution", "context"):
        names = [one.name for one in getattr(opened, f"get_{kind}_types")()]
        assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("store", STORES)
def test_each_pipeline_has_its_own_records(story, store):
    for name in PIPELINES:
        executions = read_executions(story.locations[store], name)
        assert [item.state for item in executions].count("failed") == 1
        assert len(executions) == 3 * 6 + 4
        assert {item.pipeline for item in executions} == {name}
        assert len({item.run_id for item in executions}) == 4
        assert all(item.run_id and item.node_id for item in executions)
        versions = [(one.model, one.source_step) for one in trace_history(story.locations[store], name)]
        assert sorted(versions, key=str) == [("dense_keras", None), ("linear_tf1", 7), ("linear_tf1", 7)]


@pytest.mark.parametrize("store", STORES)
def test_a_served_version_and_a_copy_of_it_lead_back(story, store, tmp_path):
    base = story.folder / store / "beta" / "pushed" / "linear_tf1"
    oldest, newest = sorted(base.iterdir(), key=lambda path: int(path.name))
    (found,) = find_version(story.locations[store], str(newest))
    assert (found.lineage.pipeline, found.lineage.pushed_version) == ("beta", newest.name)
    assert found.lineage.is_intact
    assert found.lineage.source_path == str(story.folder / store / "beta" / "training" / "model.ckpt-7")
    copy = shutil.copytree(oldest, tmp_path / "served" / "3")
    copies = find_version(story.locations[store], str(copy), pipeline="beta")
    assert [one.lineage.pushed_version for one in copies] == [oldest.name]
    assert "same bytes" in copies[0].note


def test_no_password_is_logged_or_kept(story, password):
    written = [story.logs[name].read_text() for name in PIPELINES]
    # TFX did write the connection that it uses, or this test would prove nothing.
    assert all("Using connection config" in text for text in written)
    assert not any(password in text or "s3cr3t" in text for text in written)
    for path in (story.folder / "mariadb").rglob("*"):
        if path.is_file():
            assert b"s3cr3t" not in path.read_bytes(), path


@pytest.mark.parametrize("store", STORES[1:])
def test_a_wrong_password_and_a_missing_database_are_told(story, store, monkeypatch, password):
    location = str(story.locations[store])
    monkeypatch.setenv("SERVABLE_METADATA_PASSWORD", "wrong")
    monkeypatch.setenv("MLMD_PASSWORD", "wrong")
    with pytest.raises(SettingsError, match="SERVABLE_METADATA_PASSWORD"):
        open_store(location)
    monkeypatch.setenv("SERVABLE_METADATA_PASSWORD", password)
    monkeypatch.setenv("MLMD_PASSWORD", password)
    with pytest.raises(SettingsError, match=r"CREATE DATABASE absent|createdb .* absent"):
        open_store(location.replace("/mlmd", "/absent"))
