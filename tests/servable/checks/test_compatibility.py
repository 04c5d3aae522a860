"""Facts about every target; that 1.15 refuses what Keras 3 exports, real runtimes say in tests/targets."""

import pytest

from servable.checks.compatibility import add_compatibility, describe_compatibility
from servable.cli import main
from servable.report import Report
from servable.targets.catalog import list_targets


@pytest.fixture
def saved_model(zoo):
    return zoo("tf2.16-sm_keras_export-a").source


def test_every_target_has_its_say(saved_model, report_faults):
    report = add_compatibility(Report("m", checked=("ops",)), saved_model)
    rows = report.facts["compatibility"]
    assert report_faults(report.to_dict()) == []
    assert [row["target"] for row in rows] == [target.name for target in list_targets()]
    verdicts = {row["target"]: row for row in rows}
    assert verdicts["tensorflow-2.21"]["runs"]
    assert verdicts["tensorflow-2.21"]["obstacle"] == ""
    assert not verdicts["tensorflow-1.15"]["loads"]
    assert verdicts["tensorflow-1.15"]["obstacle"].startswith("tensorflow-1.15 does not load the model")


@pytest.mark.parametrize("case_name", ["bad-sm_garbage_pb-a", "bad-sm_no_serve_tag-a"])
def test_a_model_without_a_graph_to_serve_has_no_such_facts(zoo, case_name):
    assert describe_compatibility(zoo(case_name).source) == []


def test_the_page_of_a_check_shows_them(saved_model, tmp_path, capsys):
    policy = tmp_path / "policy.json"
    policy.write_text('{"switched_off": ["serving_load"]}')
    words = ["check", str(saved_model), "--policy", str(policy), "--report", str(tmp_path / "page.html")]
    main([*words, "--json"])
    assert "compatibility" in capsys.readouterr().out
    assert "<h2>Targets</h2>" in (tmp_path / "page.html").read_text(encoding="utf-8")
