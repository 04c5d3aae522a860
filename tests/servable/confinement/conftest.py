"""A model with custom objects that a test writes: code that misbehaves as a hostile file might."""

import time

import pytest

from servable.confinement.converting import convert_confined
from servable.confinement.limits import Limits
from servable.convert import ConversionOptions
from servable.sources.options import SourceOptions


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def wait_until():
    def wait(condition, *, what, seconds=30.0):
        deadline_s = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline_s, f"never came: {what}"
            time.sleep(0.05)

    return wait


@pytest.fixture
def wait_for_end(wait_until):
    """Waits until a process, of which nobody here is the parent, has ended."""
    return lambda pid: wait_until(lambda: not is_running(pid), what=f"end of process {pid}")


@pytest.fixture
def custom_layer(zoo):
    return zoo("k2.2.4-custom_layer-a").source


@pytest.fixture(scope="session")
def warm_worker(zoo, tmp_path_factory):
    """The worker has imported TensorFlow, so that a short limit is about the job and not about that."""
    for number in range(2):
        out = tmp_path_factory.mktemp("warm") / str(number)
        convert_confined(zoo("k2.2.4-bn-a").source, out, ConversionOptions(make_baseline=False))


@pytest.fixture
def convert_running(custom_layer, tmp_path, warm_worker):
    """Converts a model with custom objects from a file with the given code."""

    def convert(code, *, limits=None, progress=None):
        path = tmp_path / "objects.py"
        path.write_text(code)
        options = ConversionOptions(source=SourceOptions(custom_objects=path), make_baseline=False)
        return convert_confined(
            custom_layer, tmp_path / "out" / "1", options, limits=limits or Limits(), progress=progress
        )

    yield convert
    assert [path.name for path in (tmp_path / "out").glob("*")] in ([], ["1"])
