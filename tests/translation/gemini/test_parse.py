"""Requests of Gemini's clients."""

import json
from typing import Any

import pytest

from gateway.protocols import gemini
from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.parse import parse
from gateway.translation.gemini.thinking import SKIPPED
from gateway.translation.prompt import (
    Call,
    Choice,
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
)

ENDPOINTS = {each.action: each for each in gemini.ENDPOINTS}
HI = [{"role": "user", "parts": [{"text": "hi"}]}]
F = {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}
TOOL = Tool("f", "d", {"type": "object", "properties": {"a": {"type": "string"}}})


def read(body: dict[str, Any], action: str = "generateContent") -> Prompt:
    return parse(json.dumps(body).encode(), ENDPOINTS[action])


def config(**members: Any) -> Prompt:
    return read({"contents": HI, "generationConfig": members})


def turns(*contents: Any) -> tuple[Turn, ...]:
    return read({"contents": list(contents)}).turns


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def test_the_model_and_the_stream_are_the_path_s():
    assert read({"contents": HI}) == Prompt("", (Turn("user", (Text("hi"),)),))
    assert read({"contents": HI}, "streamGenerateContent").stream
    assert read({"contents": HI, "model": "models/gemini-x"}).model == "gemini-x"
    body = {"contents": HI, "model": "gemini-x"}
    assert parse(json.dumps(body).encode(), gemini.CHAT).model == "gemini-x"


def test_instructions():
    for name in ("systemInstruction", "system_instruction"):
        found = read({"contents": HI, name: {"parts": [{"text": "a"}, {"text": ""}, {"text": "b"}]}})
        assert found.system == (Text("a"), Text("b"))
    # as Google's own examples have it
    assert read({"contents": {"parts": {"text": "hi"}}, "system_instruction": {"parts": {"text": "a"}}}).system
    assert turns({"role": "system", "parts": [{"text": "a"}]}, *HI)[0] == Turn("system", (Text("a"),))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([{"text": "a"}, {"text": ""}], (Text("a"),)),
        ([{"text": "a", "thoughtSignature": "c2ln"}], (Text("a"),)),
        ([{"text": "t", "thought": True}], (Thinking("t"),)),
        ([{"text": "t", "thought": True, "thoughtSignature": "c2ln"}], (Thinking("t", Sealed("gemini", "c2ln")),)),
        ([{"thought": True, "thought_signature": "c2ln"}], (Thinking("", Sealed("gemini", "c2ln")),)),
        ([{"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}}], (Call("a", "f", '{"x":1}'),)),
        ([{"function_call": {"name": "f"}}], (Call("call_gemini_0", "f"),)),
        (
            [{"functionCall": {"id": "a", "name": "f"}, "thoughtSignature": "c2ln"}],
            (Call("a", "f", sealed=Sealed("gemini", "c2ln")),),
        ),
        ([{"functionCall": {"id": "a", "name": "f"}, "thoughtSignature": SKIPPED}], (Call("a", "f"),)),
        ([{"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}}, {"text": "a"}], (Text("a"),)),
        ([{"toolCall": {"id": "x"}}, {"toolResponse": {"id": "x"}}, {"text": "a"}], (Text("a"),)),
    ],
)
def test_parts_of_a_model(parts: list[Any], expected: Any):
    assert turns(*HI, model(*parts))[1:] == (Turn("assistant", expected),)


def test_parts_of_a_user():
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    called = model({"functionCall": {"name": "f"}})
    result = {"functionResponse": {"name": "f", "response": {"output": "x"}}}
    found = turns(*HI, called, {"role": "function", "parts": [result, picture, {"text": "and"}]})
    assert found[2] == Turn(
        "user", (Result("call_gemini_0", (Text("x"),), "f"), Image("image/png", "AAAA"), Text("and"))
    )
    assert turns({"parts": [{"text": "hi"}, {"text": "t", "thought": True}]}) == (Turn("user", (Text("hi"),)),)


@pytest.mark.parametrize(
    ("group", "tool"),
    [
        ({"functionDeclarations": [F]}, TOOL),
        ({"function_declarations": [F]}, TOOL),
        ({"functionDeclarations": [{"name": "f"}]}, Tool("f")),
        (
            {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "OBJECT", "$defs": {}}}]},
            Tool("f", None, {"type": "object", "$defs": {}}),
        ),
    ],
)
def test_tools(group: dict[str, Any], tool: Tool):
    assert read({"contents": HI, "tools": [group]}).tools == (tool,)


@pytest.mark.parametrize(
    ("mode", "allowed", "offered", "choice"),
    [
        ("AUTO", None, "fg", Choice("auto")),
        ("NONE", None, "fg", Choice("none")),
        ("ANY", None, "fg", Choice("required")),
        ("VALIDATED", None, "fg", Choice("auto")),
        ("MODE_UNSPECIFIED", None, "fg", Choice()),
        ("ANY", ["g"], "fg", Choice("one", "g")),
        ("ANY", ["g", "h"], "gh", Choice("required")),
        ("VALIDATED", ["g"], "g", Choice("auto")),
        ("ANY", [], "fg", Choice("required")),
    ],
)
def test_which_tools_may_be_called(mode: str, allowed: list[str] | None, offered: str, choice: Choice):
    names = "fgh" if allowed and "h" in allowed else "fg"
    calling = {"mode": mode} | ({} if allowed is None else {"allowedFunctionNames": allowed})
    found = read(
        {
            "contents": HI,
            "tools": [{"functionDeclarations": [{"name": name} for name in names]}],
            "toolConfig": {"functionCallingConfig": calling},
        }
    )
    assert ("".join(tool.name for tool in found.tools), found.choice) == (offered, choice)


SCHEMA = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}


@pytest.mark.parametrize(
    ("members", "name", "value"),
    [
        ({"maxOutputTokens": 5}, "max_tokens", 5),
        ({"max_output_tokens": "5"}, "max_tokens", 5),
        ({"temperature": 0}, "temperature", 0),
        ({"topP": 0.0}, "top_p", 0),
        ({"topK": 40.0}, "top_k", 40),
        ({"stopSequences": ["a", "b"]}, "stop", ("a", "b")),
        ({"stopSequences": []}, "stop", ()),
        ({"seed": 0}, "seed", 0),
        ({"presencePenalty": 0.5}, "presence_penalty", 0.5),
        ({"frequencyPenalty": -0.5}, "frequency_penalty", -0.5),
        ({"responseLogprobs": True, "logprobs": 3}, "logprobs", 3),
        ({"responseLogprobs": True}, "logprobs", 0),
        ({"logprobs": 3}, "logprobs", None),
        ({"candidateCount": 1}, "stop", ()),
        ({"responseModalities": ["TEXT"]}, "stop", ()),
        ({"responseMimeType": "text/plain"}, "format", None),
        ({"responseMimeType": "application/json"}, "format", Format("json")),
        (
            {"responseMimeType": "application/json", "responseSchema": SCHEMA},
            "format",
            Format("schema", {"type": "object", "properties": {"a": {"type": "string"}}}),
        ),
        ({"responseJsonSchema": {"type": "string"}}, "format", Format("schema", {"type": "string"})),
        ({"thinkingConfig": {"thinkingLevel": "LOW"}}, "reasoning", Reasoning(enabled=True, effort="low")),
    ],
)
def test_generation(members: dict[str, Any], name: str, value: Any):
    assert getattr(config(**members), name) == value


def test_the_tier():
    assert read({"contents": HI, "serviceTier": "flex"}).service_tier == "flex"
    assert read({"contents": HI, "service_tier": "unspecified"}).service_tier is None


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        ({"safetySettings": [], "labels": {}}, ("safetySettings", "labels")),
        ({"safety_settings": []}, ("safetySettings",)),
        ({"generationConfig": {"mediaResolution": "x"}}, ("generationConfig.mediaResolution",)),
        ({"contents": [*HI, model({"executable_code": {}})]}, ("contents.parts.executableCode",)),
        (
            {"contents": [model({"text": "a", "thoughtSignature": "x"}, {"text": "b", "thoughtSignature": "x"})]},
            ("contents.parts.text.thoughtSignature",),
        ),
        ({"toolConfig": {"includeServerSideToolInvocations": True}}, ("toolConfig.includeServerSideToolInvocations",)),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]}]},
            ("tools.functionDeclarations.behavior",),
        ),
        ({"newMember": 1, "generationConfig": {"newMember": 1}}, ()),
    ],
)
def test_what_is_left_out(body: dict[str, Any], lost: tuple[str, ...]):
    assert read({"contents": HI, **body}).dropped == lost


CALL, RESULT = {"functionCall": {"name": "f"}}, {"functionResponse": {"name": "f"}}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": ["hi"]}, "contents[0]"),
        ({"contents": [{"role": "bot", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
        ({"contents": [*HI, model({"thought": "x"})]}, "contents[1].parts[0].thought"),
        ({"contents": [{"parts": [CALL]}]}, "contents[0].parts[0].functionCall"),
        ({"contents": [model(RESULT)]}, "contents[0].parts[0].functionResponse"),
        ({"contents": HI, "systemInstruction": {"parts": [{"inlineData": {}}]}}, "systemInstruction.parts[0]"),
        ({"contents": HI, "cachedContent": "cachedContents/x"}, "cachedContent"),
        ({"contents": HI, "tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        ({"contents": HI, "tools": [{"functionDeclarations": [F]}, {"code_execution": {}}]}, "tools[1].codeExecution"),
        ({"contents": HI, "tools": [{"somethingNew": {}}]}, "tools[0].somethingNew"),
        ({"contents": HI, "tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        (
            {"contents": HI, "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            {"contents": HI, "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["x"]}}},
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
        ({"contents": HI, "generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
        (
            {"contents": HI, "generationConfig": {"response_modalities": ["IMAGE"]}},
            "generationConfig.responseModalities",
        ),
        (
            {"contents": HI, "generationConfig": {"responseMimeType": "text/x.enum"}},
            "generationConfig.responseMimeType",
        ),
        ({"contents": HI, "generationConfig": {"speechConfig": {}}}, "generationConfig.speechConfig"),
        ({"contents": HI, "generationConfig": {"stopSequences": ["a", 1]}}, "generationConfig.stopSequences[1]"),
    ],
)
def test_refused_by_name(body: dict[str, Any], field: str):
    with pytest.raises(InvalidBody) as caught:
        read(body)
    assert caught.value.field == field
