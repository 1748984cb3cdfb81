"""Requests for upstreams, member by member; and what was built is read back."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.openai_responses import ENDPOINTS
from gateway.translation.arguments import of_object
from gateway.translation.openai_responses import SPEECH
from gateway.translation.openai_responses.losses import TO_ACCOUNTS
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
from tests.translation.generate import arguments, names, objects, texts

HI = Turn("user", (Text("hi"),))
SAID_HI = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
PLAIN = {"model": "up", "input": [SAID_HI], "store": False, "stream": False}
SCHEMA = {"type": "object", "properties": {}}
ENCRYPTED = ["reasoning.encrypted_content"]
FUNCTION = {"type": "function", "name": "f", "description": None, "parameters": SCHEMA, "strict": False}


def build(*turns: Turn, most: int | None = None, model: str = "up", **members):
    built = SPEECH.build(Prompt("m", turns or (HI,), **members), Limits(model, most))
    return json.loads(built.body), built.adjusted


MEMBERS = [
    ({}, {}),
    ({"stream": True, "include_usage": True}, {"stream": True}),
    ({"system": (Text("be"),)}, {"instructions": "be"}),
    ({"max_tokens": 100}, {"max_output_tokens": 100}),
    ({"temperature": 0, "top_p": 0}, {"temperature": 0, "top_p": 0}),
    ({"logprobs": 0}, {"top_logprobs": 0, "include": ["message.output_text.logprobs"]}),
    ({"format": Format("json")}, {"text": {"format": {"type": "json_object"}}}),
    (
        {"format": Format("schema", SCHEMA)},
        {"text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}},
    ),
    (
        {"format": Format("schema", SCHEMA, "n", "d", False)},
        {
            "text": {
                "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "description": "d", "strict": False}
            }
        },
    ),
    ({"reasoning": Reasoning(enabled=False)}, {"reasoning": {"effort": "none"}}),
    ({"reasoning": Reasoning(enabled=True)}, {"reasoning": {"effort": "medium"}, "include": ENCRYPTED}),
    ({"reasoning": Reasoning(effort="xhigh")}, {"reasoning": {"effort": "xhigh"}, "include": ENCRYPTED}),
    ({"reasoning": Reasoning(enabled=True, budget=4097)}, {"reasoning": {"effort": "medium"}, "include": ENCRYPTED}),
    ({"reasoning": Reasoning(budget=31999)}, {"reasoning": {"effort": "xhigh"}, "include": ENCRYPTED}),
    ({"reasoning": Reasoning(shown=True)}, {"reasoning": {"summary": "auto"}, "include": ENCRYPTED}),
    ({"reasoning": Reasoning(shown=False)}, {}),
    ({"user": "u", "metadata": {}}, {"user": "u", "metadata": {}}),
    ({"service_tier": "priority"}, {"service_tier": "priority"}),
    ({"tools": (Tool("f"),)}, {"tools": [FUNCTION]}),
    (
        {"tools": (Tool("f"),), "choice": Choice("one", "f", parallel=False)},
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": False},
    ),
    ({"choice": Choice("auto", parallel=True)}, {}),
    ({"dropped": ("store",)}, {}),
]
ADJUSTED = [
    ({"temperature": 2.5}, {"temperature": 2}, "temperature"),
    ({"temperature": -1}, {"temperature": 0}, "temperature"),
    ({"top_p": 1.5}, {"top_p": 1}, "top_p"),
    ({"max_tokens": 1}, {"max_output_tokens": 16}, "max_tokens"),
    ({"max_tokens": 128_000, "most": 32_000}, {"max_output_tokens": 32_000}, "max_tokens"),
    ({"logprobs": 30}, {"top_logprobs": 20, "include": ["message.output_text.logprobs"]}, "logprobs"),
    ({"top_k": 0}, {}, "top_k"),
    ({"seed": 0}, {}, "seed"),
    ({"presence_penalty": 0}, {}, "presence_penalty"),
    ({"frequency_penalty": 1}, {}, "frequency_penalty"),
    ({"service_tier": "standard_only"}, {}, "service_tier"),
    ({"metadata": {"a": "b", "c": 1, "d": "x" * 513}}, {"metadata": {"a": "b"}}, "metadata"),
]


@pytest.mark.parametrize(("members", "said"), MEMBERS)
def test_members(members, said):
    assert build(**members) == ({**PLAIN, **said}, ())


@pytest.mark.parametrize(("members", "said", "name"), ADJUSTED)
def test_what_is_adjusted_is_told_and_stands_in_the_table(members, said, name):
    assert build(**members) == ({**PLAIN, **said}, (name,))
    assert name in {row.name for row in TO_ACCOUNTS if row.fate != "400"}


def test_openais_models_that_reason_take_no_sampling():
    model = "gpt-5.1"
    assert build(model=model, temperature=0, top_p=0.95) == ({**PLAIN, "model": model}, ("temperature", "top_p"))
    assert build(model=model, temperature=1, top_p=1.0) == ({**PLAIN, "model": model}, ())
    assert build(model="gpt-4.1", temperature=0)[0]["temperature"] == 0


def test_a_long_user_goes_as_a_digest():
    body, adjusted = build(user="x" * 65)
    assert len(body["user"]) == 48
    assert adjusted == ("user",)


def test_several_instructions_stay_apart_and_in_order():
    body, _ = build(HI, Turn("system", (Text("c"),)), system=(Text("a"), Text("b")))
    assert body["instructions"] == "a"
    assert [(item["role"], [part["text"] for part in item["content"]]) for item in body["input"]] == [
        ("developer", ["b"]),
        ("user", ["hi"]),
        ("developer", ["c"]),
    ]


def test_a_conversation():
    body, _ = build(
        HI,
        Turn(
            "assistant",
            (
                Thinking("t", Sealed("openai", "gA", "rs_1")),
                Thinking("t", Sealed("anthropic", "sig")),
                Thinking("t"),
                Text("a"),
                Text("b"),
                Call("c1", "f", "{'", cache={"type": "ephemeral"}),
                Call("c2", "p", "free", custom=True),
                Call("c3", "mcp__x_-_g"),
            ),
        ),
        Turn(
            "user",
            (
                Result("c2", (Text("ok"),), error=True),
                Result("c1", (Image(url="u"),)),
                Result("c3"),
                Text("on"),
            ),
        ),
    )
    assert body["include"] == ENCRYPTED
    assert body["input"] == [
        SAID_HI,
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "t"}],
            "encrypted_content": "gA",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{'"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "free"},
        {"type": "function_call", "call_id": "c3", "name": "g", "namespace": "mcp__x", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "ok"},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [{"type": "input_image", "image_url": "u", "detail": "auto"}],
        },
        {"type": "function_call_output", "call_id": "c3", "output": ""},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "on"}]},
    ]


def test_a_call_without_a_result_gets_one():
    calls = Turn("assistant", (Call("c1", "f"), Call("c2", "p", "x", custom=True)))
    body, _ = build(HI, calls, Turn("user", (Result("c1"), Text("on"))))
    kinds = [(item["type"], item.get("call_id"), item.get("output")) for item in body["input"][1:]]
    assert kinds == [
        ("function_call", "c1", None),
        ("custom_tool_call", "c2", None),
        ("custom_tool_call_output", "c2", "No result was given for this call."),
        ("function_call_output", "c1", ""),
        ("message", None, None),
    ]


def test_ids_that_are_too_long_are_the_same_in_calls_and_results():
    body, _ = build(Turn("assistant", (Call("x" * 90, "f"),)), Turn("user", (Result("x" * 90),)))
    assert [item["call_id"] for item in body["input"]] == [body["input"][0]["call_id"]] * 2
    assert len(body["input"][0]["call_id"]) <= 64


@pytest.mark.parametrize(
    ("turn", "members", "field"),
    [
        (HI, {"stop": ("END",)}, "stop"),
        (Turn("user", (Audio("audio/wav", "UklG"),)), {}, "messages"),
        (Turn("assistant", (Image(url="u"),)), {}, "messages"),
        (Turn("system", (Document(text="x"),)), {}, "messages"),
    ],
)
def test_what_cannot_be_said_is_refused(turn, members, field):
    with pytest.raises(Untranslatable) as refused:
        build(turn, **members)
    assert refused.value.field == field
    assert field in {row.name for row in TO_ACCOUNTS if row.fate == "400"}


media = st.builds(Image, st.just("image/png"), st.just("iVBO"), detail=st.sampled_from(["auto", "low"])) | st.builds(
    Document, st.just("application/pdf"), st.just("JVBE"), name=st.just("a.pdf")
)
said = st.builds(Text, texts)
shown = st.lists(said | media | st.just(Document(url="https://x/a.pdf")), min_size=1, max_size=3).map(tuple)
thinking = st.builds(
    Thinking,
    texts,
    st.builds(Sealed, st.just("openai"), st.text("gA", min_size=1), st.none() | st.just("rs_1")),
)
results = st.just(()) | st.builds(lambda text: (Text(text),), texts.filter(bool)) | shown.filter(lambda x: len(x) > 1)


@st.composite
def exchanges(draw: st.DrawFn, number: int) -> list[Turn]:
    """A model's turn, with the results of its calls and what the user says to them."""
    parts = [*draw(st.lists(thinking, max_size=1)), *draw(st.lists(said, max_size=2))]
    answers = []
    for index in range(draw(st.integers(0, 2))):
        custom = draw(st.booleans())
        name = draw(names)
        parts.append(Call(f"c{number}_{index}", name, draw(texts if custom else arguments), custom))
        answers.append(Result(f"c{number}_{index}", draw(results), name, custom=custom))
    turns = [Turn("assistant", tuple(parts or [Text("ok")]))]
    return [*turns, Turn("user", (*answers, *draw(shown)))]


tools = st.builds(Tool, names, st.none() | texts, objects.map(of_object), st.booleans()) | st.builds(
    Tool, names, st.none() | texts, custom=st.just(True)
)
maybe = st.none() | st.floats(0, 1)
reasonings = st.one_of(
    st.just(Reasoning()),
    st.just(Reasoning(enabled=False)),
    st.builds(
        Reasoning,
        st.just(True),
        st.sampled_from(["minimal", "low", "medium", "high", "xhigh"]),
        shown=st.sampled_from([None, True]),
    ),
)


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """What this protocol can say and its losses do not name."""
    turns = [Turn("user", draw(shown))]
    for number in range(draw(st.integers(0, 3))):
        turns += draw(exchanges(number))
        turns += draw(st.sampled_from([[], [Turn("system", (Text("be"),))]]))
    given = draw(st.lists(tools, max_size=3))
    chosen = [Choice("one", tool.name) for tool in given]
    modes = [Choice(), Choice("auto", parallel=True), Choice("none"), Choice("required", parallel=False), *chosen]
    return Prompt(
        model="m",
        turns=tuple(turns),
        system=tuple(draw(st.lists(st.builds(Text, texts.filter(bool)), max_size=3))),
        stream=draw(st.booleans()),
        tools=tuple(given),
        choice=draw(st.sampled_from(modes)) if given else Choice(),
        max_tokens=draw(st.none() | st.integers(16, 10**6)),
        temperature=draw(maybe),
        top_p=draw(maybe),
        logprobs=draw(st.none() | st.integers(0, 20)),
        format=draw(
            st.sampled_from([None, Format("json")])
            | st.builds(Format, st.just("schema"), objects, names, st.none() | texts, st.none() | st.booleans())
        ),
        reasoning=draw(reasonings),
        user=draw(st.none() | names),
        metadata=draw(st.none() | st.dictionaries(names, texts, max_size=3)),
        service_tier=draw(st.sampled_from([None, "auto", "flex"])),
        dropped=("store",),
    )


@given(prompts())
def test_what_is_built_is_read_back(prompt):
    built = SPEECH.build(prompt, Limits("m"))
    assert built.adjusted == ()
    assert SPEECH.parse(built.body, ENDPOINTS[0]) == prompt


def test_a_long_request_takes_little_time():
    text = Text("word " * 100)
    call = Turn("assistant", (Text("x"), Call("c1", "f", '{"a":1}')))
    turns = (Turn("user", (text,)), call, Turn("user", (Result("c1", (text,)),))) * 13
    given = tuple(Tool(f"f{at}", "d" * 200, {**SCHEMA, "properties": {"a": {"type": "string"}}}) for at in range(20))
    prompt = Prompt("m", turns, (text,), tools=given)
    body = SPEECH.build(prompt, Limits("m")).body
    best = 1.0
    for _ in range(20):
        begun = time.perf_counter()
        SPEECH.build(SPEECH.parse(body, ENDPOINTS[0]), Limits("m"))
        best = min(best, time.perf_counter() - begun)
    assert best < 0.0015
