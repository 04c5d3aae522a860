"""Stand-ins, with packages of the test's own: what is imported, and when."""

from __future__ import annotations

import importlib
import sys

import pytest

from servable.stand_ins import (
    StandIn,
    hide_packages,
    import_whole,
    is_whole,
    put_stand_in,
    show_packages,
)

INIT = """
import os
from standin_pack._api import late
from standin_pack.small import part as api_part
__path__.append(os.path.join(os.path.dirname(__file__), "_api"))
__special__ = "of the whole"
whole = "whole"
"""

OPTIONAL = """
try:
    from standin_pack.inner import written_in_c
except ImportError:
    written_in_c = None
try:
    import standin_pack.inner.written_in_rust
except ImportError:
    pass
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a small part, and a folder of interfaces that it finds only when it is whole."""
    folder = tmp_path / "standin_pack"
    (folder / "_api" / "late").mkdir(parents=True)
    (folder / "__init__.py").write_text(INIT)
    (folder / "small.py").write_text("import standin_pack.inner\npart = object()\nclass Part: pass\n")
    (folder / "inner").mkdir()
    (folder / "inner" / "__init__.py").write_text(OPTIONAL)
    (folder / "_api" / "__init__.py").write_text("")
    (folder / "_api" / "late" / "__init__.py").write_text("deep = 'deep'\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield "standin_pack"
    for name in [name for name in sys.modules if name.startswith("standin_pack")]:
        del sys.modules[name]


def test_parts_are_taken_without_the_whole(package):
    prepared = []
    parts = {"api.v1.Part": "standin_pack.small:Part", "part": "standin_pack.small:part"}
    put_stand_in(
        StandIn(package, given={"__version__": "3"}, parts=parts, prepare=lambda: prepared.append(1))
    )
    import standin_pack

    assert (standin_pack.__version__, prepared) == ("3", [])
    assert standin_pack.api.v1.Part is sys.modules["standin_pack.small"].Part
    assert standin_pack.part is sys.modules["standin_pack.small"].part
    assert prepared == [1]
    assert not is_whole(package)


def test_anything_else_imports_the_whole_once(package):
    put_stand_in(StandIn(package, parts={"part": "standin_pack.small:part"}))
    import standin_pack as held

    part = held.part
    assert held.whole == "whole"
    assert is_whole(package)
    whole = sys.modules[package]
    assert whole.small.part is part is whole.api_part  # what was imported before is not imported again
    assert held.whole is whole.whole
    with pytest.raises(AttributeError):
        _ = held.nonsense


def test_a_submodule_that_only_the_whole_finds(package):
    put_stand_in(StandIn(package))
    import standin_pack.late

    assert standin_pack.late.deep == "deep"
    assert is_whole(package)


def test_a_part_that_is_nowhere_does_not_import_the_whole(package):
    put_stand_in(StandIn(package))
    import standin_pack.inner

    assert not is_whole(package)
    assert standin_pack.inner.written_in_c is None


def test_of_a_package_that_is_one_piece_a_submodule_imports_the_whole(package):
    put_stand_in(StandIn(package, is_divisible=False))
    from standin_pack.small import part

    assert is_whole(package)
    assert sys.modules[package].api_part is part


def test_names_that_tools_look_for_import_nothing(package):
    put_stand_in(StandIn(package, underscored=("__special__",)))
    import standin_pack

    assert not hasattr(standin_pack, "__wrapped__")
    assert not is_whole(package)
    assert standin_pack.__special__ == "of the whole"
    assert is_whole(package)


def test_what_was_given_can_be_forgotten(package):
    stand_in = StandIn(package, given={"whole": "given"})
    put_stand_in(stand_in)
    import standin_pack

    assert standin_pack.whole == "given"
    stand_in.forget("whole")
    assert standin_pack.whole == "whole"


def test_who_mends_a_package_through_its_stand_in_mends_the_whole(package):
    stand_in = StandIn(package)
    put_stand_in(stand_in)
    assert not hasattr(stand_in, "missing")  # which takes the whole to tell
    stand_in.missing = "put there"
    stand_in.whole = "replaced"
    whole = importlib.import_module(package)
    assert (whole.missing, whole.whole) == ("put there", "replaced")
    assert (stand_in.missing, stand_in.whole) == ("put there", "replaced")


def test_a_package_that_cannot_be_imported_is_told_each_time(package, tmp_path):
    (tmp_path / package / "__init__.py").write_text("raise ImportError('half installed')\n")
    put_stand_in(StandIn(package))
    for _ in range(2):
        with pytest.raises(ImportError, match="half installed"):
            import_whole(package)


def test_what_is_imported_already_stays(package):
    real = importlib.import_module(package)
    put_stand_in(StandIn(package))
    assert sys.modules[package] is real
    with pytest.raises(ImportError):
        StandIn("a_package_that_is_not_there")


def test_hidden_packages_are_found_again_when_they_are_shown(package):
    hide_packages([package, "json"])
    with pytest.raises(ImportError):
        importlib.import_module(package)
    assert sys.modules["json"] is not None
    show_packages([package, "json"])
    assert importlib.import_module(package).whole == "whole"
