"""Models that nobody has harmed: the campaign proves nothing if these are convicted, too."""

import pytest

from servable.report import Severity


@pytest.mark.parametrize("name", ["dense", "words", "module", "keras", "heads"])
def test_good_models_are_blessed(name, open_subject):
    subject = open_subject(name)
    report = subject.check()
    assert [f for f in report.findings if f.severity is not Severity.INFO] == []
    assert report.skipped == ()
    assert "fidelity" in report.checked
