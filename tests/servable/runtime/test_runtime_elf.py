import ctypes
import shutil
import struct
import subprocess
import sys

import pytest

from servable.errors import CheckError
from servable.runtime.elf import weaken_python_symbols

COMPILER = shutil.which("cc") or shutil.which("gcc")
NEEDS_COMPILER = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="ELF is not what libraries are here")
SOURCE = """
extern int PyServable_NoSuchThing(void);
extern int _Py_ServableNoSuchVariable;
extern int servable_other_undefined(void);
int PyServable_defined_here = 3;
int answer(void) { return 42; }
int call(int which) { return which ? PyServable_NoSuchThing() : _Py_ServableNoSuchVariable; }
"""


@pytest.fixture
def library(tmp_path):
    source = tmp_path / "lib.c"
    source.write_text(SOURCE)
    path = tmp_path / "lib.so"
    # As TensorFlow's own: every symbol is bound when the library is loaded.
    subprocess.run([COMPILER, "-shared", "-fPIC", "-Wl,-z,now", "-o", path, source], check=True)
    return path


@LINUX
@NEEDS_COMPILER
def test_a_library_loads_without_the_python_that_it_refers_to(library):
    with pytest.raises(OSError, match="undefined symbol"):
        ctypes.CDLL(str(library))
    assert weaken_python_symbols(library) == 2
    loaded = ctypes.CDLL(str(library))
    assert loaded.answer() == 42
    assert ctypes.c_int.in_dll(loaded, "PyServable_defined_here").value == 3


@LINUX
@NEEDS_COMPILER
def test_nothing_but_the_bindings_changes(library):
    before = library.read_bytes()
    weaken_python_symbols(library)
    after = library.read_bytes()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert [a >> 4 for a, _ in changed] == [1, 1]
    assert [b >> 4 for _, b in changed] == [2, 2]
    assert all(a & 0xF == b & 0xF for a, b in changed)
    assert weaken_python_symbols(library) == 0


def make_elf(*symbols, sections_at=64, symbols_size=None, link=1):
    """Two sections, .dynsym and .dynstr, behind the header; each symbol is (name, st_info, st_shndx)."""
    names, entries = b"\0", b""
    for name, info, section in symbols:
        entries += struct.pack("<IBBHQQ", len(names), info, 0, section, 0, 0)
        names += name + b"\0"
    symbols_at = 64 + 2 * 64
    names_at = symbols_at + len(entries)
    size = len(entries) if symbols_size is None else symbols_size
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 0, sections_at, 0, 64, 0, 0, 64, 2, 0
    )
    dynsym = struct.pack("<IIQQQQIIQQ", 0, 11, 0, 0, symbols_at, size, link, 0, 8, 24)
    dynstr = struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    return header + dynsym + dynstr + entries + names


def read_infos(data, count):
    return [data[64 + 2 * 64 + 24 * i + 4] for i in range(count)]


def test_only_undefined_global_names_of_python_are_made_weak(tmp_path):
    path = tmp_path / "lib.so"
    path.write_bytes(
        make_elf(
            (b"PyFloat_Type", 0x11, 0),  # a variable
            (b"_Py_Check", 0x12, 0),  # a function
            (b"PyFloat_Type", 0x11, 5),  # defined here
            (b"malloc", 0x12, 0),
            (b"MyPyThing", 0x12, 0),
            (b"Py_Local", 0x02, 0),  # local
            (b"Py_Weak", 0x22, 0),  # weak already
        )
    )
    assert weaken_python_symbols(path) == 2
    assert read_infos(path.read_bytes(), 7) == [0x21, 0x22, 0x11, 0x12, 0x12, 0x02, 0x22]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MZ not ELF",
        b"\x7fELF\x01\x01" + bytes(100),  # 32 bits
        b"\x7fELF\x02\x01",
        make_elf((b"Py", 0x12, 0), sections_at=0),
        make_elf((b"Py", 0x12, 0), sections_at=1 << 40),
        make_elf((b"Py", 0x12, 0), symbols_size=1 << 40),
        make_elf((b"Py", 0x12, 0), link=9),
    ],
)
def test_what_is_no_library_is_refused(tmp_path, data):
    path = tmp_path / "lib.so"
    path.write_bytes(data)
    with pytest.raises(CheckError, match="shared library"):
        weaken_python_symbols(path)
    assert path.read_bytes() == data
