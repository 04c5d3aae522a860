"""Stand-ins for packages that take long to import, a word that every room may use.

What passes through: a package's name comes in, and a module that answers for it is put where Python looks.
What is known to lie in a part of the package is taken from that part; anything else imports the whole, at
once and for good. So `import tensorflow as tf; tf.Graph()` costs what a graph needs, and `tf.keras` works.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import MappingProxyType, ModuleType
from typing import Any

_LOCK = threading.RLock()
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class StandIn(ModuleType):
    """A package that is not imported yet. Its own submodules can be, one by one."""

    def __init__(
        self,
        name: str,
        *,
        given: Mapping[str, Any] = _NOTHING,
        parts: Mapping[str, str] = _NOTHING,
        prepare: Callable[[], None] | None = None,
        underscored: Sequence[str] = (),
        is_divisible: bool = True,
    ) -> None:
        """Makes it; `put_stand_in` puts it in place.

        Args:
            name: Of the package.
            given: Attributes that are answered as they stand.
            parts: Public names, such as "compat.v1.Session", to where they lie: "package.module:Name".
            prepare: Called before the first part is imported.
            underscored: Names of the whole that begin with two underscores and are a part of its interface.
            is_divisible: Whether its submodules can be imported alone; else the first one imports the whole.

        Raises:
            ImportError: There is no such package.
        """
        super().__init__(name)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError(f"there is no package {name}", name=name)
        self.__path__ = list(spec.submodule_search_locations) if is_divisible else []
        self.__file__ = spec.origin
        self.__spec__ = spec
        self.__package__ = name
        self._given = dict(given)
        self._parts = dict(parts)
        self._prepare = prepare
        self._underscored = tuple(underscored)
        self._whole: ModuleType | None = None

    def __getattr__(self, key: str) -> Any:
        """Answers from a part where that is known to hold it, else from the whole."""
        given = self.__dict__.get("_given", {})
        if key in given:
            return given[key]
        # Whoever looks through all modules asks for such names, and means nothing by it.
        if key.startswith("__") and key not in self.__dict__.get("_underscored", ()):
            raise AttributeError(key)
        return self.find((key,))

    def __setattr__(self, key: str, value: Any) -> None:
        """Sets it in the whole, once that is imported: whoever mends a package means all who use it."""
        whole = self.__dict__.get("_whole")
        if whole is None:
            super().__setattr__(key, value)
        else:
            setattr(whole, key, value)

    def find(self, path: tuple[str, ...]) -> Any:
        """Gives what lies at a public name, taken apart at its dots."""
        name = ".".join(path)
        if sys.modules.get(self.__name__) is self:
            place = self._parts.get(name)
            if place is not None:
                return self._take_part(place)
            if any(part.startswith(f"{name}.") for part in self._parts):
                return _Names(self, path)
        value: Any = import_whole(self.__name__)
        for key in path:
            value = getattr(value, key)
        return value

    def _take_part(self, place: str) -> Any:
        with _LOCK:
            if self._prepare is not None:
                prepare, self._prepare = self._prepare, None
                prepare()
        module, _, attribute = place.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def forget(self, key: str) -> None:
        """Has an attribute that was given answered from the whole."""
        self._given.pop(key, None)

    def load(self) -> ModuleType:
        """Imports the whole and steps back; whoever still holds this module is answered from that."""
        name = self.__name__
        del sys.modules[name]
        try:
            whole = importlib.import_module(name)
        except BaseException:
            sys.modules[name] = self
            raise
        _adopt_submodules(whole)
        self._given = {}
        self._whole = whole
        return whole


class _Names:
    """A name of a stand-in's below which there are parts, such as ``tf.compat.v1``."""

    def __init__(self, stand_in: StandIn, path: tuple[str, ...]) -> None:
        self._stand_in, self._path = stand_in, path

    def __getattr__(self, key: str) -> Any:
        """Answers as the stand-in does."""
        if key.startswith("__"):
            raise AttributeError(key)
        return self._stand_in.find((*self._path, key))


class _WholeFinder:
    """Imports the whole where one of its submodules is wanted that exists only then."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Comes last of all finders, when the others found nothing in the package's own folder."""
        root, _, child = name.partition(".")
        # Further down, what is not there never is: packages try for optional parts of theirs.
        if not child or "." in child or not isinstance(sys.modules.get(root), StandIn):
            return None
        whole = import_whole(root)
        # Python would run a module that it finds there a second time.
        existing = sys.modules.pop(name, None)
        if existing is not None:
            return ModuleSpec(name, _Existing(existing))
        return PathFinder.find_spec(name, list(whole.__path__))


class _Existing(Loader):
    """Loads a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Gives it."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Leaves it as it is: it was run when it was imported."""
        module.__spec__ = self._spec


def put_stand_in(stand_in: StandIn) -> None:
    """Puts a stand-in where its package is looked for, unless that is imported already."""
    with _LOCK:
        sys.modules.setdefault(stand_in.__name__, stand_in)
        if not any(isinstance(finder, _WholeFinder) for finder in sys.meta_path):
            sys.meta_path.append(_WholeFinder())


def is_whole(name: str) -> bool:
    """Says whether a package is imported, itself and not a stand-in."""
    return name in sys.modules and not isinstance(sys.modules[name], StandIn)


def import_whole(name: str) -> ModuleType:
    """Imports a package, where need be in the place of its stand-in.

    Raises:
        ImportError: It cannot be imported; the stand-in stays.
    """
    with _LOCK:
        module = sys.modules.get(name)
        if isinstance(module, StandIn):
            return module.load()
        return importlib.import_module(name)


def hide_packages(names: Sequence[str]) -> None:
    """Lets `import` find no such packages; those that are imported already stay."""
    for name in names:
        # Python's own mark of what is not there.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def show_packages(names: Sequence[str]) -> None:
    """Undoes `hide_packages`."""
    for name in names:
        if sys.modules.get(name, False) is None:
            del sys.modules[name]


def _adopt_submodules(package: ModuleType) -> None:
    """Gives a package those of its submodules as attributes that were imported before it."""
    start = f"{package.__name__}."
    for name, module in list(sys.modules.items()):
        child = name.removeprefix(start)
        if name.startswith(start) and "." not in child and child not in vars(package):
            setattr(package, child, module)
