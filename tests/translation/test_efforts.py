"""Effort and budget of thinking: one table, both ways."""

import pytest

from gateway.translation.efforts import BUDGETS, budget_of, effort_of


def test_the_table_is_the_contracts() -> None:
    assert dict(BUDGETS) == {"minimal": 1024, "low": 4096, "medium": 8192, "high": 16384, "xhigh": 32768}


@pytest.mark.parametrize("effort", BUDGETS)
def test_each_effort_survives_both_ways(effort) -> None:
    assert effort_of(budget_of(effort)) == effort


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(0, "minimal"), (1025, "low"), (4097, "medium"), (8193, "high"), (16385, "xhigh"), (10**6, "xhigh")],
)
def test_a_budget_between_two_is_the_higher(budget: int, effort: str) -> None:
    assert effort_of(budget) == effort
