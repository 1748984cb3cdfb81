"""Whole requests."""

import msgspec
import pytest

from gateway.translation.anthropic import SPEECH as ANTHROPIC
from gateway.translation.compat import disguised, offered
from gateway.translation.ollama import SPEECH as OLLAMA
from gateway.translation.openai_chat import SPEECH as OPENAI_CHAT
from gateway.translation.prompt import Call, Choice, Format, Prompt, Reasoning, Result, Text, Thinking, Tool, Turn
from gateway.translation.speech import Limits

MARK = {"type": "ephemeral"}
TOOLS = (Tool("f", "Does.", {"properties": {"a": {}}}, strict=True), Tool("g", cache=MARK), Tool("h"))
TURNS = (
    Turn("user", (Text("hi"),)),
    Turn("assistant", (Thinking("Hm"), Call("1", "f"))),
    Turn("user", (Result("1", (Text("r"),)),)),
)
PROMPT = Prompt(
    "m",
    TURNS,
    system=(Text("You are.", MARK),),
    tools=TOOLS,
    choice=Choice("required"),
    stop=("</pg:call>",),
    format=Format("schema", {"type": "object"}, strict=True),
    reasoning=Reasoning(effort="low"),
    temperature=0,
)


def test_what_changes_and_what_does_not():
    found = disguised(PROMPT)
    assert (found.tools, found.choice) == ((), Choice())
    assert not any(isinstance(part, Call | Result) for turn in found.turns for part in turn.parts)
    assert found.system[0] == PROMPT.system[0]
    assert found.system[1].cache == MARK
    assert '<pg:tool name="h">' in found.system[1].text
    assert found.turns[1].parts == (Thinking("Hm"), Text('<pg:call name="f"></pg:call>'))
    assert found.turns[2].parts == (Text('<pg:result call="1" name="f">r</pg:result>'),)
    same = {"system": (), "turns": (), "tools": (), "choice": Choice()}
    assert msgspec.structs.replace(found, **same) == msgspec.structs.replace(PROMPT, **same)


@pytest.mark.parametrize("more", [{"choice": Choice("none")}, {"tools": ()}])
def test_no_guide_but_the_history(more):
    found = disguised(msgspec.structs.replace(PROMPT, **more))
    assert found.system == PROMPT.system
    assert found.choice == Choice()
    assert found.tools == ()
    assert found.turns == disguised(PROMPT).turns


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (Prompt("m", ()), False),
        (Prompt("m", (Turn("user", (Text("<pg:call"),)),), choice=Choice("none")), False),
        (Prompt("m", (), tools=(Tool("f"),)), True),
        (Prompt("m", (), tools=(Tool("f"),), choice=Choice("none")), True),
        (Prompt("m", TURNS[1:2]), True),
        (Prompt("m", TURNS[2:]), True),
    ],
)
def test_offered(prompt, expected):
    assert offered(prompt) is expected
    if not expected:
        assert disguised(prompt) == msgspec.structs.replace(prompt, choice=Choice())
    assert not offered(disguised(prompt))


@pytest.mark.parametrize("speech", [ANTHROPIC, OPENAI_CHAT, OLLAMA])
def test_every_upstream_takes_it_without_tools(speech):
    prompt = msgspec.structs.replace(PROMPT, format=None)
    body = msgspec.json.decode(speech.build(disguised(prompt), Limits("m")).body)
    assert not body.keys() & {"tools", "tool_choice"}
    assert [message["role"] for message in body["messages"] if message["role"] != "system"] == [
        "user",
        "assistant",
        "user",
    ]
    written = msgspec.json.encode(body).decode()
    assert "tool_use" not in written
    assert "tool_calls" not in written
    assert "pg:result call=" in written
