import json

import pytest
from hypothesis import given, settings
from msgspec import structs

from gateway.translation.anthropic import SPEECH
from gateway.translation.anthropic.build import JSON_WANTED, VERSION, build
from gateway.translation.arguments import FREE
from gateway.translation.prompt import Call, Choice, Format, Prompt, Reasoning, Text, Tool, Turn, Untranslatable
from gateway.translation.speech import Limits
from tests.translation.anthropic.prompts import plain, prompts
from tests.translation.anthropic.sdk import GENERATE

OLD, NEW = "claude-sonnet-4-5", "claude-opus-5-5"
HI = (Turn("user", (Text("hi"),)),)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = Tool("t", schema=SCHEMA)
CACHE = {"type": "ephemeral"}
BASE = {
    "model": OLD,
    "max_tokens": 8192,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
}


def built(model: str = OLD, **members):
    found = build(Prompt("asked-for", HI, **members), Limits(model))
    return json.loads(found.body), found.adjusted, found.headers


@pytest.mark.parametrize(
    ("members", "body", "adjusted"),
    [
        ({}, {}, ()),
        ({"stream": True, "include_usage": True}, {"stream": True}, ()),
        (
            {"system": (Text("a"), Text(""), Text("b", CACHE))},
            {"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": CACHE}]},
            (),
        ),
        ({"max_tokens": 0}, {"max_tokens": 0}, ()),
        ({"temperature": 0, "top_k": 0}, {"temperature": 0, "top_k": 0}, ()),
        ({"temperature": 0.7}, {"temperature": 0.7}, ()),
        ({"temperature": 1.8}, {"temperature": 1}, ("temperature",)),
        ({"top_p": 1.5}, {"top_p": 1}, ("top_p",)),
        ({"temperature": -1}, {"temperature": 0}, ("temperature",)),
        ({"stop": ("END", "\n")}, {"stop_sequences": ["END"]}, ("stop",)),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}, ()),
        ({"user": "u" * 513, "metadata": {"a": "b"}}, {}, ("user",)),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}, ()),
        ({"service_tier": "flex"}, {}, ("service_tier",)),
        (
            {"seed": 0, "presence_penalty": 0.5, "frequency_penalty": 0},
            {},
            ("seed", "presence_penalty", "frequency_penalty"),
        ),
        ({"tools": (TOOL,)}, {"tools": [{"name": "t", "input_schema": SCHEMA}]}, ()),
        (
            {"tools": (Tool("fs.read", "d", None, True, cache=CACHE),)},
            {
                "tools": [
                    {
                        "name": "fs_u2e_read",
                        "description": "d",
                        "strict": True,
                        "cache_control": CACHE,
                        "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
                    }
                ]
            },
            (),
        ),
        (
            {"tools": (Tool("t", schema={"properties": {}}),)},
            {"tools": [{"name": "t", "input_schema": {"type": "object", "properties": {}}}]},
            (),
        ),
        ({"tools": (Tool("t", custom=True),)}, {"tools": [{"name": "t", "input_schema": FREE}]}, ()),
        ({"choice": Choice("required")}, {}, ()),
        *(
            (
                {"tools": (TOOL,), "choice": choice},
                {"tools": [{"name": "t", "input_schema": SCHEMA}], "tool_choice": said},
                (),
            )
            for choice, said in [
                (Choice("auto"), {"type": "auto"}),
                (Choice("none", parallel=False), {"type": "none"}),
                (Choice("required", parallel=False), {"type": "any", "disable_parallel_tool_use": True}),
                (Choice("one", "t", True), {"type": "tool", "name": "t", "disable_parallel_tool_use": False}),
                (Choice(parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
            ]
        ),
        ({"format": Format("json")}, {"system": [{"type": "text", "text": JSON_WANTED}]}, ()),
        (
            {"format": Format("schema", SCHEMA, "n", "d", True)},
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}}},
            (),
        ),
        (
            {"reasoning": Reasoning(effort="low"), "temperature": 1, "top_p": 0.95},
            {
                "max_tokens": 12288,
                "thinking": {"type": "enabled", "budget_tokens": 4096},
                "top_p": 0.95,
            },
            (),
        ),
        (
            {"reasoning": Reasoning(effort="low"), "temperature": 0, "top_p": 0.9, "top_k": 5},
            {"max_tokens": 12288, "thinking": {"type": "enabled", "budget_tokens": 4096}},
            ("temperature", "top_k", "top_p"),
        ),
        (
            {"reasoning": Reasoning(False), "temperature": 0},
            {"thinking": {"type": "disabled"}, "temperature": 0},
            (),
        ),
    ],
)
def test_every_member(members, body, adjusted):
    found, said, headers = built(**members)
    assert found == BASE | body
    assert sorted(said) == sorted(adjusted)
    sampled = body.keys() & {"temperature", "top_p", "top_k"}
    assert headers == ((VERSION,) if sampled else ())


BOTH = {"temperature": 0.5, "top_p": 0.9}
GEMINI_CLI = {"temperature": 1, "top_p": 0.95, "top_k": 64}


@pytest.mark.parametrize(
    ("model", "sampling", "taken", "adjusted"),
    [
        ("claude-3-7-sonnet-20250219", BOTH, BOTH, ()),
        ("claude-opus-4-20250514", BOTH, BOTH, ()),
        ("glm-5", GEMINI_CLI, GEMINI_CLI, ()),
        ("claude-opus-4-1-20250805", BOTH, {"temperature": 0.5}, ("top_p",)),
        ("anthropic/claude-sonnet-4.6", {"temperature": 0, "top_p": 0}, {"temperature": 0}, ("top_p",)),
        ("claude-haiku-4-5@20251001", GEMINI_CLI, {"top_p": 0.95, "top_k": 64}, ()),
        ("claude-opus-4-6", {"temperature": 1}, {"temperature": 1}, ()),
        ("claude-opus-4-7", {"temperature": 1}, {}, ()),
        ("claude-opus-4-7", {"temperature": 0}, {}, ("temperature",)),
        ("claude-sonnet-5", {**BOTH, "top_k": 0}, {}, ("temperature", "top_p", "top_k")),
    ],
)
def test_sampling_is_what_the_version_takes(model, sampling, taken, adjusted):
    body, said, headers = built(model, **sampling)
    assert {name: body[name] for name in body.keys() & GEMINI_CLI.keys()} == taken
    assert said == adjusted
    assert bool(headers) is bool(taken)


def test_a_request_with_sampling_goes_with_the_version_that_takes_it():
    assert built(temperature=0)[2] == ((b"anthropic-version", b"2023-06-01"),)
    assert built()[2] == ()


def test_an_effort_stands_beside_the_format():
    body, _, _ = built(NEW, reasoning=Reasoning(True, "high"), format=Format("schema", {"type": "object"}))
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {
        "effort": "high",
        "format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}},
    }


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"logprobs": 0}, "logprobs"),
        ({"tools": (Tool("n" * 129),)}, "tools"),
        ({"tools": (Tool(""),)}, "tools"),
    ],
)
def test_what_cannot_cross(members, field):
    with pytest.raises(Untranslatable) as refused:
        built(**members)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (Call("i", "t", ""), "{}"),
        (Call("i", "t", '{"a":1.10,"b":"it\'s"}'), '{"a":1.10,"b":"it\'s"}'),
        (Call("i", "t", "{'a': 1}"), '{"input":"{\'a\': 1}"}'),
        (Call("i", "t", "[1]"), '{"input":"[1]"}'),
        (Call("i", "t", "ls -l", custom=True), '{"input":"ls -l"}'),
    ],
)
def test_arguments_are_an_object(call, arguments):
    body = build(Prompt("m", (*HI, Turn("assistant", (call,)))), Limits(OLD)).body
    assert json.loads(body)["messages"][1]["content"][0]["input"] == json.loads(arguments)


def test_half_an_emoji_is_written_as_a_letter():
    prompt = Prompt("m", (Turn("user", (Text("a\ud83d"),)), Turn("assistant", (Call("i", "t", '{"a": 1}'),))))
    messages = json.loads(build(prompt, Limits(OLD)).body)["messages"]
    assert messages[0]["content"][0]["text"] == "a\ufffd"
    assert messages[1]["content"][0]["input"] == {"a": 1}


@settings(max_examples=400, deadline=None)
@given(prompts())
def test_what_anthropic_can_say_comes_back(prompt):
    """parse(build(prompt)) is the prompt, less nothing that the loss table does not name."""
    found = SPEECH.build(prompt, Limits(prompt.model))
    assert found.adjusted == ()
    assert plain(SPEECH.parse(found.body, GENERATE)) == plain(prompt)
    again = SPEECH.build(SPEECH.parse(found.body, GENERATE), Limits(prompt.model))
    assert json.loads(again.body) == json.loads(found.body)


def test_the_targets_name_is_the_model():
    body, _, _ = built(NEW)
    assert body["model"] == NEW
    assert structs.replace(Prompt("x", HI), model="y").model == "y"
