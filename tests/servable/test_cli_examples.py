"""`servable check --examples`: files, labels, and what the options do to the policy."""

from __future__ import annotations

import argparse
import json

import pytest

from servable.checks.policy import CheckPolicy
from servable.cli import main
from servable.cli_examples import add_examples_options, read_examples
from servable.errors import SettingsError, UsageError


def read(*words):
    parser = argparse.ArgumentParser()
    add_examples_options(parser)
    return read_examples(parser.parse_args(words))


@pytest.fixture
def files(tmp_path):
    for name in ("b-1.gz", "b-0.gz", "a"):
        (tmp_path / name).touch()
    return tmp_path


def test_files_and_globs_are_found_in_order(files):
    examples, _ = read("--examples", f"{files}/b-*", "--examples", f"{files}/a", "--label", "y")
    assert [path.name for path in examples.paths] == ["b-0.gz", "b-1.gz", "a"]


def test_options_make_the_section(files):
    _, change = read("--examples", f"{files}/a", "--label", "y", "--task", "binary")
    metrics = change(CheckPolicy()).metrics
    assert (metrics.label, metrics.task, metrics.budget) == ("y", "binary", {})


def test_options_stand_above_the_section(files):
    policy = CheckPolicy.from_dict({"metrics": {"label": "a", "output": "z", "budget": {"accuracy": 0.5}}})
    _, change = read("--examples", f"{files}/a", "--label", "b")
    metrics = change(policy).metrics
    assert (metrics.label, metrics.output, metrics.budget) == ("b", "z", {"accuracy": 0.5})


def test_task_that_does_not_go_with_the_budget_is_a_setting(files):
    policy = CheckPolicy.from_dict({"metrics": {"label": "a", "budget": {"accuracy": 0.5}}})
    _, change = read("--examples", f"{files}/a", "--task", "regression")
    with pytest.raises(SettingsError, match="do not go with"):
        change(policy)


def test_no_options_change_nothing():
    examples, change = read()
    assert examples is None
    assert change(CheckPolicy()) == CheckPolicy()


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        (["--label", "y"], UsageError, "measured on examples"),
        (["--examples", "gs://b/x", "--label", "y"], SettingsError, "of this machine"),
        (["--examples", "nothing-here-*", "--label", "y"], SettingsError, "no such examples"),
    ],
)
def test_wrong_words_are_told(words, error, match):
    with pytest.raises(error, match=match):
        read(*words)


def test_label_is_asked_for(files, capsys):
    words = ["check", str(files), "--examples", str(files / "a"), "--json"]
    assert main(words) == 4
    assert "--label KEY" in json.loads(capsys.readouterr().out)["expected"]
