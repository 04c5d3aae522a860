"""The runtime: makes a library's references to Python optional, so that it loads in any Python.

What passes through: a shared library (ELF, 64-bit, little-endian) is changed in place. Old TensorFlow keeps
its C API in the library of its Python module, which refers to functions and variables of the CPython that it
was built for. Serving needs none of them; made weak, those that the running Python lacks no longer matter.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from servable.errors import CheckError

# Elf64_Ehdr, Elf64_Shdr and Elf64_Sym of the System V ABI, gABI 4.1, chapter 4.
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_DYNAMIC_SYMBOLS = 11  # SHT_DYNSYM
_UNDEFINED = 0  # SHN_UNDEF
_GLOBAL, _WEAK = 1, 2  # STB_GLOBAL, STB_WEAK
_INFO_OFFSET = 4  # of st_info in a symbol: the binding in its upper half, the type in its lower
_PREFIXES = (b"Py", b"_Py")


def weaken_python_symbols(path: Path) -> int:
    """Makes every reference of a library to CPython's C API weak.

    Args:
        path: The library; changed in place, so that it should be a copy. It is mapped, not read: a library of
            1 GB takes no memory.

    Returns:
        How many references were changed.

    Raises:
        CheckError: The file is no such library, or contradicts itself.
    """
    with path.open("r+b") as file:
        try:
            with mmap.mmap(file.fileno(), 0) as data:
                offsets = list(_find_python_references(data))
                for offset in offsets:
                    data[offset] = _WEAK << 4 | data[offset] & 0xF
                return len(offsets)
        except (ValueError, struct.error) as error:
            raise CheckError(
                "This file cannot be read as a shared library.",
                expected="an ELF library, 64-bit and little-endian, with a table of symbols",
                received=str(error),
                where=str(path),
                advice="servable runtimes add  installs anew",
            ) from error


def _find_python_references(data: mmap.mmap) -> Iterator[int]:
    """Gives the place of st_info of each reference, in the file."""
    for symbols_at, size, names_at, names_size in _find_symbol_tables(data):
        names_end = names_at + names_size
        for at in range(symbols_at, symbols_at + size - _SYMBOL.size + 1, _SYMBOL.size):
            name, info, _, section, _, _ = _SYMBOL.unpack_from(data, at)
            if section != _UNDEFINED or info >> 4 != _GLOBAL or names_at + name >= names_end:
                continue
            if data[names_at + name : names_at + name + 3].startswith(_PREFIXES):
                yield at + _INFO_OFFSET


def _find_symbol_tables(data: mmap.mmap) -> Iterator[tuple[int, int, int, int]]:
    """Gives each table of dynamic symbols: where it is and its size, where its names are and their size."""
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"it begins with {data[:6]!r}")
    header = _HEADER.unpack_from(data)
    sections_at, entry_size, count = header[6], header[11], header[12]
    if not sections_at or entry_size != _SECTION.size:
        raise ValueError("it has no table of sections")
    sections = [_SECTION.unpack_from(data, sections_at + i * entry_size) for i in range(count)]
    for section in sections:
        if section[1] != _DYNAMIC_SYMBOLS:
            continue
        _, _, _, _, at, size, link, *_ = section
        if link >= len(sections):
            raise ValueError("its symbols have no names")
        names_at, names_size = sections[link][4], sections[link][5]
        if max(at + size, names_at + names_size) > len(data):
            raise ValueError("its table of symbols lies outside the file")
        yield at, size, names_at, names_size
