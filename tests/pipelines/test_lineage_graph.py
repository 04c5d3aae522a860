"""Drawn graphs: whole, harmless and readable without anything else."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipelines.lineage.graph import draw_history, draw_lineage
from pipelines.lineage.model_lineage import Lineage, Verdict
from pipelines.rendering.dot import render_dot
from pipelines.rendering.graph import write_graph
from pipelines.rendering.svg import cut_middle, render_page, render_svg
from servable.errors import SettingsError

ATTACK = "</text><script>alert(1)</script>\"'&\x1b]0;x\x07\n"

LINEAGE = Lineage(
    model="ranker",
    source_path="training/model.ckpt-200",
    source_format="tf1-saver",
    source_step=200,
    source_digest="a" * 64,
    toolchain="tfx-servable 0.1.0",
    model_uri="pipeline/convert_ranker/model/1",
    saved_model_digest="b" * 64,
    target="current",
    blessed=True,
    blessing_message="Fit to serve.",
    report_uri="pipeline/validate_ranker/report/2",
    pushed_path=Path("pushed/ranker/17"),
    pushed_digest="b" * 64,
    finished_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    verdict=Verdict.FIT,
    pushed_version="17",
    pipeline="nightly",
    run_id="run-1",
    push_run_id="run-1",
    config_path="configs/nightly.yaml",
    config_digest="c" * 64,
    model_id=1,
)
HOSTILE = replace(
    LINEAGE, model=ATTACK, source_path=ATTACK, config_path=ATTACK, run_id=ATTACK, upstream=ATTACK, model_id=2
)


def list_texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_one_lineage_is_drawn_from_source_and_settings_to_version():
    texts = list_texts(render_svg(draw_lineage([LINEAGE])))
    for text in ("model.ckpt-200", "Run", "run-1", "Settings", "Model ranker", "Fit to serve", "Version 17"):
        assert text in texts
    assert "still the same bytes" in texts


def test_refused_and_changed_models_are_red():
    refused = replace(LINEAGE, verdict=Verdict.REFUSED, pushed_path=None, pushed_digest="")
    changed = replace(LINEAGE, pushed_digest="d" * 64)
    for one, text in ((refused, "Not pushed: not fit to serve"), (changed, "CHANGED since it was checked")):
        svg = render_svg(draw_lineage([one]))
        assert 'class="box bad"' in svg
        assert text in list_texts(svg)
    assert 'class="box bad"' not in render_svg(draw_lineage([LINEAGE]))


def test_history_draws_a_source_once_and_the_newest_first():
    again = replace(LINEAGE, pushed_version="18", pushed_path=Path("pushed/ranker/18"))
    graph = draw_history([LINEAGE, again], "nightly")
    titles = [node.title for node in graph.nodes]
    assert titles == ["model.ckpt-200", "Model ranker", "Version 18", "Version 17"]
    assert len(graph.edges) == 3


@pytest.mark.parametrize("render", [render_svg, render_page, render_dot])
def test_names_of_any_origin_stay_text(render):
    for graph in (draw_lineage([LINEAGE, HOSTILE]), draw_history([LINEAGE, HOSTILE], ATTACK)):
        drawn = render(graph)
        assert "\x1b" not in drawn
        if render is not render_dot:
            assert "<script" not in drawn
            body = drawn[drawn.index("<svg") : drawn.index("</svg>") + 6]
            ElementTree.fromstring(body)


def test_drawings_need_nothing_else():
    for text in (render_svg(draw_lineage([LINEAGE])), render_page(draw_lineage([LINEAGE]))):
        assert "<script" not in text
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
        assert "prefers-color-scheme: dark" in text


def test_an_empty_graph_can_be_drawn():
    ElementTree.fromstring(render_svg(draw_history([], "nightly")))


def test_graphviz_takes_the_text(tmp_path):
    program = shutil.which("dot")
    if program is None:
        pytest.skip("Graphviz is not installed here")
    write_graph(draw_lineage([LINEAGE, HOSTILE]), tmp_path / "graph.dot")
    drawn = subprocess.run([program, "-Tsvg", tmp_path / "graph.dot"], capture_output=True, check=True).stdout
    assert b"model.ckpt" in drawn


@pytest.mark.parametrize("name", ["graph.svg", "graph.HTML", "deeper/graph.dot"])
def test_the_suffix_decides(tmp_path, name):
    write_graph(draw_lineage([LINEAGE]), tmp_path / name)
    assert "ranker" in (tmp_path / name).read_text()


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"\*\.svg"):
        write_graph(draw_lineage([LINEAGE]), tmp_path / "graph.png")


def test_long_texts_are_cut_in_the_middle():
    assert cut_middle("short", 10) == "short"
    cut = cut_middle("/a/very/long/path/to/model.ckpt-1300", 20)
    assert len(cut) == 20
    assert cut.startswith("/a/ver")
    assert cut.endswith("ckpt-1300")
