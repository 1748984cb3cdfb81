"""Requests to Gemini."""

import json
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.protocols import gemini
from gateway.translation.gemini.build import build
from gateway.translation.gemini.parse import parse
from gateway.translation.gemini.plain import plain
from gateway.translation.gemini.thinking import SKIPPED
from gateway.translation.prompt import (
    Audio,
    Call,
    Choice,
    Document,
    Format,
    Image,
    Part,
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
from gateway.translation.rounds import BEGINNING
from gateway.translation.speech import Limits
from tests.translation.gemini.test_plain import schemas
from tests.translation.generate import names, texts

NEW, OLD = Limits("gemini-3.5-flash"), Limits("gemini-2.0-flash")
HI = Turn("user", (Text("hi"),))
SEAL = Sealed("gemini", "c2ln")


def body(prompt: Prompt, limits: Limits = NEW) -> dict[str, Any]:
    return json.loads(build(prompt, limits).body)


def contents(*turns: Turn, limits: Limits = NEW) -> list[Any]:
    return [(each["role"], each["parts"]) for each in body(Prompt("m", turns), limits)["contents"]]


def said(*parts: Part, limits: Limits = NEW) -> list[Any]:
    return contents(HI, Turn("assistant", parts), limits=limits)[1][1]


def call(name: str, args: Any = None, signature: str | None = None, id: str = "a") -> dict[str, Any]:
    found: dict[str, Any] = {"functionCall": {"id": id, "name": name, "args": args or {}}}
    return found if signature is None else found | {"thoughtSignature": signature}


def result(name: str, response: Any, id: str = "a", **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"id": id, "name": name, "response": response, **more}}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((Text("a"), Text("")), [{"text": "a"}]),
        ((Text("a", cache={"type": "ephemeral"}),), [{"text": "a"}]),
        ((Text("a"), Thinking("t", SEAL)), [{"text": "t", "thought": True, "thoughtSignature": "c2ln"}, {"text": "a"}]),
        ((Thinking("t"), Thinking("t", Sealed("anthropic", "x")), Text("a")), [{"text": "a"}]),
        ((Call("a", "f", '{"x": 1}', sealed=SEAL),), [call("f", {"x": 1}, "c2ln")]),
        ((Call("a", "f", '{"x": 1}'),), [call("f", {"x": 1}, SKIPPED)]),
        ((Call("a", "f", sealed=Sealed("openai", "x")),), [call("f", {}, SKIPPED)]),
        ((Call("a", "f"), Call("b", "f")), [call("f", {}, SKIPPED), call("f", {}, None, "b")]),
        ((Call("a", "f", sealed=SEAL), Call("b", "f")), [call("f", {}, "c2ln"), call("f", {}, None, "b")]),
        ((Call("a", "f", ""),), [call("f", {}, SKIPPED)]),
        ((Call("a", "f", "it's"),), [call("f", {"input": "it's"}, SKIPPED)]),
        ((Call("a", "f", "x = 1", custom=True),), [call("f", {"input": "x = 1"}, SKIPPED)]),
    ],
)
def test_a_turn_of_the_model(parts: tuple[Part, ...], expected: Any):
    assert said(*parts) == expected


def test_models_that_sign_nothing_get_no_placeholder():
    assert said(Call("a", "f"), limits=OLD) == [call("f")]


PICTURE = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ((Result("a", (Text("x"),)),), [result("f", {"output": "x"})]),
        ((Result("a", (Text("x"), Text("y"))),), [result("f", {"output": "x\ny"})]),
        ((Result("a", (Text("x"),), error=True),), [result("f", {"error": "x"})]),
        ((Result("a"),), [result("f", {"output": ""})]),
        (
            (Result("a", (Text("x"), Image("image/png", "AAAA"))),),
            [result("f", {"output": "x"}, parts=[PICTURE])],
        ),
        # results stand first, whatever the client's order
        ((Text("and"), Result("a", (Text("x"),))), [result("f", {"output": "x"}), {"text": "and"}]),
        # Gemini counts them: what is missing is an error, what is too much is text
        ((Text("and"),), [result("f", {"error": "The tool was not called: its result is missing."}), {"text": "and"}]),
        (
            (Result("z", (Text("y"),)), Result("a", (Text("x"),)), Result("a", (Text("w"),))),
            [result("f", {"output": "x"}), {"text": "y"}, {"text": "w"}],
        ),
    ],
)
def test_results(results: tuple[Part, ...], expected: Any):
    found = contents(HI, Turn("assistant", (Call("a", "f"),)), Turn("user", results))
    assert found[2:] == [("user", expected)]


def test_media_of_a_result_stand_after_it_where_the_model_takes_none_inside():
    asked = Turn("assistant", (Call("a", "f"),))
    found = contents(HI, asked, Turn("user", (Result("a", (Image("image/png", "AAAA"),)),)), limits=OLD)
    assert found[2] == ("user", [result("f", {"output": ""}), PICTURE])


def test_results_of_one_turn_in_several_messages_are_one_content_in_the_order_of_the_calls():
    asked = Turn("assistant", (Call("a", "f"), Call("b", "g")))
    found = contents(
        HI,
        asked,
        Turn("user", (Result("b", (Text("2"),)),)),
        Turn("system", (Text("s"),)),
        Turn("user", (Result("a"),)),
    )
    assert found[2:] == [("user", [result("f", {"output": ""}), result("g", {"output": "2"}, "b"), {"text": "s"}])]


def test_a_call_follows_upon_something_that_the_user_says():
    call, answer = Turn("assistant", (Call("a", "f"),)), Turn("assistant", (Text("a"),))
    assert contents(call)[0] == ("user", [{"text": BEGINNING}])
    assert contents(answer) == [("model", [{"text": "a"}])]


def test_calls_at_the_end_are_answered_too():
    assert contents(HI, Turn("assistant", (Call("a", "f"),)))[2][0] == "user"


def test_instructions():
    prompt = Prompt("m", (HI,), system=(Text("a"), Text(""), Text("b")))
    assert body(prompt)["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    alone = body(Prompt("m", (), system=(Text("a"),)))
    assert alone == {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}


TOOL = Tool("f", "d", {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}, True)
DECLARED = {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}
FREE = {"type": "OBJECT", "properties": {"input": {"type": "STRING"}}, "required": ["input"]}


@pytest.mark.parametrize(
    ("tool", "declared"),
    [
        (TOOL, DECLARED),
        (Tool("f"), {"name": "f"}),
        (Tool("f", "", {"type": "object", "properties": {}}), {"name": "f", "description": ""}),
        (Tool("f", custom=True), {"name": "f", "parameters": FREE}),
    ],
)
def test_tools(tool: Tool, declared: Any):
    assert body(Prompt("m", (HI,), tools=(tool,)))["tools"] == [{"functionDeclarations": [declared]}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(), None),
        (Choice("auto"), {"mode": "AUTO"}),
        (Choice("none"), {"mode": "NONE"}),
        (Choice("required"), {"mode": "ANY"}),
        (Choice("one", "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_which_tools_may_be_called(choice: Choice, expected: Any):
    found = body(Prompt("m", (HI,), tools=(TOOL,), choice=choice)).get("toolConfig")
    assert found == (None if expected is None else {"functionCallingConfig": expected})
    assert "toolConfig" not in body(Prompt("m", (HI,), choice=choice))


def test_one_call_at_a_time_cannot_be_asked_for():
    assert build(Prompt("m", (HI,), tools=(TOOL,), choice=Choice(parallel=False)), NEW).adjusted == (
        "parallel_tool_calls",
    )


@pytest.mark.parametrize(
    ("members", "config", "adjusted"),
    [
        ({}, None, ()),
        ({"temperature": 0.0}, {"temperature": 0}, ()),
        ({"temperature": 2.5}, {"temperature": 2}, ("temperature",)),
        ({"top_p": 0.0, "top_k": 0}, {"topP": 0, "topK": 0}, ()),
        ({"top_p": 1.5}, {"topP": 1}, ("top_p",)),
        ({"presence_penalty": -2.0}, {"presencePenalty": -2}, ()),
        ({"frequency_penalty": 2.0}, {"frequencyPenalty": 1.99}, ("frequency_penalty",)),
        ({"seed": 2**40}, {"seed": 2**31 - 1}, ("seed",)),
        ({"max_tokens": 500}, {"maxOutputTokens": 500}, ()),
        ({"max_tokens": 5000}, {"maxOutputTokens": 1000}, ("max_tokens",)),
        ({"stop": ("a", "b")}, {"stopSequences": ["a", "b"]}, ()),
        ({"logprobs": 0}, {"responseLogprobs": True}, ()),
        ({"logprobs": 50}, {"responseLogprobs": True, "logprobs": 20}, ("logprobs",)),
        ({"format": Format("json")}, {"responseMimeType": "application/json"}, ()),
        (
            {"format": Format("schema", {"type": ["string", "null"]}, "n")},
            {"responseMimeType": "application/json", "responseSchema": {"type": "STRING", "nullable": True}},
            (),
        ),
        (
            {"reasoning": Reasoning(effort="xhigh")},
            {"thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True}},
            ("reasoning",),
        ),
        ({"user": "u", "metadata": {"a": 1}}, None, ()),
    ],
)
def test_generation(members: dict[str, Any], config: Any, adjusted: tuple[str, ...]):
    built = build(Prompt("m", (HI,), **members), Limits("gemini-3.5-flash", 1000))
    assert json.loads(built.body).get("generationConfig") == config
    assert built.adjusted == adjusted


@pytest.mark.parametrize(
    ("tier", "written"), [("flex", "flex"), ("default", "standard"), ("auto", None), ("scale", None), (None, None)]
)
def test_the_tier(tier: str | None, written: str | None):
    assert body(Prompt("m", (HI,), service_tier=tier)).get("serviceTier") == written


def test_more_stop_sequences_than_it_takes():
    with pytest.raises(Untranslatable) as caught:
        build(Prompt("m", (HI,), stop=tuple("abcdef")), NEW)
    assert caught.value.field == "stop"


# ---------------------------------------------------------------- there and back

filled = texts.filter(bool)
data = st.sampled_from(["AAAA", "/+8="])
media = st.one_of(
    st.builds(Image, st.sampled_from(["image/png", "image/webp"]), data),
    st.builds(lambda url: Image("image/png", url=url), st.just("https://example.org/a")),
    st.builds(Document, st.just("application/pdf"), data),
)
sounds = st.builds(Audio, st.just("audio/wav"), data)
notes = st.builds(lambda text: Document("text/plain", text=text), texts)
seals = st.none() | st.just(SEAL)
arguments = st.sampled_from(["{}", '{"a":1}', '{"é":[null,0.5,{"b":"\\"x"}]}'])


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    turns: list[Turn] = []
    asked: list[Call] = []
    for number in range(draw(st.integers(1, 4))):
        results = [
            Result(each.id, (*draw(st.lists(st.builds(Text, filled), max_size=1)), *draw(st.lists(media, max_size=2))))
            for each in asked
        ]
        results = [
            replace(found, name=each.name, error=draw(st.booleans()))
            for found, each in zip(results, asked, strict=True)
        ]
        others = draw(st.lists(st.builds(Text, filled) | media | sounds | notes, min_size=1, max_size=3))
        turns.append(Turn("user", (*results, *others)))
        thoughts = [Thinking(text, SEAL) for text in draw(st.lists(texts, max_size=2))]
        spoken = [Text(text) for text in draw(st.lists(filled, max_size=2))]
        asked = [
            Call(f"call_{number}_{at}", name, draw(arguments), sealed=draw(seals))
            for at, name in enumerate(draw(st.lists(names, max_size=3)))
        ]
        if number and (parts := (*thoughts, *spoken, *asked)):
            turns.append(Turn("assistant", parts))
        else:
            asked = []
    if turns[-1].role == "assistant":
        turns.append(HI if not asked else Turn("user", tuple(Result(each.id, (), each.name) for each in asked)))
    return replace(draw(settings), turns=joined(turns))


def joined(turns: list[Turn]) -> tuple[Turn, ...]:
    found: list[Turn] = []
    for turn in turns:
        if found and found[-1].role == turn.role:
            found[-1] = Turn(turn.role, found[-1].parts + turn.parts)
        else:
            found.append(turn)
    return tuple(found)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


functions = st.builds(
    lambda name, description, schema: Tool(name, description, schema),
    names,
    optional(texts),
    optional(
        st.dictionaries(names, schemas, min_size=1, max_size=3).map(
            lambda properties: plain({"type": "OBJECT", "properties": properties}, "x")
        )
    ),
)
settings = st.builds(
    Prompt,
    model=st.just(""),
    turns=st.just(()),
    system=st.lists(st.builds(Text, filled), max_size=2).map(tuple),
    tools=st.lists(functions, max_size=3, unique_by=lambda tool: tool.name).map(tuple),
    max_tokens=optional(st.integers(1, 10**6)),
    temperature=optional(st.floats(0, 2)),
    top_p=optional(st.floats(0, 1)),
    top_k=optional(st.integers(0, 100)),
    stop=st.lists(texts, max_size=5).map(tuple),
    seed=optional(st.integers(-(2**31), 2**31 - 1)),
    presence_penalty=optional(st.floats(-2, 1.9)),
    frequency_penalty=optional(st.floats(-2, 1.9)),
    logprobs=optional(st.integers(0, 20)),
    format=optional(st.just(Format("json")) | schemas.map(lambda schema: Format("schema", plain(schema, "x")))),
    reasoning=st.sampled_from(
        [
            Reasoning(),
            Reasoning(shown=True),
            Reasoning(shown=False),
            Reasoning(True, "low", None, True),
            Reasoning(True, "high", None, False),
        ]
    ),
    service_tier=optional(st.sampled_from(["flex", "standard", "priority"])),
)
GENERATE = next(each for each in gemini.ENDPOINTS if each.action == "generateContent")


@given(prompts(), st.sampled_from(["auto", "none", "required", "one"]))
def test_what_gemini_can_say_comes_back(prompt: Prompt, mode: Any):
    if prompt.tools:
        prompt = replace(prompt, choice=Choice(mode, prompt.tools[-1].name if mode == "one" else None))
    built = build(prompt, NEW)
    assert built.adjusted == ()
    assert parse(built.body, GENERATE) == prompt
    check_types(json.loads(built.body))


def check_types(body: dict[str, Any]) -> None:
    """The SDK's own types forbid members that they do not know."""
    for each in body["contents"]:
        types.Content.model_validate(each)
    for each in body.get("tools", []):
        types.Tool.model_validate(each)
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    assert set(body) <= {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier"}
