"""Requests of clients: every member, and what is refused or dropped."""

import json

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.protocols.openai_responses import ENDPOINTS
from gateway.translation.openai_responses import SPEECH
from gateway.translation.openai_responses.losses import FROM_CLIENTS
from gateway.translation.prompt import Choice, Format, Prompt, Reasoning, Text, Tool, Turn

HI = (Turn("user", (Text("hi"),)),)
SCHEMA = {"type": "object", "properties": {}}


def parse(**members) -> Prompt:
    return SPEECH.parse(json.dumps({"model": "m", "input": "hi", **members}).encode(), ENDPOINTS[0])


MEMBERS = [
    ({"instructions": "be"}, {"system": (Text("be"),)}),
    ({"instructions": None}, {}),
    ({"instructions": ""}, {}),
    ({"stream": True}, {"stream": True}),
    ({"max_output_tokens": 0}, {"max_tokens": 0}),
    ({"temperature": 0}, {"temperature": 0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"presence_penalty": 0.0, "frequency_penalty": -1}, {"presence_penalty": 0, "frequency_penalty": -1}),
    ({"top_logprobs": 2, "include": ["message.output_text.logprobs"]}, {"logprobs": 2}),
    ({"include": ["message.output_text.logprobs"]}, {"logprobs": 0}),
    ({"top_logprobs": 0}, {}),
    ({"text": {"format": {"type": "text"}}}, {}),
    ({"text": {"format": {"type": "json_object"}}}, {"format": Format("json")}),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": False}}},
        {"format": Format("schema", SCHEMA, "n", strict=False)},
    ),
    ({"reasoning": None}, {}),
    ({"reasoning": {"effort": None, "summary": None}}, {}),
    ({"reasoning": {"effort": "none"}}, {"reasoning": Reasoning(enabled=False)}),
    ({"reasoning": {"effort": "minimal"}}, {"reasoning": Reasoning(enabled=True, effort="minimal")}),
    ({"reasoning": {"effort": "max"}}, {"reasoning": Reasoning(enabled=True, effort="xhigh")}),
    ({"reasoning": {"summary": "auto"}}, {"reasoning": Reasoning(shown=True)}),
    ({"reasoning": {"generate_summary": "concise"}}, {"reasoning": Reasoning(shown=True)}),
    ({"user": "u"}, {"user": "u"}),
    ({"user": "u", "safety_identifier": "s"}, {"user": "s"}),
    ({"metadata": {}}, {"metadata": {}}),
    ({"service_tier": "flex"}, {"service_tier": "flex"}),
    ({"parallel_tool_calls": False}, {"choice": Choice(parallel=False)}),
    ({"tools": None}, {}),
    ({"tools": [{"type": "function", "name": "f"}]}, {"tools": (Tool("f"),)}),
    ({"previous_response_id": None, "background": False, "prompt": None}, {}),
    ({"include": ["reasoning.encrypted_content"]}, {}),
    ({"something_new": {"a": [1]}}, {}),
]
DROPPED = [
    ({"store": False}, ("store",)),
    ({"truncation": "auto"}, ("truncation",)),
    ({"prompt_cache_key": "k"}, ("prompt_cache_key",)),
    ({"stream_options": {"include_obfuscation": False}}, ("stream_options",)),
    ({"client_metadata": {"a": "b"}}, ("client_metadata",)),
    ({"max_tool_calls": 3}, ("max_tool_calls",)),
    ({"include": ["file_search_call.results", "reasoning.encrypted_content"]}, ("include",)),
    ({"text": {"verbosity": "low"}}, ("text.verbosity",)),
    ({"reasoning": {"context": "auto"}}, ("reasoning.context",)),
    (
        {"tools": [{"type": "web_search"}, {"type": "image_generation"}]},
        ("tools[].image_generation", "tools[].web_search"),
    ),
]


@pytest.mark.parametrize(("said", "members"), MEMBERS)
def test_members(said, members):
    assert parse(**said) == Prompt("m", HI, **members)


@pytest.mark.parametrize(("said", "dropped"), DROPPED)
def test_what_is_dropped_stands_in_the_table(said, dropped):
    assert parse(**said) == Prompt("m", HI, dropped=dropped)
    assert set(dropped) <= {row.name for row in FROM_CLIENTS if row.fate == "dropped"}


REFUSED = [
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
    ({"input": None}, "input"),
    ({"instructions": ["be"]}, "instructions"),
    ({"stream": "yes"}, "stream"),
    ({"max_output_tokens": -1}, "max_output_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": True}, "top_p"),
    ({"top_logprobs": 1.5}, "top_logprobs"),
    ({"presence_penalty": []}, "presence_penalty"),
    ({"frequency_penalty": []}, "frequency_penalty"),
    ({"include": "all"}, "include"),
    ({"include": [1]}, "include[0]"),
    ({"text": []}, "text"),
    ({"text": {"format": "json"}}, "text.format"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
    ({"text": {"format": {"type": "json_schema", "schema": {}, "name": 1}}}, "text.format.name"),
    ({"text": {"format": {"type": "json_schema", "schema": {}, "strict": 1}}}, "text.format.strict"),
    ({"reasoning": "high"}, "reasoning"),
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    ({"reasoning": {"effort": 1}}, "reasoning.effort"),
    ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
    ({"user": 1}, "user"),
    ({"safety_identifier": 1}, "safety_identifier"),
    ({"metadata": []}, "metadata"),
    ({"service_tier": 1}, "service_tier"),
    ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
    ({"tools": {}}, "tools"),
    ({"tool_choice": "some"}, "tool_choice"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"background": True}, "background"),
    ({"background": "no"}, "background"),
]


@pytest.mark.parametrize(("said", "field"), REFUSED)
def test_what_is_refused_is_named(said, field):
    with pytest.raises(InvalidBody) as refused:
        parse(**said)
    assert refused.value.field == field
    assert field.split(".")[0].split("[")[0] in refused.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"a"', b"[" * 100_000, b'{"model":"\xff"}', b'{"a":NaN}'])
def test_what_is_no_object_is_refused(body):
    with pytest.raises(InvalidBody, match="the body"):
        SPEECH.parse(body, ENDPOINTS[0])


def test_codex():
    """A turn as Codex 0.169 sends it."""
    found = parse(
        instructions="You are Codex.",
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gA"},
            {"type": "function_call", "name": "list", "namespace": "mcp__x", "arguments": "{}", "call_id": "c1"},
            {"type": "function_call_output", "call_id": "c1", "output": "[]"},
        ],
        tools=[
            {"type": "function", "name": "exec_command", "strict": False, "parameters": SCHEMA},
            {"type": "namespace", "name": "mcp__x", "tools": [{"type": "function", "name": "list"}]},
            {"type": "custom", "name": "apply_patch", "format": {"type": "text"}},
            {"type": "web_search", "external_web_access": False},
        ],
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"effort": "medium", "summary": "auto"},
        store=False,
        stream=True,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="0193",
        client_metadata={"x-codex-installation-id": "1"},
        text={"verbosity": "low"},
    )
    assert [tool.name for tool in found.tools] == ["exec_command", "mcp__x_-_list", "apply_patch"]
    assert [text.text for text in found.system] == ["You are Codex.", "<permissions>"]
    assert [turn.role for turn in found.turns] == ["user", "assistant", "user"]
    assert found.dropped == ("store", "prompt_cache_key", "client_metadata", "text.verbosity", "tools[].web_search")


def test_codex_in_its_code_mode():
    """With the models of its own list, Codex 0.169 sends all of its tools as the first item."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: X"}
    exec_tool = {"type": "custom", "name": "exec", "description": "Run", "format": grammar}
    sleep = {"type": "function", "name": "sleep", "description": "", "strict": False, "parameters": SCHEMA}
    spaces = [
        {"type": "namespace", "name": "functions", "description": "", "tools": [exec_tool]},
        {"type": "namespace", "name": "clock", "description": "", "tools": [sleep]},
    ]
    found = parse(
        input=[
            {"type": "additional_tools", "id": "at_1", "role": "developer", "tools": spaces},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "You are Codex."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
        ],
        tool_choice="auto",
        reasoning={"effort": "low", "context": "all_turns"},
    )
    assert [(tool.name, tool.custom) for tool in found.tools] == [("functions_-_exec", True), ("clock_-_sleep", False)]
    assert (found.system, found.turns) == ((Text("You are Codex."),), (Turn("user", (Text("go"),)),))
    assert (found.choice, found.dropped) == (Choice("auto"), ("reasoning.context",))
