"""Options that a source has no use for are refused, before anything is loaded."""

import pytest

from servable.errors import UsageError
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions


@pytest.mark.parametrize(
    ("case", "name", "value"),
    [
        ("k2.3.1-bn-a", "module", "net.py"),
        ("k2.3.1-bn-a", "architecture", "model.json"),
        ("tf1.15-lr-a", "custom_objects", "objects.py"),
        ("tf1.15-lr-a", "replace_layers", {"lambda": "f.py:f"}),
    ],
)
def test_an_option_that_would_be_passed_over_is_refused(zoo, tmp_path, case, name, value):
    given = tmp_path / value if isinstance(value, str) else value
    flag = "--" + {"replace_layers": "replace-layer"}.get(name, name.replace("_", "-"))
    with pytest.raises(UsageError, match=f"^{flag} is of no use") as caught:
        open_source(zoo(case).source, SourceOptions(**{name: given}))
    assert flag in caught.value.advice
