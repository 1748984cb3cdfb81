"""Requests for Ollama's servers, one row a feature; and there and back again."""

import json
import time

import ollama
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.ollama import ENDPOINTS
from gateway.translation.ollama import SPEECH
from gateway.translation.prompt import (
    Audio,
    Call,
    Choice,
    Document,
    Format,
    Image,
    Prompt,
    Reasoning,
    Result,
    Sealed,
    Text,
    Thinking,
    Tool,
    Turn,
    Untranslatable,
)
from gateway.translation.speech import Limits
from tests.translation.generate import arguments, names, objects
from tests.translation.ollama.test_parse import JPEG, PNG, SCHEMA

CHAT = next(endpoint for endpoint in ENDPOINTS if endpoint.action == "chat")
MODEL = Limits("qwen3:8b")
HI = Turn("user", (Text("hi"),))
CACHE = {"type": "ephemeral"}
SIGNED = Sealed("anthropic", "c2ln")


def built(prompt: Prompt, limits: Limits = MODEL) -> tuple[dict[str, object], tuple[str, ...]]:
    found = SPEECH.build(prompt, limits)
    assert found.headers == ()
    return json.loads(found.body), found.adjusted


def asked(**members) -> Prompt:
    return Prompt("client's", (HI,), **members)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (asked(), {}),
        (asked(stream=True), {"stream": True}),
        (asked(max_tokens=5), {"options": {"num_predict": 5}}),
        (
            asked(temperature=0.0, top_p=0.0, top_k=0, seed=0, presence_penalty=0.0, frequency_penalty=-2.0),
            {
                "options": {
                    "temperature": 0.0,
                    "top_p": 0.0,
                    "top_k": 0,
                    "seed": 0,
                    "presence_penalty": 0.0,
                    "frequency_penalty": -2.0,
                }
            },
        ),
        (asked(stop=("a", "b")), {"options": {"stop": ["a", "b"]}}),
        (asked(format=Format("json")), {"format": "json"}),
        (asked(format=Format("schema", SCHEMA)), {"format": SCHEMA}),
        (asked(format=Format("schema", {})), {"format": {}}),
        (asked(reasoning=Reasoning(enabled=True, shown=True)), {"think": True}),
        (asked(reasoning=Reasoning(enabled=False, effort="high")), {"think": False}),
        (asked(logprobs=0), {"logprobs": True, "top_logprobs": 0}),
        (asked(logprobs=3), {"logprobs": True, "top_logprobs": 3}),
        (
            asked(tools=(Tool("f", "d", SCHEMA),), choice=Choice("auto", parallel=True)),
            {"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}]},
        ),
        (
            asked(tools=(Tool("f"),)),
            {
                "tools": [
                    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
                ]
            },
        ),
        (
            asked(tools=(Tool("f", schema={}),)),
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        ),
        (asked(tools=(Tool("f"),), choice=Choice("none")), {}),
    ],
)
def test_members(prompt, expected):
    body, adjusted = built(prompt)
    usual = {"model": "qwen3:8b", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    assert body == usual | expected
    assert adjusted == ()


def test_half_of_an_emoji_goes_through():
    prompt = Prompt("m", (Turn("user", (Text("\ud83d"),)), Turn("assistant", (Call("c", "f", '{"a": "\\ud83d"}'),))))
    body, _ = built(prompt)
    assert body["messages"][0]["content"] == "\ud83d"
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"a": "\ud83d"}


def test_a_free_tool_takes_one_text():
    prompt = Prompt("m", (Turn("assistant", (Call("c", "f", "a\nb", custom=True),)),), tools=(Tool("f", custom=True),))
    body, _ = built(prompt)
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert body["messages"][0]["tool_calls"][0]["function"]["arguments"] == {"input": "a\nb"}


@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        (
            Prompt("m", (HI,), system=(Text("a"), Text(""), Text("b"))),
            [{"role": "system", "content": "a\n\nb"}, {"role": "user", "content": "hi"}],
        ),
        (
            Prompt("m", (HI, Turn("system", (Text("s"),)), HI)),
            [
                {"role": "user", "content": "hi"},
                {"role": "system", "content": "s"},
                {"role": "user", "content": "hi"},
            ],
        ),
        (
            Prompt("m", (Turn("user", (Text("a"), Image("image/png", PNG), Text("b"), Document(text="c"))),)),
            [{"role": "user", "content": "a\n\nb\n\nc", "images": [PNG]}],
        ),
        (
            Prompt(
                "m",
                (
                    Turn("assistant", (Thinking("t"), Text("a"), Text("b"), Call("c1", "f", '{"a":1.0}'))),
                    Turn(
                        "user",
                        (
                            Result("c1", (Text("x"), Image("image/jpeg", JPEG))),
                            Result("c2", (), "g"),
                            Result("c3", (Text("z"),)),
                            Text("go on"),
                        ),
                    ),
                ),
            ),
            [
                {
                    "role": "assistant",
                    "content": "ab",
                    "thinking": "t",
                    "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1.0}}}],
                },
                {"role": "tool", "tool_name": "f", "tool_call_id": "c1", "content": "x", "images": [JPEG]},
                {"role": "user", "content": "z\n\ngo on"},
            ],
        ),
        (
            Prompt("m", (Turn("assistant", (Call("c", "f", '{"broken":'),)), Turn("user", ()))),
            [
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"input": '{"broken":'}}}],
                },
                {
                    "role": "tool",
                    "tool_name": "f",
                    "tool_call_id": "c",
                    "content": "error: this call was not answered",
                },
            ],
        ),
        (
            Prompt(
                "m",
                (
                    Turn("assistant", (Call("c1", "f"),)),
                    Turn("assistant", (Call("c2", "f"),)),
                    Turn("user", (Result("c2", (Text("second"),)), Text("so"), Result("c1", (Text("first"),)))),
                ),
            ),
            [
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": each, "function": {"name": "f", "arguments": {}}}],
                }
                for each in ("c1", "c2")
            ]
            + [
                {"role": "tool", "tool_name": "f", "tool_call_id": "c1", "content": "first"},
                {"role": "tool", "tool_name": "f", "tool_call_id": "c2", "content": "second"},
                {"role": "user", "content": "so"},
            ],
        ),
    ],
)
def test_messages(prompt, messages):
    body, adjusted = built(prompt)
    assert body["messages"] == messages
    assert adjusted == ()


ADJUSTED = [
    ("parallel_tool_calls", asked(choice=Choice(parallel=False)), {}),
    ("cache_control", Prompt("m", (Turn("user", (Text("hi", CACHE),)),)), {}),
    ("cache_control", asked(system=(Text("s", CACHE),)), {}),
    ("cache_control", asked(tools=(Tool("f", cache=CACHE),)), {}),
    ("cache_control", Prompt("m", (Turn("user", (Result("c", (Text("x", CACHE),)),)),)), {}),
    ("signature", Prompt("m", (Turn("assistant", (Thinking("t", SIGNED),)),)), {}),
    ("signature", Prompt("m", (Turn("assistant", (Call("c", "f", sealed=SIGNED),)),)), {}),
    ("redacted_thinking", Prompt("m", (HI, Turn("assistant", (Thinking("", SIGNED, redacted=True),)))), {}),
    (
        "is_error",
        Prompt("m", (Turn("assistant", (Call("c", "f"),)), Turn("user", (Result("c", (Text("x"),), error=True),)))),
        {},
    ),
    ("image.detail", Prompt("m", (Turn("user", (Image("image/png", PNG, detail="low"),)),)), {}),
    ("strict", asked(tools=(Tool("f", strict=True),)), {}),
    ("strict", asked(format=Format("schema", SCHEMA, strict=True)), {"format": SCHEMA}),
    ("response_format.name", asked(format=Format("schema", SCHEMA, name="n")), {"format": SCHEMA}),
    ("reasoning.budget", asked(reasoning=Reasoning(enabled=True, budget=5000)), {"think": True}),
    ("reasoning.effort", asked(reasoning=Reasoning(effort="low")), {"think": True}),
    ("max_tokens", asked(max_tokens=10**6), {"options": {"num_predict": 4096}}),
    ("metadata", asked(metadata={}), {}),
    ("user", asked(user=""), {}),
    ("service_tier", asked(service_tier="auto"), {}),
]
REFUSED = [
    ("audio", Prompt("m", (Turn("user", (Audio("audio/wav", "AAAA"),)),))),
    ("document", Prompt("m", (Turn("user", (Document("application/pdf", "AAAA"),)),))),
    ("document", Prompt("m", (Turn("user", (Result("c", (Document(url="https://a/b"),)),)),))),
    ("image.url", Prompt("m", (Turn("user", (Image(url="https://a/b.png"),)),))),
    ("tool_choice", asked(choice=Choice("required"))),
    ("tool_choice", asked(choice=Choice("one", "f"))),
]


@pytest.mark.parametrize(("name", "prompt", "expected"), ADJUSTED)
def test_what_is_left_out_is_said(name, prompt, expected):
    body, adjusted = built(prompt, Limits("m", 4096))
    assert adjusted == (name,)
    assert {key: body.get(key) for key in expected} == expected


@pytest.mark.parametrize(("name", "prompt"), REFUSED)
def test_what_would_change_the_answer_is_refused(name, prompt):
    with pytest.raises(Untranslatable) as caught:
        SPEECH.build(prompt, MODEL)
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("effort", "budget", "think", "adjusted"),
    [
        ("minimal", None, "low", ("reasoning.effort",)),
        ("low", None, "low", ()),
        ("medium", None, "medium", ()),
        ("high", None, "high", ()),
        ("xhigh", None, "high", ("reasoning.effort",)),
        (None, 5000, "medium", ("reasoning.budget",)),
    ],
)
def test_levels_are_of_gpt_oss_alone(effort, budget, think, adjusted):
    prompt = asked(reasoning=Reasoning(effort=effort, budget=budget))
    body, said = built(prompt, Limits("gpt-oss:20b"))
    assert (body["think"], said) == (think, adjusted)


# ---------------------------------------------------------------- there and back

plain = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
images = st.sampled_from([Image("image/png", PNG), Image("image/jpeg", JPEG)])


@st.composite
def turns(draw: st.DrawFn) -> tuple[Turn, ...]:
    """As this protocol says them: one text, then images; results by themselves, of the calls before them."""
    found: list[Turn] = []
    numbers = iter(range(1000))
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["user", "assistant", "system", "calls"]))
        text = [Text(draw(plain))]
        if kind == "user":
            found.append(Turn("user", (*text, *draw(st.lists(images, max_size=2)))))
        elif kind == "system" and found:
            found.append(Turn("system", tuple(text)))
        else:
            thinking = [Thinking(draw(plain))] if draw(st.booleans()) else []
            calls = [
                Call(draw(st.sampled_from(["x", "y"])) + str(next(numbers)), draw(names), draw(arguments))
                for _ in range(draw(st.integers(1, 3)) if kind == "calls" else 0)
            ]
            found.append(Turn("assistant", (*thinking, *text, *calls)))
            results = [Result(call.id, (Text(draw(plain)),), call.name) for call in calls]
            if results:
                found.append(Turn("user", tuple(results)))
    return tuple(found)


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    number = st.none() | st.floats(0, 2)
    count = st.none() | st.integers(0, 10**6)
    tools = draw(st.lists(st.builds(Tool, names, st.none() | plain, objects.filter(bool)), max_size=3))
    wanted = st.sampled_from([None, Format("json"), Format("schema", SCHEMA)])
    efforts = [Reasoning(enabled=True, effort=each, shown=True) for each in ("low", "medium", "high")]
    return Prompt(
        model="gpt-oss",
        turns=draw(turns()),
        system=tuple(map(Text, draw(st.lists(plain, max_size=1)))),
        stream=draw(st.booleans()),
        tools=tuple(tools),
        max_tokens=draw(count),
        temperature=draw(number),
        top_p=draw(number),
        top_k=draw(count),
        stop=tuple(draw(st.lists(plain, max_size=2))),
        seed=draw(count),
        presence_penalty=draw(number),
        frequency_penalty=draw(number),
        logprobs=draw(st.none() | st.integers(0, 20)),
        format=draw(wanted),
        reasoning=draw(st.sampled_from([Reasoning(), Reasoning(enabled=False), *efforts])),
    )


@settings(max_examples=200, deadline=None)
@given(prompts())
def test_there_and_back_again(prompt):
    found = SPEECH.build(prompt, Limits("gpt-oss"))
    assert found.adjusted == ()
    back = SPEECH.parse(found.body, CHAT)
    assert json.loads(SPEECH.build(back, Limits("gpt-oss")).body) == json.loads(found.body)
    assert comparable(back) == comparable(prompt)


def comparable(prompt: Prompt) -> list[object]:
    """Arguments as values: their blanks may be written otherwise."""
    turns = [
        (turn.role, *(_json(part) if isinstance(part, Call) else part for part in turn.parts)) for turn in prompt.turns
    ]
    others = [getattr(prompt, name) for name in Prompt.__struct_fields__ if name != "turns"]
    return [turns, *others]


def _json(call: Call) -> tuple[object, ...]:
    return call.id, call.name, json.dumps(json.loads(call.arguments))


@settings(max_examples=50, deadline=None)
@given(prompts())
def test_the_official_client_could_have_sent_it(prompt):
    body = json.loads(SPEECH.build(prompt, Limits("gpt-oss")).body)
    body.pop("tools", None)  # its type of a tool's schema is its own
    assert ollama._types.ChatRequest.model_validate(body).model == "gpt-oss"


def test_it_is_quick():
    tools = tuple(Tool(f"tool_{n}", "what it does " * 10, SCHEMA | {"title": str(n)}) for n in range(20))
    turns = []
    for n in range(10):
        turns += [
            Turn("user", (Text("question " * 40),)),
            Turn("assistant", (Thinking("hm " * 40), Text("words " * 40), Call(f"c{n}", "tool_1", '{"a": 1}'))),
            Turn("user", (Result(f"c{n}", (Text("found " * 100),), "tool_1"),)),
            Turn("assistant", (Text("so " * 40),)),
        ]
    prompt = Prompt("m", tuple(turns), system=(Text("be " * 100),), tools=tools)
    body = SPEECH.build(prompt, MODEL).body
    taken = []
    for _ in range(20):
        start = time.perf_counter()
        SPEECH.build(SPEECH.parse(body, CHAT), MODEL)
        taken.append(time.perf_counter() - start)
    print(f"parse and build of 40 messages and 20 tools: {min(taken) * 1e6:.0f} µs")
    assert min(taken) < 1.5e-3
