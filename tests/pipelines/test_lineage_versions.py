"""From a served version back to its model: by its place, its number and its bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.make_metadata import RunStory, write_runs
from pipelines.history.tracing import trace_history
from pipelines.lineage.config import note_config
from pipelines.lineage.model_lineage import render_lineage
from pipelines.lineage.versions import find_version
from pipelines.metadata.store import open_store
from servable.cli import main
from servable.errors import ServableError
from servable.formats.digest import HASHERS, digest_tree

VERSIONS = ("1700000000", "1700000001", "1700000002")


def write_version(folder: Path, content: bytes) -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(content)
    (folder / "variables" / "variables.index").write_bytes(b"index of " + content)
    return folder


@pytest.fixture(params=HASHERS, ids=["blake3", "sha256"])
def served(tmp_path, monkeypatch, request) -> Path:
    """Three runs, whose versions lie where they were pushed, with the digests that were noted then."""
    monkeypatch.chdir(tmp_path)
    run_ids = write_runs(tmp_path / "metadata.sqlite", RunStory(3))
    store = open_store(tmp_path / "metadata.sqlite", read_only=False)
    models = sorted(store.get_artifacts_by_type("Model"), key=lambda one: one.id)
    for model, version in zip(models, VERSIONS, strict=True):
        path = write_version(tmp_path / "pushed" / "ranker" / version, version.encode())
        model.custom_properties["saved_model_digest"].string_value = digest_tree(
            path, make_hasher=request.param
        )
    store.put_artifacts(models)
    config = tmp_path / "settings.yaml"
    config.write_text("pipeline: {}\n")
    note_config(tmp_path / "metadata.sqlite", "many_runs", run_id=run_ids[1], config_path=config)
    return tmp_path


def find(served: Path, wanted: str | Path, **options: str) -> list[tuple[str, str]]:
    found = find_version(served / "metadata.sqlite", str(wanted), **options)
    return [(one.lineage.pushed_version, one.note) for one in found]


def test_a_version_is_found_by_its_place_and_its_number(served):
    assert find(served, served / "pushed" / "ranker" / VERSIONS[1]) == [(VERSIONS[1], "")]
    assert find(served, f"pushed/ranker/{VERSIONS[1]}/") == [(VERSIONS[1], "")]
    assert find(served, VERSIONS[1]) == [(VERSIONS[1], "")]


def test_a_version_that_was_copied_elsewhere_is_found_by_its_bytes(served, tmp_path):
    copy = shutil.copytree(served / "pushed" / "ranker" / VERSIONS[2], tmp_path / "elsewhere" / "7")
    ((version, note),) = find(served, copy)
    assert version == VERSIONS[2]
    assert "same bytes" in note
    # What was added for the server is not part of the model.
    (copy / "assets.extra").mkdir()
    (copy / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"x")
    assert find(served, copy)[0][0] == VERSIONS[2]


def test_a_version_that_is_gone_is_found_by_its_place(served):
    shutil.rmtree(served / "pushed" / "ranker" / VERSIONS[0])
    (found,) = find_version(served / "metadata.sqlite", f"pushed/ranker/{VERSIONS[0]}")
    assert found.lineage.source_step == 100
    assert "no longer there" in render_lineage((found.lineage,))


def test_a_version_whose_bytes_were_exchanged_names_both(served, capsys):
    place = served / "pushed" / "ranker" / VERSIONS[0]
    shutil.rmtree(place)
    shutil.copytree(served / "pushed" / "ranker" / VERSIONS[2], place)
    assert [version for version, _ in find(served, place)] == [VERSIONS[0], VERSIONS[2]]
    assert main(["lineage", str(place), "--metadata", str(served / "metadata.sqlite")]) == 1
    out = capsys.readouterr().out
    assert "CHANGED since it was checked" in out
    assert "same bytes as this model" in out


@pytest.mark.parametrize("wanted", ["1699999999", "elsewhere/9"])
def test_what_nobody_pushed_is_told(served, wanted):
    write_version(served / "elsewhere" / "9", b"foreign")
    with pytest.raises(ServableError, match="knows no model that was pushed"):
        find(served, wanted)


def test_models_that_share_a_number_are_told_apart(served):
    write_runs(served / "metadata.sqlite", RunStory(1), pipeline="other", model="reader")
    assert len(find(served, VERSIONS[0])) == 2
    assert len(find(served, VERSIONS[0], model="reader")) == 1
    assert len(find(served, VERSIONS[0], pipeline="many_runs")) == 1


def test_the_settings_of_the_run_are_known(served):
    first, second, _ = trace_history(served / "metadata.sqlite", "many_runs")
    assert first.config_path == ""
    assert second.config_path == str(served / "settings.yaml")
    assert second.config_text == "pipeline: {}\n"
    assert "unchanged since" in render_lineage((second,))
    (served / "settings.yaml").write_text("pipeline: {x: 1}\n")
    assert "changed since" in render_lineage((second,))
    (served / "settings.yaml").unlink()
    assert "no longer there" in render_lineage((second,))


def test_settings_may_be_noted_before_the_run_and_twice(tmp_path):
    config = tmp_path / "settings.yaml"
    config.write_text("a: 1\n")
    place = tmp_path / "metadata.sqlite"
    run_id = "2026-01-01T00:15:00.000000"
    for _ in range(2):
        note_config(place, "p", run_id=run_id, config_path=config)
    assert write_runs(place, RunStory(1), pipeline="p") == [run_id]
    assert trace_history(place, "p")[0].config_text == "a: 1\n"


def test_the_older_stack_has_its_own_context_of_a_run(tmp_path):
    config = tmp_path / "settings.yaml"
    config.write_text("a: 1\n")
    place = tmp_path / "metadata.sqlite"
    (run_id,) = write_runs(place, RunStory(1, is_legacy=True), pipeline="p")
    note_config(place, "p", run_id=run_id, config_path=config, is_legacy=True)
    note_config(place, "p", run_id="never", config_path=config, is_legacy=True)
    assert trace_history(place, "p")[0].config_path == str(config)


def test_the_command_prints_text_json_and_a_drawing(served, capsys):
    place = ["--metadata", str(served / "metadata.sqlite")]
    assert main(["lineage", VERSIONS[1], *place, "--graph", str(served / "lineage.html")]) == 0
    out = capsys.readouterr().out
    for text in (
        "training/model.ckpt-200",
        VERSIONS[1],
        "still the same bytes",
        "settings.yaml",
        "many_runs",
    ):
        assert text in out
    page = (served / "lineage.html").read_text()
    assert "model.ckpt-200" in page
    assert main(["lineage", VERSIONS[1], *place, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["source_step"], one["is_intact"], one["config_text"]) == (200, True, "pipeline: {}\n")
    assert main(["lineage", "5", *place]) == 2
