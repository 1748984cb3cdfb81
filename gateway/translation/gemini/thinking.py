"""How much Gemini is to think: `thinkingConfig` both ways (ai.google.dev/gemini-api/docs/thinking).

Gemini 2.5 is given a budget within its own bounds (0: not at all, -1: as it likes), Gemini 3 a level; older models and
Gemma do not think. What each model takes is known by its name here and nowhere else. Pure.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.protocols.codec import InvalidBody
from gateway.translation.efforts import BUDGETS, budget_of, effort_of
from gateway.translation.gemini.members import Object
from gateway.translation.prompt import Effort, Reasoning

SKIPPED = "skip_thought_signature_validator"
"""In place of the signature of a call that Gemini did not make: ai.google.dev/gemini-api/docs/thought-signatures"""


class Kind(Struct, frozen=True):
    """What a model takes: a budget within `least` and `most` tokens, or one of `levels`, or (neither) nothing.

    `signs`: it refuses calls in the history without their signature, and takes media inside results.
    """

    least: int = 0
    most: int = 0
    stops: bool = False
    """It can be told not to think at all."""
    levels: tuple[Effort, ...] = ()
    signs: bool = False


_ALL: tuple[Effort, ...] = ("minimal", "low", "medium", "high")
#: The first that matches the model's name. A name that says nothing (`gemini-flash-latest`, a tuned one) is a new one.
_KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"gemini-(1|2\.0)|gemma|learnlm"), Kind()),
    (re.compile(r"gemini-2\.5.*flash-lite"), Kind(least=512, most=24576, stops=True)),
    (re.compile(r"gemini-2\.5.*flash"), Kind(least=0, most=24576, stops=True)),
    (re.compile(r"gemini-2"), Kind(least=128, most=32768)),
    (re.compile(r"gemini-(\d+(\.\d+)?-)?pro"), Kind(levels=_ALL[1:], signs=True)),
    (re.compile(r""), Kind(levels=_ALL, signs=True)),
)


def kind(model: str) -> Kind:
    return next(found for pattern, found in _KINDS if pattern.search(model))


def parse(config: Object | None) -> Reasoning:
    """Raises InvalidBody."""
    if config is None:
        return Reasoning()
    shown = config.flag("includeThoughts")
    level, budget = config.word("thinkingLevel"), config.whole("thinkingBudget")
    if level is not None:
        effort: Effort | None = next((each for each in BUDGETS if each == level.lower()), None)
        if effort is None:
            raise InvalidBody(
                f"{config.under('thinkingLevel')} is not known: {level[:50]}", config.under("thinkingLevel")
            )
        return Reasoning(enabled=True, effort=effort, shown=shown)
    if budget is None:
        return Reasoning(shown=shown)
    return Reasoning(enabled=budget != 0, budget=budget if budget > 0 else None, shown=shown)


def build(reasoning: Reasoning, model: str) -> tuple[Mapping[str, Any], bool]:
    """`thinkingConfig`, empty where there is nothing to say; and whether the model cannot do just that."""
    if reasoning == Reasoning():
        return {}, False
    takes = kind(model)
    if not takes.levels and not takes.most:
        return {}, reasoning.enabled is not False
    wanted = reasoning.enabled is not False and (
        reasoning.enabled is True or reasoning.effort is not None or reasoning.budget is not None
    )
    shown = wanted or None if reasoning.shown is None else reasoning.shown
    config, changed = _level(reasoning, takes) if takes.levels else _budget(reasoning, takes)
    return config if shown is None else {**config, "includeThoughts": shown}, changed


def _level(reasoning: Reasoning, takes: Kind) -> tuple[dict[str, Any], bool]:
    if reasoning.enabled is False:
        return {"thinkingLevel": takes.levels[0].upper()}, True
    effort = reasoning.effort
    if effort is None and reasoning.budget is not None:
        effort = effort_of(reasoning.budget)
    if effort is None:
        return {}, False
    nearest = effort if effort in takes.levels else takes.levels[0 if effort == "minimal" else -1]
    return {"thinkingLevel": nearest.upper()}, nearest != effort


def _budget(reasoning: Reasoning, takes: Kind) -> tuple[dict[str, Any], bool]:
    if reasoning.enabled is False:
        return {"thinkingBudget": 0 if takes.stops else takes.least}, not takes.stops
    tokens = reasoning.budget
    if tokens is None and reasoning.effort is not None:
        tokens = budget_of(reasoning.effort)
    if tokens is None:
        return ({"thinkingBudget": -1} if reasoning.enabled else {}), False
    nearest = min(max(tokens, takes.least), takes.most)
    return {"thinkingBudget": nearest}, nearest != tokens
