"""The target in the corridor: resolved before anything is opened, handed on, checked."""

from pathlib import Path

import pytest

from servable import convert
from servable.baseline import Baseline
from servable.checks.policy import CheckPolicy
from servable.convert import Conversion, ConversionOptions, check_conversion
from servable.errors import SettingsError
from servable.model import Origin


def test_a_typo_is_told_when_the_options_are_made():
    with pytest.raises(SettingsError, match=r"no such target(.|\n)*tensorflow-2\.7"):
        ConversionOptions(target="tensorflow-2.8")


@pytest.mark.parametrize(
    ("converted_for", "policy_names", "checked_for"),
    [
        ("current", "current", "current"),
        ("kserve", "current", "kserve"),
        ("tensorflow-1.15", "tensorflow-2.7", "tensorflow-1.15"),
        ("current", "tensorflow-2.7", "tensorflow-2.7"),
    ],
)
def test_a_conversion_is_checked_for_what_it_was_made_for(
    monkeypatch, converted_for, policy_names, checked_for
):
    seen = []
    monkeypatch.setattr(convert, "check_servable", lambda *_, policy, **__: seen.append(policy.target))
    origin = Origin(Path("m.h5"), "keras_h5", "keras", "2.2.4", (Path("m.h5"),), None, "0" * 64)
    conversion = Conversion(Path("out/1"), origin, (), {}, Baseline({}), "1" * 64, (), target=converted_for)
    check_conversion(conversion, policy=CheckPolicy(target=policy_names))
    assert seen == [checked_for]
