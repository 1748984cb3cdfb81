"""One row a feature: members of a body, and what they are in a Prompt."""

import json

import pytest

from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody
from gateway.translation.openai_chat import SPEECH
from gateway.translation.prompt import Choice, Format, Prompt, Reasoning, Text, Tool, Turn

ENDPOINT = CODECS["openai_chat"].endpoints[0]
LEAST = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"enum": [1, None]}}}
FUNCTION = {"type": "function", "function": {"name": "f"}}
CUSTOM = {"type": "custom", "custom": {"name": "p", "description": "d", "format": {"type": "grammar"}}}


def parse(**members):
    return SPEECH.parse(json.dumps(LEAST | members).encode(), ENDPOINT)


def prompt(**members):
    return Prompt(**{"model": "m", "turns": (Turn("user", (Text("hi"),)),), **members})


def allowed(mode, *tools):
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}


ROWS = [
    ("the least", {}, {}),
    (
        "null is nothing",
        dict.fromkeys(("temperature", "stop", "tools", "tool_choice", "n", "response_format", "user")),
        {},
    ),
    ("what nobody knows is passed over", {"chat_template_kwargs": {"a": 1}, "reasoning": {"summary": "auto"}}, {}),
    (
        "nothing is a value",
        {"temperature": 0, "top_p": 0.0, "seed": 0, "presence_penalty": 0, "frequency_penalty": 0, "max_tokens": 0},
        {"temperature": 0, "top_p": 0, "seed": 0, "presence_penalty": 0, "frequency_penalty": 0, "max_tokens": 0},
    ),
    ("stream", {"stream": True, "stream_options": {"include_usage": True}}, {"stream": True, "include_usage": True}),
    ("stream without usage", {"stream": True, "stream_options": {"include_usage": False}}, {"stream": True}),
    ("max_tokens", {"max_tokens": 7}, {"max_tokens": 7}),
    ("the newer limit counts", {"max_tokens": 7, "max_completion_tokens": 9}, {"max_tokens": 9}),
    ("one stop", {"stop": "END"}, {"stop": ("END",)}),
    ("stops", {"stop": ["a", "b"]}, {"stop": ("a", "b")}),
    ("logprobs", {"logprobs": True}, {"logprobs": 0}),
    ("top_logprobs", {"logprobs": True, "top_logprobs": 3}, {"logprobs": 3}),
    ("no logprobs", {"logprobs": False, "top_logprobs": 3}, {}),
    ("any JSON", {"response_format": {"type": "json_object"}}, {"format": Format("json")}),
    ("text", {"response_format": {"type": "text"}}, {}),
    (
        "JSON of a schema",
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": False},
            }
        },
        {"format": Format("schema", SCHEMA, "n", "d", False)},
    ),
    ("effort", {"reasoning_effort": "minimal"}, {"reasoning": Reasoning(True, "minimal")}),
    ("the most effort", {"reasoning_effort": "max"}, {"reasoning": Reasoning(True, "xhigh")}),
    ("no effort", {"reasoning_effort": "none"}, {"reasoning": Reasoning(False)}),
    ("user", {"user": "u", "safety_identifier": "s"}, {"user": "u"}),
    ("the user's newer name", {"safety_identifier": "s"}, {"user": "s"}),
    (
        "metadata and tier",
        {"metadata": {"a": "b"}, "service_tier": "flex"},
        {"metadata": {"a": "b"}, "service_tier": "flex"},
    ),
    ("one answer", {"n": 1, "modalities": ["text"], "logit_bias": {}}, {}),
    (
        "a function",
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "description": "", "parameters": SCHEMA, "strict": True}}
            ]
        },
        {"tools": (Tool("f", "", SCHEMA, True),)},
    ),
    (
        "a free-form tool",
        {"tools": [CUSTOM]},
        {"tools": (Tool("p", "d", custom=True),), "dropped": ("tools[].custom.format",)},
    ),
    (
        "the deprecated functions",
        {"functions": [{"name": "f", "parameters": SCHEMA}]},
        {"tools": (Tool("f", None, SCHEMA),)},
    ),
    *(
        (f"choice {mode}", {"tools": [FUNCTION], "tool_choice": mode}, {"tools": (Tool("f"),), "choice": Choice(mode)})
        for mode in ("auto", "none", "required")
    ),
    ("one tool", {"tools": [FUNCTION], "tool_choice": FUNCTION}, {"tools": (Tool("f"),), "choice": Choice("one", "f")}),
    ("one free-form tool", {"tool_choice": CUSTOM}, {"choice": Choice("one", "p")}),
    ("one function", {"function_call": {"name": "f"}}, {"choice": Choice("one", "f")}),
    ("no function", {"function_call": "none"}, {"choice": Choice("none")}),
    ("not in parallel", {"parallel_tool_calls": False}, {"choice": Choice(parallel=False)}),
    (
        "some tools",
        {"tools": [FUNCTION, CUSTOM], "tool_choice": allowed("required", CUSTOM), "parallel_tool_calls": True},
        {
            "tools": (Tool("p", "d", custom=True),),
            "choice": Choice("required", parallel=True),
            "dropped": ("tools[].custom.format",),
        },
    ),
    (
        "dropped",
        {
            "store": False,
            "verbosity": "low",
            "prediction": {"type": "content", "content": "x"},
            "prompt_cache_key": "k",
        },
        {"dropped": ("store", "prompt_cache_key", "prediction", "verbosity")},
    ),
    ("a name", {"messages": [{"role": "user", "content": "hi", "name": "Ann"}]}, {"dropped": ("messages[].name",)}),
]


@pytest.mark.parametrize(("members", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_members(members, expected):
    assert parse(**members) == prompt(**expected)


WRONG = [
    ("model", {"model": None}),
    ("model", {"model": ""}),
    ("messages", {"messages": None}),
    ("messages", {"messages": []}),
    ("messages", {"messages": {}}),
    ("messages[0].role", {"messages": [{}]}),
    ("stream", {"stream": "yes"}),
    ("stream_options.include_usage", {"stream_options": {"include_usage": 1}}),
    ("max_tokens", {"max_tokens": -1}),
    ("max_completion_tokens", {"max_completion_tokens": 1.5}),
    ("temperature", {"temperature": "0"}),
    ("top_p", {"top_p": True}),
    ("seed", {"seed": "1"}),
    ("stop", {"stop": 1}),
    ("stop[1]", {"stop": ["a", 1]}),
    ("logprobs", {"logprobs": 1}),
    ("top_logprobs", {"top_logprobs": -1}),
    ("n", {"n": 2}),
    ("n", {"n": 0}),
    ("n", {"n": "1"}),
    ("audio", {"audio": {"voice": "x"}}),
    ("modalities", {"modalities": ["text", "audio"]}),
    ("logit_bias", {"logit_bias": {"50256": -100}}),
    ("moderation", {"moderation": {"model": "x"}}),
    ("web_search_options", {"web_search_options": {}}),
    ("response_format.type", {"response_format": {}}),
    ("response_format.type", {"response_format": {"type": "xml"}}),
    ("response_format.json_schema", {"response_format": {"type": "json_schema"}}),
    ("response_format.json_schema.schema", {"response_format": {"type": "json_schema", "json_schema": {"schema": 1}}}),
    ("reasoning_effort", {"reasoning_effort": "much"}),
    ("tools", {"tools": {}}),
    ("tools[0]", {"tools": ["f"]}),
    ("tools[0].type", {"tools": [{"type": "web_search"}]}),
    ("tools[0].function", {"tools": [{"type": "function"}]}),
    ("tools[1].function.name", {"tools": [FUNCTION, {"type": "function", "function": {}}]}),
    ("tools[0].function.parameters", {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}),
    ("functions[0].name", {"functions": [{}]}),
    ("tool_choice", {"tool_choice": "any"}),
    ("tool_choice.type", {"tool_choice": {"type": "tool"}}),
    ("tool_choice.function.name", {"tool_choice": {"type": "function", "function": {}}}),
    ("tool_choice.allowed_tools.mode", {"tool_choice": allowed("one")}),
    ("tool_choice.allowed_tools.tools[0].type", {"tool_choice": allowed("auto", {})}),
    ("function_call", {"function_call": 1}),
    ("parallel_tool_calls", {"parallel_tool_calls": "no"}),
    ("metadata", {"metadata": "x"}),
]


@pytest.mark.parametrize(("field", "members"), WRONG)
def test_what_is_wrong_is_named(field, members):
    with pytest.raises(InvalidBody) as caught:
        parse(**members)
    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b'{"a":' * 5000])
def test_what_is_no_object_is_refused(body):
    with pytest.raises(InvalidBody):
        SPEECH.parse(body, ENDPOINT)


def test_half_an_emoji_is_text():
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}]}'
    assert SPEECH.parse(body, ENDPOINT).turns == (Turn("user", (Text("\ud83d"),)),)
