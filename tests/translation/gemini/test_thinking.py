"""Effort, budget and levels, model by model."""

from typing import Any

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.members import Object
from gateway.translation.gemini.thinking import build, kind, parse
from gateway.translation.prompt import Reasoning

FLASH, LITE, PRO = "gemini-2.5-flash", "models/gemini-2.5-flash-lite", "gemini-2.5-pro"
NEW, NEW_PRO = "gemini-3.5-flash", "gemini-3.1-pro-preview"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, Reasoning()),
        ({}, Reasoning()),
        ({"thinkingBudget": 0}, Reasoning(enabled=False)),
        ({"thinkingBudget": -1}, Reasoning(enabled=True)),
        ({"thinking_budget": 512, "include_thoughts": True}, Reasoning(enabled=True, budget=512, shown=True)),
        ({"thinkingLevel": "LOW"}, Reasoning(enabled=True, effort="low")),
        ({"thinkingLevel": "high", "includeThoughts": False}, Reasoning(enabled=True, effort="high", shown=False)),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, Reasoning()),
        ({"includeThoughts": True}, Reasoning(shown=True)),
    ],
)
def test_what_a_client_says(config: dict[str, Any] | None, expected: Reasoning):
    assert parse(None if config is None else Object(config)) == expected


@pytest.mark.parametrize("config", [{"thinkingLevel": "HUGE"}, {"thinkingBudget": "x"}, {"includeThoughts": 1}])
def test_what_it_cannot_say(config: dict[str, Any]):
    with pytest.raises(InvalidBody) as caught:
        parse(Object(config, "generationConfig.thinkingConfig"))
    assert caught.value.field == f"generationConfig.thinkingConfig.{next(iter(config))}"


@pytest.mark.parametrize(
    ("model", "reasoning", "config", "changed"),
    [
        (FLASH, Reasoning(), {}, False),
        (FLASH, Reasoning(enabled=False), {"thinkingBudget": 0}, False),
        (PRO, Reasoning(enabled=False), {"thinkingBudget": 128}, True),
        (NEW, Reasoning(enabled=False), {"thinkingLevel": "MINIMAL"}, True),
        (NEW_PRO, Reasoning(enabled=False), {"thinkingLevel": "LOW"}, True),
        (FLASH, Reasoning(enabled=True), {"thinkingBudget": -1, "includeThoughts": True}, False),
        (NEW, Reasoning(enabled=True), {"includeThoughts": True}, False),
        (NEW, Reasoning(enabled=True, shown=False), {"includeThoughts": False}, False),
        (NEW, Reasoning(shown=True), {"includeThoughts": True}, False),
        (FLASH, Reasoning(budget=2000), {"thinkingBudget": 2000, "includeThoughts": True}, False),
        (FLASH, Reasoning(budget=30000), {"thinkingBudget": 24576, "includeThoughts": True}, True),
        (LITE, Reasoning(budget=100), {"thinkingBudget": 512, "includeThoughts": True}, True),
        (FLASH, Reasoning(effort="medium"), {"thinkingBudget": 8192, "includeThoughts": True}, False),
        (FLASH, Reasoning(effort="xhigh"), {"thinkingBudget": 24576, "includeThoughts": True}, True),
        (PRO, Reasoning(effort="xhigh"), {"thinkingBudget": 32768, "includeThoughts": True}, False),
        (NEW, Reasoning(effort="minimal"), {"thinkingLevel": "MINIMAL", "includeThoughts": True}, False),
        (NEW_PRO, Reasoning(effort="minimal"), {"thinkingLevel": "LOW", "includeThoughts": True}, True),
        (NEW, Reasoning(effort="xhigh"), {"thinkingLevel": "HIGH", "includeThoughts": True}, True),
        (NEW, Reasoning(enabled=True, budget=4000), {"thinkingLevel": "LOW", "includeThoughts": True}, False),
        ("gemini-2.0-flash", Reasoning(effort="low"), {}, True),
        ("gemma-3-27b-it", Reasoning(enabled=False), {}, False),
    ],
)
def test_what_a_model_is_told(model: str, reasoning: Reasoning, config: dict[str, Any], changed: bool):
    assert build(reasoning, model) == (config, changed)


@pytest.mark.parametrize(
    ("model", "signs"),
    [
        ("gemini-1.5-pro", False),
        ("gemini-2.0-flash", False),
        ("gemini-2.5-pro", False),
        ("gemini-2.5-flash-lite", False),
        ("gemini-3-pro-preview", True),
        ("gemini-3.5-flash", True),
        ("gemini-flash-latest", True),
        ("gemini-pro-latest", True),
        ("tunedModels/mine", True),
    ],
)
def test_which_models_want_signatures(model: str, signs: bool):
    assert kind(model).signs is signs
