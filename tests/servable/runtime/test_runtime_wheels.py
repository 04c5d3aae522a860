import base64
import hashlib
import stat
import zipfile

import pytest

from servable.errors import CheckError
from servable.runtime import wheels
from servable.runtime.wheels import extract_libraries

FRAMEWORK = "tensorflow/libtensorflow_framework.so.2"
MODULE = "tensorflow/python/_pywrap_tensorflow_internal.so"
OWN = "tensorflow/libtensorflow_cc.so.2"
OTHERS = {"tensorflow/__init__.py": b"raise SystemExit", "tensorflow/libother.so": b"other"}


def make_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"


def list_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "tree"
    path.mkdir()
    return path


def test_only_the_two_libraries_are_taken_out_and_keep_their_places(make_wheel, folder):
    wheel = make_wheel({FRAMEWORK: b"framework", MODULE: b"module", **OTHERS})
    assert extract_libraries(wheel, folder) == folder / MODULE
    assert list_files(folder) == [FRAMEWORK, MODULE]
    assert (folder / MODULE).read_bytes() == b"module"
    assert not (folder / MODULE).stat().st_mode & stat.S_IXUSR


def test_a_library_of_its_own_is_preferred_to_the_python_module(make_wheel, folder):
    wheel = make_wheel({MODULE: b"module", OWN: b"own", FRAMEWORK: b"framework"})
    assert extract_libraries(wheel, folder) == folder / OWN
    assert list_files(folder) == [OWN, FRAMEWORK]


def test_old_wheels_keep_the_package_below_a_data_folder(make_wheel, folder):
    below = "tensorflow-1.15.5.data/purelib/tensorflow_core"
    files = {
        f"{below}/libtensorflow_framework.so.1": b"f",
        f"{below}/python/_pywrap_tensorflow_internal.so": b"m",
    }
    library = extract_libraries(make_wheel(files, version="1.15.5"), folder)
    assert library == folder / "tensorflow_core/python/_pywrap_tensorflow_internal.so"
    assert (folder / "tensorflow_core/libtensorflow_framework.so.1").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "../libtensorflow_cc.so.2",
        "tensorflow/../../libtensorflow_cc.so.2",
        "/etc/libtensorflow_cc.so.2",
        "tensorflow-2.7.4.data/purelib/../../../libtensorflow_cc.so.2",
    ],
)
def test_nothing_is_written_outside_the_folder(make_wheel, folder, tmp_path, name):
    with pytest.raises(CheckError, match="cannot be used") as caught:
        extract_libraries(make_wheel({name: b"evil"}), folder)
    assert "outside" in caught.value.received
    assert list(folder.rglob("*.so*")) == []
    assert list(tmp_path.glob("lib*")) == []


def test_a_symbolic_link_is_refused(tmp_path, folder):
    wheel = tmp_path / "tensorflow-2.7.4-cp39-cp39-linux_x86_64.whl"
    link = zipfile.ZipInfo(OWN)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
        archive.writestr("tensorflow-2.7.4.dist-info/RECORD", make_line(OWN, b"/etc/passwd"))
    with pytest.raises(CheckError) as caught:
        extract_libraries(wheel, folder)
    assert "symbolic link" in caught.value.received


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ([make_line(OWN, b"evil")], "sha256"),
        ([make_line(OWN, b"shorter")], "bytes"),
        ([make_line(MODULE, b"good")], "no sha256"),
        ([f"{OWN},,"], "no sha256"),
        ([f"{OWN},md5=abc,4"], "no sha256"),
        ([f"{OWN},sha256=abc,4"], "sha256"),
        ([f"{OWN},sha256=\u00e4,4"], ""),
        ([""], "no sha256"),
    ],
)
def test_what_the_record_does_not_vouch_for_is_refused(make_wheel, folder, record, said):
    with pytest.raises(CheckError) as caught:
        extract_libraries(make_wheel({OWN: b"good"}, record=record), folder)
    assert said in caught.value.received


def test_a_size_beyond_any_library_is_refused(make_wheel, folder, monkeypatch):
    monkeypatch.setattr(wheels, "_MAX_LIBRARY_BYTES", 3)
    with pytest.raises(CheckError, match="cannot be used"):
        extract_libraries(make_wheel({OWN: b"good"}), folder)


def test_a_wheel_of_something_else_is_refused(make_wheel, folder):
    with pytest.raises(CheckError) as caught:
        extract_libraries(make_wheel(OTHERS), folder)
    assert "libtensorflow_cc" in caught.value.received
    assert list_files(folder) == []


def test_an_archive_without_record_is_refused(tmp_path, folder):
    wheel = tmp_path / "tensorflow-2.7.4-cp39-cp39-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(OWN, b"good")
    with pytest.raises(CheckError) as caught:
        extract_libraries(wheel, folder)
    assert "RECORD" in caught.value.received


@pytest.mark.parametrize("keep", [0, 30, 0.5, 0.9])
def test_a_truncated_wheel_is_refused(make_wheel, folder, keep):
    wheel = make_wheel({OWN: bytes(1000)})
    data = wheel.read_bytes()
    wheel.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(CheckError, match="cannot be used"):
        extract_libraries(wheel, folder)


def test_a_flipped_byte_is_found(make_wheel, folder):
    wheel = make_wheel({OWN: b"good" * 100})
    data = bytearray(wheel.read_bytes())
    data[data.index(b"goodgood") + 5] ^= 1
    wheel.write_bytes(data)
    with pytest.raises(CheckError, match="cannot be used"):
        extract_libraries(wheel, folder)
