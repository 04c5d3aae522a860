import pytest

from servable.checks.budgets import find_excesses, find_regressions, is_compared, is_timed
from servable.checks.policy import CheckPolicy
from servable.errors import SettingsError


@pytest.mark.parametrize(("measured", "over"), [(99, 0), (100, 0), (101, 1)])
def test_most_that_is_allowed(measured, over):
    assert len([*find_excesses({"graph_bytes": 100}, {"graph_bytes": measured})]) == over


@pytest.mark.parametrize(("measured", "under"), [(99, 1), (100, 0), (101, 0)])
def test_least_that_is_wanted(measured, under):
    found = [*find_excesses({"rows_per_s": 100}, {"rows_per_s": measured})]
    assert len(found) == under
    assert all("at least 100 rows a second, measured 99" in message for message in found)


def test_what_was_not_measured_is_not_judged():
    assert [*find_excesses({"latency_p99_s": 1}, {})] == []


def test_ratios_are_of_the_previous_model():
    budget = {"load_time_s_ratio": 1.5, "graph_bytes": 1}
    assert [*find_regressions(budget, {"load_time_s": 1.4, "graph_bytes": 9})] == []
    (message,) = find_regressions(budget, {"load_time_s": 1.6})
    assert "budget load_time_s_ratio is at most 1.5 times the previous model's s to load" in message


def test_what_has_to_be_measured_well_or_compared():
    assert is_timed({"latency_p50_s_ratio": 2})
    assert is_timed({"load_time_s": 2})
    assert not is_timed({"graph_bytes": 2})
    assert is_compared({"graph_bytes_ratio": 2})
    assert not is_compared({"graph_bytes": 2})


@pytest.mark.parametrize(("budget", "words"), [({"latency": 1}, "'latency'"), ({"graph_bytes": 0}, "is 0")])
def test_faults_of_a_budget(budget, words):
    with pytest.raises(SettingsError) as caught:
        CheckPolicy.from_dict({"budget": budget})
    assert words in caught.value.received
