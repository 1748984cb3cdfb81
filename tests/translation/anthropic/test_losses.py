import json
import re

import pytest

from gateway.translation.anthropic import SPEECH
from gateway.translation.anthropic.losses import DROPPED, LOSSES
from gateway.translation.prompt import Choice, Prompt, Reasoning, Text, Tool, Turn
from gateway.translation.speech import Limits
from tests.translation.anthropic.sdk import GENERATE


def test_each_row_is_one_and_says_why():
    assert len({name for name, _, _ in LOSSES}) == len(LOSSES)
    for name, fate, why in LOSSES:
        assert fate in ("dropped", "400", "clamped"), name
        assert re.fullmatch(r"[^.\n].{10,}[^.\s]", why), name


FATES = {name: fate for name, fate, _ in LOSSES}


@pytest.mark.parametrize(
    "members",
    [
        {"temperature": 2.0, "top_p": 3.0},
        {"temperature": 0.0, "top_p": 0.1, "top_k": 1, "reasoning": Reasoning(True)},
        {"max_tokens": 10**6},
        {"stop": (" ",), "seed": 1, "presence_penalty": 1.0, "frequency_penalty": 1.0},
        {"service_tier": "flex", "user": "u" * 600},
        {"reasoning": Reasoning(True), "tools": (Tool("t"),), "choice": Choice("required")},
        {"reasoning": Reasoning(True, budget=1)},
    ],
)
def test_all_that_is_adjusted_has_its_row(members):
    found = SPEECH.build(Prompt("m", (Turn("user", (Text("hi"),)),), **members), Limits("m", 64000))
    assert found.adjusted
    assert all(FATES[name] in ("dropped", "clamped") for name in found.adjusted)


def test_all_that_parsing_drops_has_its_row():
    """A client's body that has all of it."""
    tool = {"name": "t", "input_schema": {"type": "object"}, "defer_loading": True, "input_examples": [{}]}
    document = {"type": "document", "context": "c", "source": {"type": "text", "data": "d"}}
    said = [{"type": "text", "text": "a", "citations": [{}]}, document]
    above = {"role": "system", "content": [{"type": "tool_addition"}], "output_config": {"effort": "low"}}
    body = {
        **{name: {"a": 1} for name in DROPPED},
        "model": "m",
        "messages": [{"role": "user", "content": said}, above],
        "tools": [tool, {"type": "tool_search_tool_regex_20251119", "name": "s"}],
        "thinking": {"type": "between_tools"},
    }
    found = SPEECH.parse(json.dumps(body).encode(), GENERATE).dropped
    mine = LOSSES[: [name for name, _, _ in LOSSES].index("system turns")]
    assert set(found) == {name for name, fate, _ in mine if fate == "dropped"}
