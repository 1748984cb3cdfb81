"""Goldens of Gemini's rows of the loss table; `tests.translation.test_losses` runs them, and misses none."""

import re
from pathlib import Path
from typing import Any

import pytest

import gateway.translation.gemini as package
from gateway.protocols.codec import InvalidBody, Usage
from gateway.translation.events import Begun, Closed, Delta, Ended, Opened, Sealing
from gateway.translation.gemini.losses import LOSSES, clamped, dropped, refused, sift, untranslatable
from gateway.translation.gemini.members import Object
from gateway.translation.prompt import (
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
)
from tests.translation.golden import (
    HI,
    Golden,
    Goldens,
    asked,
    builds,
    cannot,
    drops,
    heard,
    leaves_out,
    orphaned,
    parsed,
    refuses,
    says,
    spoken,
    user,
    written,
)

ACTION = "generateContent"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FOREIGN = Sealed("anthropic", "x")
TOOL = {"name": "f"}
ON = Reasoning(True)
WHOLE = {
    "generationConfig": (
        *("audioTimestamp", "enableAffectiveDialog", "enableEnhancedCivicAnswers", "mediaResolution"),
        *("modelSelectionConfig", "routingConfig"),
    ),
    "toolConfig": ("includeServerSideToolInvocations", "retrievalConfig"),
}
"""Members of one object that are dropped whatever they hold."""
BESIDE = (
    *("executableCode", "codeExecutionResult", "toolCall", "toolResponse", "videoMetadata", "mediaResolution"),
    "partMetadata",
)


def body(*parts: Any, **members: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}, *parts]}], **members}


def lost(name: str, found: dict[str, Any], without: dict[str, Any]) -> Golden:
    return drops("gemini", found, without, name, action=ACTION)


def wrong(field: str, found: dict[str, Any]) -> Golden:
    return refuses("gemini", found, field, ACTION)


def declared(**members: Any) -> dict[str, Any]:
    return body(tools=[{"functionDeclarations": [TOOL | members]}])


def configured(**members: Any) -> dict[str, Any]:
    return body(generationConfig=members)


def calling(**members: Any) -> dict[str, Any]:
    return body(
        tools=[{"functionDeclarations": [TOOL]}], toolConfig={"functionCallingConfig": {"mode": "AUTO", **members}}
    )


def unsaid(prompt: Prompt, without: Prompt, *noted: str, model: str = "gemini-3-pro") -> Golden:
    return leaves_out("gemini", prompt, without, *noted, model=model)


def config(prompt: Prompt, *noted: str, most: int | None = None, model: str = "gemini-3-pro", **members: Any) -> Golden:
    return builds("gemini", prompt, {"generationConfig": members}, *noted, most=most, model=model)


def answered(*parts: Any, **members: Any) -> Any:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP", **members}
    return lambda: heard("gemini", {"candidates": [candidate]})[1:]


def finished(stop: Any, sequence: str | None = None) -> Any:
    return lambda: written("gemini", [Begun(), Ended(stop, sequence)])["candidates"][0]["finishReason"]


def figures(**used: int) -> Any:
    return lambda: written("gemini", [Begun(), Ended("end", usage=Usage(input_tokens=9, output_tokens=2, **used))])[
        "usageMetadata"
    ]


BARE = {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
VIDEO = {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}
HERE = "contents[0].parts[1]"

GOLDENS: Goldens = {
    # From its clients.
    "cachedContent": wrong("cachedContent", body(cachedContent="cachedContents/1")),
    "labels": lost("labels", body(labels={"a": "b"}), body()),
    "modelArmorConfig": wrong("modelArmorConfig", body(modelArmorConfig={})),
    "safetySettings": lost("safetySettings", body(safetySettings=[]), body()),
    "store": lost("store", body(store=True), body()),
    "tools.*": wrong("tools[0].googleSearch", body(tools=[{"googleSearch": {}}])),
    **{
        f"tools.functionDeclarations.{name}": lost(
            f"tools.functionDeclarations.{name}", declared(**{name: {"type": "string"}}), declared()
        )
        for name in ("behavior", "response", "responseJsonSchema")
    },
    **{
        f"{outer}.{name}": lost(f"{outer}.{name}", body(**{outer: {name: {}}}), body(**{outer: {}}))
        for outer, names in WHOLE.items()
        for name in names
    },
    "functionCallingConfig.streamFunctionCallArguments": lost(
        "functionCallingConfig.streamFunctionCallArguments",
        calling(streamFunctionCallArguments=True),
        calling(),
    ),
    **{
        f"contents.parts.{name}": lost(f"contents.parts.{name}", body({"text": "a", name: {}}), body({"text": "a"}))
        for name in BESIDE
    },
    "contents.parts.text.thoughtSignature": lost(
        "contents.parts.text.thoughtSignature", body({"text": "a", "thoughtSignature": "eA=="}), body({"text": "a"})
    ),
    "contents.parts.video": wrong(f"{HERE}.inlineData", body(VIDEO)),
    "contents.parts.fileData": wrong(f"{HERE}.fileData.fileUri", body({"fileData": {"fileUri": "gs://b/a.pdf"}})),
    "contents.parts.fileData.audio": wrong(
        f"{HERE}.fileData", body({"fileData": {"fileUri": "https://a/b.mp3", "mimeType": "audio/mp3"}})
    ),
    "contents.parts.system": wrong(
        "systemInstruction.parts[0]", body(systemInstruction={"parts": [{"inlineData": {"mimeType": "image/png"}}]})
    ),
    "generationConfig.candidateCount": wrong("generationConfig.candidateCount", configured(candidateCount=2)),
    "generationConfig.imageConfig": wrong("generationConfig.imageConfig", configured(imageConfig={})),
    "generationConfig.responseFormat": wrong("generationConfig.responseFormat", configured(responseFormat={})),
    "generationConfig.responseMimeType": wrong(
        "generationConfig.responseMimeType", configured(responseMimeType="text/x.enum")
    ),
    "generationConfig.responseModalities": wrong(
        "generationConfig.responseModalities", configured(responseModalities=["TEXT", "IMAGE"])
    ),
    "generationConfig.speechConfig": wrong("generationConfig.speechConfig", configured(speechConfig={})),
    # To its accounts.
    "temperature": config(asked(temperature=2.5), "temperature", temperature=2),
    "top_p": config(asked(top_p=-0.5), "top_p", topP=0),
    "presence_penalty": config(asked(presence_penalty=2.0), "presence_penalty", presencePenalty=1.99),
    "frequency_penalty": config(asked(frequency_penalty=-3.0), "frequency_penalty", frequencyPenalty=-2),
    "seed": config(asked(seed=2**40), "seed", seed=2**31 - 1),
    "logprobs": config(asked(logprobs=21), "logprobs", responseLogprobs=True, logprobs=20),
    "max_tokens": config(asked(max_tokens=9), "max_tokens", most=5, maxOutputTokens=5),
    "reasoning": config(
        asked(reasoning=Reasoning(True, "xhigh")),
        "reasoning",
        thinkingConfig={"thinkingLevel": "HIGH", "includeThoughts": True},
    ),
    "stop": cannot("gemini", asked(stop=tuple("abcdef")), "stop"),
    "service_tier": unsaid(asked(service_tier="scale"), asked()),
    "user": unsaid(asked(user="u"), asked()),
    "metadata": unsaid(asked(metadata={"a": "b"}), asked()),
    "parallel_tool_calls": unsaid(
        asked(tools=(Tool("f"),), choice=Choice(parallel=False)), asked(tools=(Tool("f"),)), "parallel_tool_calls"
    ),
    "tools.strict": unsaid(asked(tools=(Tool("f", strict=True),)), asked(tools=(Tool("f"),))),
    "tools.schema": builds(
        "gemini",
        asked(tools=(Tool("f", schema=SCHEMA | {"additionalProperties": False}),)),
        {
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}
                    ]
                }
            ]
        },
    ),
    "response_format.schema": config(
        asked(format=Format("schema", {"type": "string", "$comment": "c"})),
        responseMimeType="application/json",
        responseSchema={"type": "STRING"},
    ),
    "response_format.name": unsaid(asked(format=Format("schema", SCHEMA, "n")), asked(format=Format("schema", SCHEMA))),
    "response_format.description": unsaid(
        asked(format=Format("schema", SCHEMA, description="d")), asked(format=Format("schema", SCHEMA))
    ),
    "response_format.strict": unsaid(
        asked(format=Format("schema", SCHEMA, strict=True)), asked(format=Format("schema", SCHEMA))
    ),
    "system turns": builds(
        "gemini",
        asked(HI, Turn("system", (Text("s"),))),
        {"contents": [{"role": "user", "parts": [{"text": "hi"}, {"text": "s"}]}], "systemInstruction": None},
    ),
    "thinking": unsaid(spoken(Thinking("t"), Text("a")), spoken(Text("a"))),
    "signatures of others": unsaid(spoken(Call("c", "f", sealed=FOREIGN)), spoken(Call("c", "f"))),
    "image.detail": unsaid(user(Image("image/png", "AAAA", detail="low")), user(Image("image/png", "AAAA"))),
    "document.name": unsaid(user(Document(text="t", name="n")), user(Document(text="t"))),
    "results without a call": orphaned("gemini"),
    "tool_result.texts": builds(
        "gemini",
        asked(HI, Turn("assistant", (Call("c", "f"),)), Turn("user", (Result("c", (Text("a"), Text("b"))),))),
        {
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [{"functionCall": {"id": "c", "name": "f", "args": {}}}]},
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "c", "name": "f", "response": {"output": "a\nb"}}}],
                },
            ]
        },
        model="gemini-2.5-pro",
    ),
    "cache_control": unsaid(user(Text("a", {"type": "ephemeral"})), user(Text("a"))),
    # From its accounts.
    "candidates.content.parts.inlineData": says(
        answered({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}), [Ended("end")]
    ),
    "candidates.groundingMetadata": says(answered(groundingMetadata={"webSearchQueries": ["q"]}), [Ended("end")]),
    "promptFeedback.blockReason": says(
        lambda: heard("gemini", {"promptFeedback": {"blockReason": "SAFETY"}})[1:], [Ended("refusal")]
    ),
    # To its clients.
    "answer.redacted": says(
        lambda: written(
            "gemini",
            [Begun(), Opened(0, "thinking", redacted=True), Sealing(0, FOREIGN), Closed(0), Ended("end")],
        )["candidates"][0]["content"]["parts"],
        [{"text": ""}],
    ),
    "answer.pause": says(finished("pause"), "STOP"),
    "answer.stop_sequence": says(finished("stop_sequence", "END"), "STOP"),
    "answer.arguments": says(
        lambda: written(
            "gemini",
            [Begun(), Opened(0, "call", "c", "f"), Delta(0, "it's"), Closed(0), Ended("tool_use")],
        )["candidates"][0]["content"]["parts"],
        [{"functionCall": {"id": "c", "name": "f", "args": {"input": "it's"}}}],
    ),
    "answer.usage.cache_writes": says(
        figures(cache_write_5m_tokens=2, cache_write_1h_tokens=3),
        {"promptTokenCount": 14, "candidatesTokenCount": 2, "totalTokenCount": 16},
    ),
    "answer.usage.audio_tokens": says(figures(audio_tokens=3), BARE),
    "answer.usage.image_tokens": says(figures(image_tokens=3), BARE),
    "answer.usage.server_tool_calls": says(figures(server_tool_calls=3), BARE),
}


def test_every_row_that_the_code_names_is_there_and_its_fate_is_that_of_the_code():
    assert package.__file__ is not None
    text = "\n".join(path.read_text() for path in Path(package.__file__).parent.glob("*.py"))
    named = re.findall(r'(dropped|clamped|refused|untranslatable)\("([A-Za-z.*_]+)"', text)
    assert len(named) > 10
    rows = {row.name: row.fate for row in LOSSES}
    for how, member in named:
        assert rows[member] == {"dropped": "dropped", "clamped": "clamped"}.get(how, "400"), member


def test_the_fates():
    assert dropped("labels") == "labels"
    assert clamped("top_p") == "top_p"
    assert refused("cachedContent", "cachedContent").field == "cachedContent"
    assert untranslatable("stop", "stop").message.startswith("stop: ")
    for wrongly in (dropped, clamped):
        with pytest.raises((AssertionError, KeyError)):
            wrongly("cachedContent")


def test_sifting():
    found = Object({"safety_settings": [], "labels": None, "unknown": 1})
    assert [*sift(found, "")] == ["safetySettings"]
    with pytest.raises(InvalidBody) as caught:
        [*sift(Object({"cached_content": "x"}), "")]
    assert caught.value.field == "cachedContent"
    assert [*sift(Object({"cachedContent": "x"}), "", frozenset({"cachedContent"}))] == []


def test_what_its_accounts_are_not_told_is_nothing_of_its_clients():
    """Members that no request of Gemini's has are passed over, whatever they are called."""
    assert [*sift(Object({"stop": "x", "user": "u"}), "")] == []
    assert parsed("gemini", body(stop=["x"]), ACTION) == parsed("gemini", body(), ACTION)
