"""Effort and budget of thinking, one table for all protocols (spec conversion.md, law 8)."""

from collections.abc import Mapping

from gateway.translation.prompt import Effort

BUDGETS: Mapping[Effort, int] = {"minimal": 1024, "low": 4096, "medium": 8192, "high": 16384, "xhigh": 32768}
"""Tokens."""


def budget_of(effort: Effort) -> int:
    return BUDGETS[effort]


def effort_of(budget: int) -> Effort:
    """The least effort whose budget is as large; the highest for all that is more."""
    for effort, tokens in BUDGETS.items():
        if budget <= tokens:
            return effort
    return "xhigh"
