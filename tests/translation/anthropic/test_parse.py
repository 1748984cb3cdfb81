import json

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.anthropic.losses import DROPPED, LOSSES
from gateway.translation.anthropic.parse import parse
from gateway.translation.prompt import Choice, Format, Prompt, Reasoning, Text, Tool, Turn
from tests.translation.anthropic.sdk import COUNT, GENERATE

HI = {"role": "user", "content": "hi"}
CACHE = {"type": "ephemeral"}
BILLING = "x-anthropic-billing-header: cc_version=2.1.332.5a6; cc_entrypoint=cli; cch=eb6c6;"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
BASE = Prompt("m", (Turn("user", (Text("hi"),)),))


def read(endpoint=GENERATE, **members) -> Prompt:
    body = {"model": "m", "messages": [HI], **members}
    return parse(json.dumps(body).encode(), endpoint)


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({}, {}),
        ({"max_tokens": 0}, {"max_tokens": 0}),
        ({"stream": True}, {"stream": True}),
        ({"stream": False, "temperature": 0, "top_p": 0, "top_k": 0}, {"temperature": 0, "top_p": 0, "top_k": 0}),
        ({"temperature": None, "system": None, "tools": None, "thinking": None}, {}),
        ({"system": "s"}, {"system": (Text("s"),)}),
        (
            {"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": CACHE}]},
            {"system": (Text("a"), Text("b", CACHE))},
        ),
        ({"system": [{"type": "text", "text": BILLING}, {"type": "text", "text": "a"}]}, {"system": (Text("a"),)}),
        (
            {"system": [{"type": "text", "text": "a"}, {"type": "text", "text": BILLING}]},
            {"system": (Text("a"), Text(BILLING))},
        ),
        ({"system": f"{BILLING}\na\nb"}, {"system": (Text("a\nb"),)}),
        ({"system": BILLING}, {}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"metadata": {"user_id": "u"}}, {"user": "u"}),
        ({"service_tier": "standard_only"}, {"service_tier": "standard_only"}),
        ({"tools": [{"name": "t", "input_schema": SCHEMA}]}, {"tools": (Tool("t", schema=SCHEMA),)}),
        (
            {
                "tools": [
                    {
                        "type": "custom",
                        "name": "t",
                        "description": "d",
                        "input_schema": SCHEMA,
                        "strict": False,
                        "cache_control": CACHE,
                    }
                ]
            },
            {"tools": (Tool("t", "d", SCHEMA, False, cache=CACHE),)},
        ),
        ({"tool_choice": {"type": "auto"}}, {"choice": Choice("auto")}),
        ({"tool_choice": {"type": "none"}}, {"choice": Choice("none")}),
        (
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            {"choice": Choice("required", parallel=False)},
        ),
        (
            {"tool_choice": {"type": "tool", "name": "t", "disable_parallel_tool_use": False}},
            {"choice": Choice("one", "t", True)},
        ),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, {"reasoning": Reasoning(True, budget=2048)}),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
            {"reasoning": Reasoning(True, "xhigh", shown=False)},
        ),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, {"reasoning": Reasoning(True, shown=True)}),
        ({"thinking": {"type": "disabled"}}, {"reasoning": Reasoning(False)}),
        (
            {"thinking": {"type": "between_tools"}},
            {"reasoning": Reasoning(False), "dropped": ("thinking.between_tools",)},
        ),
        ({"output_config": {"effort": "low"}}, {"reasoning": Reasoning(effort="low")}),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            {"format": Format("schema", SCHEMA, strict=True)},
        ),
        (
            {"output_format": {"type": "json_schema", "schema": SCHEMA}},
            {"format": Format("schema", SCHEMA, strict=True)},
        ),
        (
            {"messages": [HI, {"role": "system", "content": "s", "output_config": {"effort": "low"}}]},
            {
                "turns": (Turn("user", (Text("hi"),)), Turn("system", (Text("s"),))),
                "dropped": ("messages.output_config",),
            },
        ),
        (
            {
                "tools": [
                    {"name": "t", "input_schema": SCHEMA, "defer_loading": True, "input_examples": [{}]},
                    {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
                ]
            },
            {
                "tools": (Tool("t", schema=SCHEMA),),
                "dropped": ("tools.options", "tools.defer_loading", "tools.tool_search"),
            },
        ),
        (
            {"context_management": {"edits": []}, "container": None, "cache_control": CACHE, "new_member": 1},
            {"dropped": ("cache_control", "context_management")},
        ),
        ({"mcp_servers": []}, {}),
    ],
)
def test_every_member(members, found):
    expected = {name: getattr(BASE, name) for name in Prompt.__struct_fields__} | found
    assert read(**members) == Prompt(**expected)


def test_everything_that_is_dropped_has_its_row():
    rows = {row.name for row in LOSSES if row.fate == "dropped"}
    assert rows >= DROPPED
    assert set(read(**{name: {"a": 1} for name in DROPPED}).dropped) == DROPPED


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"model": None}, "model"),
        ({"model": 1}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [HI, {"content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [HI, {"role": "user", "content": [{"type": "x"}]}]}, "messages[1].content[0].type"),
        ({"messages": [{"role": "system", "content": [{"type": "thinking", "thinking": "t"}]}]}, "messages[0].content"),
        ({"max_tokens": "1"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": 1}, "stream"),
        ({"system": 1}, "system"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": ["x", 1]}, "stop_sequences[1]"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id"),
        ({"tools": [{"name": "t", "input_schema": SCHEMA}, {"type": "web_search_20250305"}]}, "tools[1].type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [{"input_schema": SCHEMA}]}, "tools[0].name"),
        ({"tools": [{"name": "t", "input_schema": "x"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_config": {"format": 1}}, "output_config.format"),
        ({"mcp_servers": [{"url": "https://x"}]}, "mcp_servers"),
    ],
)
def test_what_is_wrong_is_named(members, field):
    with pytest.raises(InvalidBody) as refused:
        read(**members)
    assert refused.value.field == field


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":NaN}', b'{"model":"\xff"}', b'{"a":' * 5000])
def test_a_body_that_is_none(body):
    with pytest.raises(InvalidBody):
        parse(body, GENERATE)


def test_half_an_emoji_is_a_letter_that_everybody_can_read():
    body = rb'{"model":"m","messages":[{"role":"user","content":"a\ud83d b\ud83d\ude00"}]}'
    assert parse(body, GENERATE).turns[0].parts == (Text("a\ufffd b😀"),)


def test_a_count_has_no_max_tokens():
    assert read(COUNT).max_tokens is None
