"""Running a user's Python file: what it may do, and what is said of it."""

import hashlib
import sys

import pytest

from servable.errors import SettingsError, SignatureError
from servable.sources.user_code.running import find_function, note_user_code, run_user_file, tell_failure


@pytest.fixture
def write(tmp_path):
    def write(text, name="code.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_modules_beside_the_file_are_found_only_while_it_runs(write):
    write("answer = 42\n", "neighbour_of_code.py")
    path = write("import neighbour_of_code\ndef late():\n    import neighbour_of_code_2\n")
    before = list(sys.path)
    module = run_user_file(path, "--module")
    assert module.neighbour_of_code.answer == 42
    assert sys.path == before
    write("", "neighbour_of_code_2.py")
    with tell_failure(path, "It failed."):
        module.late()
    assert sys.path == before


def test_two_files_of_one_name_are_two_modules(write, tmp_path):
    (tmp_path / "other").mkdir()
    first, second = write("x = 1\n"), write("x = 2\n", "other/code.py")
    assert [run_user_file(path, "--module").x for path in (first, second)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "received", "line"),
    [
        ("x = 1\nraise RuntimeError('no license')\n", "RuntimeError: no license", "line 2"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3", "line 2"),
        ("x = 1\ndef (:\n", "SyntaxError", "line 2"),
        ("import a_module_that_is_not_there\n", "ModuleNotFoundError", "line 1"),
    ],
)
def test_what_it_raises_is_told_with_its_line(write, text, received, line):
    with pytest.raises(SettingsError, match="--module failed") as caught:
        run_user_file(write(text), "--module")
    assert received in caught.value.received
    assert caught.value.where.endswith(line)


def test_an_error_of_this_library_passes_as_it_is(write):
    with pytest.raises(SignatureError, match="mine"), tell_failure(write(""), "It failed."):
        raise SignatureError("mine")


def test_a_missing_file_and_one_that_is_no_python_are_refused(write, tmp_path):
    with pytest.raises(SettingsError, match="no such file for --module"):
        run_user_file(tmp_path / "none.py", "--module")
    with pytest.raises(SettingsError, match="not a Python file"):
        run_user_file(write("x = 1\n", "code.txt"), "--module")


def test_a_function_that_is_not_there_is_told_with_those_that_are(write):
    path = write("def build_model(): pass\nbuild_graph = 3\n")
    module = run_user_file(path, "--module")
    with pytest.raises(SettingsError, match=r"no function build_graph\(\)") as caught:
        find_function(module, "build_graph", path, returns="two dicts")
    assert caught.value.received == "build_model"
    assert "two dicts" in caught.value.expected


def test_the_note_names_file_digest_and_option(write):
    path = write("x = 1\n")
    digest = hashlib.sha256(b"x = 1\n").hexdigest()
    assert note_user_code(path, "--module").message == f"ran code.py (sha256 {digest}), as --module says"
