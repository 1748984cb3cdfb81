"""One row a feature: members of a Prompt, and what a chat upstream is sent."""

import json

import pytest

from gateway.translation.efforts import BUDGETS
from gateway.translation.openai_chat import SPEECH
from gateway.translation.prompt import Call, Choice, Format, Image, Prompt, Reasoning, Result, Text, Tool, Turn
from gateway.translation.speech import Limits

HI = Turn("user", (Text("hi"),))
SCHEMA = {"type": "object", "properties": {"a": {"const": 1}}}
FREE = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
TOOLS = (Tool("f"),)


def build(model="deepseek-chat", most=None, turns=(HI,), **members):
    built = SPEECH.build(Prompt("alias", turns, **members), Limits(model, most))
    return json.loads(built.body), built.adjusted


def body(**members):
    return {"model": "deepseek-chat", "messages": [{"role": "user", "content": "hi"}], **members}


def form(**members):
    return {"response_format": {"type": "json_schema", "json_schema": members}}


ROWS = [
    ("the least", {}, {}),
    (
        "a stream's usage is always asked for",
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
    ),
    (
        "nothing is a value",
        {"temperature": 0, "top_p": 0.0, "seed": 0, "presence_penalty": 0, "frequency_penalty": 0, "max_tokens": 0},
        {"temperature": 0, "top_p": 0.0, "seed": 0, "presence_penalty": 0, "frequency_penalty": 0, "max_tokens": 0},
    ),
    ("stops", {"stop": ("a", "b")}, {"stop": ["a", "b"]}),
    ("logprobs", {"logprobs": 0}, {"logprobs": True}),
    ("top_logprobs", {"logprobs": 20}, {"logprobs": True, "top_logprobs": 20}),
    (
        "a function",
        {"tools": (Tool("f", "", SCHEMA, False),)},
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "description": "", "parameters": SCHEMA, "strict": False},
                }
            ]
        },
    ),
    ("no schema", {"tools": TOOLS}, {"tools": [F]}),
    (
        "a free-form tool is a function with one string",
        {"tools": (Tool("p", "d", custom=True, strict=True),)},
        {"tools": [{"type": "function", "function": {"name": "p", "description": "d", "parameters": FREE}}]},
    ),
    *(
        (f"choice {mode}", {"tools": TOOLS, "choice": Choice(mode)}, {"tools": [F], "tool_choice": mode})
        for mode in ("auto", "none", "required")
    ),
    (
        "one tool, and one call",
        {"tools": TOOLS, "choice": Choice("one", "f", False)},
        {
            "tools": [F],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": False,
        },
    ),
    ("a choice of nothing", {"choice": Choice("auto", parallel=True)}, {}),
    (
        "JSON of a schema",
        {"format": Format("schema", SCHEMA, "n", "d", True)},
        form(name="n", schema=SCHEMA, description="d", strict=True),
    ),
    ("a schema without a name", {"format": Format("schema", SCHEMA)}, form(name="answer", schema=SCHEMA)),
    (
        "a name that is none",
        {"format": Format("schema", SCHEMA, "my schema: ä")},
        form(name="my_schema_", schema=SCHEMA),
    ),
    ("effort", {"reasoning": Reasoning(True, "minimal")}, {"reasoning_effort": "minimal"}),
    ("effort before a budget", {"reasoning": Reasoning(True, "low", 32768)}, {"reasoning_effort": "low"}),
    *(
        (f"a budget of {tokens}", {"reasoning": Reasoning(True, budget=tokens)}, {"reasoning_effort": effort})
        for effort, tokens in BUDGETS.items()
    ),
    ("a budget of nothing", {"reasoning": Reasoning(budget=0)}, {"reasoning_effort": "minimal"}),
    ("no thinking", {"reasoning": Reasoning(False, "high")}, {"reasoning_effort": "none"}),
    ("thinking as it likes", {"reasoning": Reasoning(True, shown=False)}, {}),
    ("user", {"user": "u" * 64}, {"user": "u" * 64}),
    ("a tier", {"service_tier": "flex"}, {"service_tier": "flex"}),
    ("Anthropic's tier", {"service_tier": "standard_only"}, {"service_tier": "default"}),
]


@pytest.mark.parametrize(("members", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_members(members, expected):
    assert build(**members) == (body(**expected), ())


ADJUSTED = [
    ("max_tokens", {"max_tokens": 9, "most": 8}, {"max_tokens": 8}),
    ("temperature", {"temperature": 2.5}, {"temperature": 2.0}),
    ("temperature", {"temperature": -1}, {"temperature": 0.0}),
    ("top_p", {"top_p": 1.5}, {"top_p": 1.0}),
    ("presence_penalty", {"presence_penalty": 3}, {"presence_penalty": 2.0}),
    ("frequency_penalty", {"frequency_penalty": -3}, {"frequency_penalty": -2.0}),
    ("top_k", {"top_k": 0}, {}),
    ("logprobs", {"logprobs": 21}, {"logprobs": True, "top_logprobs": 20}),
    ("tool_choice", {"choice": Choice("required")}, {}),
    ("service_tier", {"service_tier": "gold"}, {}),
    ("user", {"user": "x" * 65}, {"user": "9537c5fdf120482f7d58d25e9ed583f52c02b4e304ea814db1633ad565aed7e9"}),
    ("temperature", {"model": "o3", "temperature": 0}, {}),
    ("top_p", {"model": "gpt-5", "top_p": 0.9}, {}),
    ("presence_penalty", {"model": "gpt-5", "presence_penalty": 1}, {}),
    ("frequency_penalty", {"model": "gpt-5", "frequency_penalty": 1}, {}),
    ("reasoning", {"model": "gpt-4o", "reasoning": Reasoning(True, budget=31999)}, {}),
]


@pytest.mark.parametrize(("name", "members", "expected"), ADJUSTED)
def test_what_is_clamped_or_left_out_is_listed(name, members, expected):
    assert build(**members) == (body(model=members.get("model", "deepseek-chat"), **expected), (name,))


def test_what_history_moves_is_listed():
    call = Turn("assistant", (Call("c1", "f"),))
    result = Turn("user", (Result("c1", (Image(url="https://x.test/i"),)),))
    assert build(turns=(call, result))[1] == ("tool_result.media",)


def test_openais_reasoning_models_have_their_own_limit_and_take_defaults():
    members = {"max_tokens": 9, "temperature": 1.0, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0.0}
    assert build("gpt-5", **members) == (body(model="gpt-5", max_completion_tokens=9), ())


def test_openais_reasoning_models_are_told_to_think_where_no_measure_is_given():
    assert build("gpt-5.1", reasoning=Reasoning(True)) == (body(model="gpt-5.1", reasoning_effort="medium"), ())
    assert build("gpt-5.1", reasoning=Reasoning(shown=True)) == (body(model="gpt-5.1"), ())
    assert build("gpt-4o", reasoning=Reasoning(True)) == (body(model="gpt-4o"), ("reasoning",))


def test_models_that_cannot_reason_are_not_told_not_to():
    assert build("gpt-4o", reasoning=Reasoning(False)) == (body(model="gpt-4o"), ())


ASK = "Answer with JSON."


@pytest.mark.parametrize(
    ("members", "messages"),
    [
        ({}, [{"role": "system", "content": ASK}, {"role": "user", "content": "hi"}]),
        ({"system": (Text("a"),)}, [{"role": "system", "content": f"a\n\n{ASK}"}, {"role": "user", "content": "hi"}]),
        ({"turns": (Turn("user", (Text("in Json!"),)),)}, [{"role": "user", "content": "in Json!"}]),
    ],
)
def test_json_is_named_in_some_message(members, messages):
    found, adjusted = build(format=Format("json"), **members)
    assert (found["messages"], found["response_format"], adjusted) == (messages, {"type": "json_object"}, ())


def test_half_an_emoji_is_sent_as_it_came():
    built = SPEECH.build(Prompt("m", (Turn("user", (Text("\ud83d"),)),)), Limits("m"))
    assert json.loads(built.body)["messages"][0]["content"] == "\ud83d"


def test_other_names_of_what_is_asked_are_dropped():
    found, adjusted = build(metadata={"a": "b"}, dropped=("store",), tools=(Tool("f", cache={"type": "ephemeral"}),))
    assert (found, adjusted) == (body(tools=[F]), ())
