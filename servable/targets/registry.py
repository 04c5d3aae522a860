"""Targets: which ops, attributes and kernels one version of TensorFlow knows. No TensorFlow here.

What passes through: the files in `registries/`, dumped from the runtimes themselves (`dump_registry`), come
in; op definitions and CPU kernels by name go out. Loading takes some tens of milliseconds, once a version.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from servable.errors import SettingsError

DATA_DIR: Final = Path(__file__).with_name("registries")
OPS_SUFFIX: Final = ".ops.xz"
KERNELS_SUFFIX: Final = ".kernels.xz"
# The version that exports are made with: what it does not know, nobody exports.
CURRENT_VERSION: Final = "2.21.0"


Kernel = Mapping[str, frozenset[int | bytes]]


@dataclass(frozen=True, slots=True)
class Registry:
    """What one runtime knows.

    Attributes:
        version: Of TensorFlow, such as "1.15.5".
        ops: Op name to its OpDef message.
        kernels: Op name to what each of its CPU kernels takes: attribute name to numbers of enum DataType,
            or to other values. An attribute that is not named may have any.
    """

    version: str
    ops: Mapping[str, Any]
    kernels: Mapping[str, tuple[Kernel, ...]]
    # Large graphs have hundreds of thousands of nodes, of some ten ops.
    _attrs: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def index_attrs(self, op: str) -> Mapping[str, Any]:
        """Gives the definitions of an op's attributes by name; none where the op is not known."""
        found = self._attrs.get(op)
        if found is None:
            definition = self.ops.get(op)
            found = {} if definition is None else {attr.name: attr for attr in definition.attr}
            self._attrs[op] = found
        return found

    def find_attr(self, op: str, name: str) -> Any | None:
        """Gives the definition of an attribute, or None where op or attribute is not known."""
        return self.index_attrs(op).get(name)


@cache
def load_registry(version: str) -> Registry:
    """Reads what a runtime knows.

    Args:
        version: One of `list_versions()`.

    Raises:
        SettingsError: There is no registry of this version.
    """
    ops_path = DATA_DIR / f"{version}{OPS_SUFFIX}"
    if not ops_path.is_file():
        raise SettingsError(
            "Nothing is known of this version of TensorFlow.",
            expected=", ".join(list_versions()),
            received=version,
            advice="choose the nearest older one",
        )
    # Who only asks for names need not wait for the messages.
    from servable.formats.protos import KernelList, OpList

    ops = OpList.FromString(lzma.decompress(ops_path.read_bytes()))
    kernels = KernelList.FromString(lzma.decompress((DATA_DIR / f"{version}{KERNELS_SUFFIX}").read_bytes()))
    return Registry(version, {op.name: op for op in ops.op}, _index_kernels(kernels.kernel))


def list_versions() -> list[str]:
    """Lists the versions whose registry is in the package, oldest first."""
    names = [path.name.removesuffix(OPS_SUFFIX) for path in DATA_DIR.glob(f"*{OPS_SUFFIX}")]
    return sorted(names, key=lambda name: tuple(map(int, name.split("."))))


def _index_kernels(kernels: Iterable[Any]) -> dict[str, tuple[Kernel, ...]]:
    found: dict[str, list[Kernel]] = {}
    for kernel in kernels:
        allowed = {c.name: c.allowed_values.list for c in kernel.constraint}
        values = {name: frozenset([*v.type, *v.s, *v.i, *v.b]) for name, v in allowed.items()}
        found.setdefault(kernel.op, []).append(values)
    return {op: tuple(variants) for op, variants in found.items()}
