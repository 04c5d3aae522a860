"""Commands that installed packages bring: found when they are asked for, and no cost otherwise."""

from __future__ import annotations

import builtins
import resource
import subprocess
import sys
from importlib import metadata

import pytest

from servable import cli_commands
from servable.cli import main


def make_entry(name: str, value: str) -> metadata.EntryPoint:
    return metadata.EntryPoint(name, value, "servable.commands")


@pytest.fixture
def offer(monkeypatch):
    """Takes the place of what is installed."""

    def offer(*entries: metadata.EntryPoint) -> None:
        monkeypatch.setattr(cli_commands, "find_entries", lambda: iter(entries))

    return offer


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "brought_command.py").write_text(
        "HELP = 'greet somebody'\n"
        "def add_arguments(parser): parser.add_argument('who')\n"
        "def run(arguments): print('hello', arguments.who, arguments.json); return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return make_entry("greet", "brought_command")


def test_a_brought_command_is_listed_and_run(offer, plugin, capsys):
    offer(plugin)
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "greet somebody" in capsys.readouterr().out
    assert main(["greet", "you", "--json"]) == 1
    assert capsys.readouterr().out == "hello you True\n"


def test_a_core_command_is_never_replaced_nor_slowed(offer, monkeypatch, capsys):
    monkeypatch.setattr(cli_commands, "find_entries", lambda: pytest.fail("looked for commands"))
    assert main(["targets"]) == 0
    offer(make_entry("targets", "brought_command"))
    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out.count("    targets ") == 1


def test_a_broken_command_spoils_nothing_but_itself(offer, plugin, capsys):
    offer(plugin, make_entry("broken", "no_such_module_at_all"))
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "cannot be loaded here" in capsys.readouterr().out
    assert main(["broken"]) == 2
    assert "no_such_module_at_all" in capsys.readouterr().err
    assert main(["greet", "you"]) == 1


def test_an_unknown_command_names_the_brought_ones(offer, plugin, capsys):
    offer(plugin)
    with pytest.raises(SystemExit) as ended:
        main(["great"])
    assert ended.value.code == 4
    assert "'greet'" in capsys.readouterr().err


def test_history_and_lineage_are_installed_with_this_package():
    names = {entry.name for entry in cli_commands.find_entries()}
    assert {"history", "lineage"} <= names


@pytest.mark.parametrize("words", [["history", "c.yaml"], ["lineage", "17", "c.yaml"]])
def test_without_the_extra_it_says_what_to_install(words, monkeypatch, capsys):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.partition(".")[0] in ("pydantic", "yaml"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    for name in [name for name in sys.modules if name.partition(".")[0] in ("pipelines", "pydantic", "yaml")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert main(words) == 2
    assert 'pip install "tfx-servable[tfx]"' in capsys.readouterr().err


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom servable.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'tensorflow', 'tfx', 'ml_metadata', 'pydantic', 'yaml', 'numpy'} & set(sys.modules)\n"
        "sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "history" in done.stdout
    # Of the processor, which other work on the machine slows as well: a third of a second when there is none.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
