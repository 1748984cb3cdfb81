"""Every recorded answer of the providers: the readers' figures against plain ones made from the whole answer."""

import json
import random
from base64 import b64encode
from functools import cache
from typing import Any

import pytest

from gateway.local.sandbox.bedrock import frame
from gateway.platforms.eventstream import AnthropicFraming
from gateway.protocols import CODECS
from gateway.protocols.codec import Endpoint, Reader, Usage
from gateway.protocols.openai_chat import UsageFilter
from tests.protocols.cuts import FIXTURES, at, listen, needs_fixtures, pieces, state

pytestmark = needs_fixtures

FILES = {
    "anthropic.messages": ("anthropic", "generate", ""),
    "anthropic.count_tokens": ("anthropic", "count", ""),
    "openai.chat": ("openai_chat", "generate", ""),
    "openai.embeddings": ("openai_chat", "embed", ""),
    "openai.responses": ("openai_responses", "generate", ""),
    "gemini.generateContent": ("gemini", "generate", "generateContent"),
    "gemini.streamGenerateContent": ("gemini", "generate", "streamGenerateContent"),
    "gemini.countTokens": ("gemini", "count", "countTokens"),
    "gemini.embed": ("gemini", "embed", "batchEmbedContents"),
}
COUNTS = {
    "anthropic.messages": 185,
    "anthropic.count_tokens": 3,
    "openai.chat": 281,
    "openai.embeddings": 3,
    "openai.responses": 227,
    "gemini.generateContent": 200,
    "gemini.streamGenerateContent": 17,
    "gemini.countTokens": 4,
    "gemini.embed": 12,
}


@cache
def rows(file: str) -> list[dict[str, Any]]:
    with (FIXTURES / f"{file}.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


def of_another_protocol(row: dict[str, Any]) -> bool:
    """Two recordings of chat completions lie among the Responses ones."""
    return "azure-deepseek-reasoning" in row["id"]


def endpoint(file: str, row: dict[str, Any]) -> Endpoint:
    protocol, operation, action = FILES[file]
    if protocol == "openai_responses" and of_another_protocol(row):
        protocol = "openai_chat"
    return next(
        each for each in CODECS[protocol].endpoints if each.operation == operation and each.action in ("", action)
    )


def fresh(file: str, row: dict[str, Any]) -> Reader:
    chosen = endpoint(file, row)
    return CODECS[chosen.protocol].reader(chosen, row["stream"])


def objects(row: dict[str, Any]) -> list[Any]:
    """All JSON of the answer: the one object, or those of the events."""
    text = row["response"]
    if not row["stream"]:
        try:
            return [json.loads(text)]
        except ValueError:
            return []
    data = [line[5:].strip() for line in text.replace("\r\n", "\n").split("\n") if line.startswith("data:")]
    return [json.loads(line) for line in data if line != "[DONE]"]


def number(figures: Any, *path: str) -> int:
    for name in path:
        figures = (figures or {}).get(name)
    return figures or 0


def anthropic(answer: list[Any]) -> Usage | None:
    figures: dict[str, Any] = {}
    for event in answer:
        kind = event.get("type")
        if kind == "message_start":
            figures = dict(event["message"]["usage"])
        elif kind == "message_delta":
            figures.update({name: value for name, value in (event.get("usage") or {}).items() if value is not None})
        elif kind == "message":
            figures = event["usage"]
    if not figures:
        return None
    billed = figures.get("iterations") or [figures]
    if billed[-1].get("type") == "fallback_message":
        billed = [each for each in billed if number(each, "output_tokens")]
    one_hour = sum(number(each, "cache_creation", "ephemeral_1h_input_tokens") for each in billed)
    return Usage(
        input_tokens=sum(number(each, "input_tokens") for each in billed),
        cache_read_tokens=sum(number(each, "cache_read_input_tokens") for each in billed),
        cache_write_5m_tokens=sum(number(each, "cache_creation_input_tokens") for each in billed) - one_hour,
        cache_write_1h_tokens=one_hour,
        output_tokens=sum(number(each, "output_tokens") for each in billed),
        reasoning_tokens=number(figures, "output_tokens_details", "thinking_tokens"),
        server_tool_calls=sum((figures.get("server_tool_use") or {}).values()),
    )


def of_kind(figures: Any, name: str) -> int:
    """In the details of the prompt and of what was answered."""
    sides = ("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details")
    return sum(number(figures, side, name) for side in sides)


def chat(answer: list[Any]) -> Usage | None:
    figures = None
    for event in answer:
        figures = event.get("usage") or (event.get("x_groq") or {}).get("usage") or figures
    if figures is None:
        return None
    written = number(figures, "prompt_tokens_details", "cache_write_tokens")
    cached = number(figures, "prompt_tokens_details", "cached_tokens") or number(figures, "num_cached_tokens")
    reasoning = number(figures, "completion_tokens_details", "reasoning_tokens")
    cached = cached or number(figures, "cached_tokens")
    prompt = number(figures, "prompt_tokens" if "prompt_tokens" in figures else "total_tokens")
    apart = figures["total_tokens"] == prompt + number(figures, "completion_tokens") + reasoning
    tools = figures.get("server_tool_use_details") or {}
    return Usage(
        input_tokens=prompt - cached - written,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        output_tokens=number(figures, "completion_tokens") + (reasoning if apart else 0),
        reasoning_tokens=reasoning,
        audio_tokens=of_kind(figures, "audio_tokens"),
        image_tokens=of_kind(figures, "image_tokens"),
        server_tool_calls=tools.get("tool_calls_executed", tools.get("web_search_requests", 0)),
    )


def responses(answer: list[Any]) -> Usage | None:
    last = answer[-1] if answer else {}
    figures = last.get("response", last).get("usage")
    if figures is None:
        return None
    cached = number(figures, "input_tokens_details", "cached_tokens")
    written = number(figures, "input_tokens_details", "cache_write_tokens")
    reasoning = number(figures, "output_tokens_details", "reasoning_tokens")
    apart = reasoning and figures["total_tokens"] == figures["input_tokens"] + figures["output_tokens"] + reasoning
    done = [event["item"] for event in answer if event.get("type") == "response.output_item.done"]
    done = done or last.get("output") or []
    called = sum(item["type"].endswith("_call") and item["type"] not in CLIENTS_OWN for item in done)
    return Usage(
        input_tokens=figures["input_tokens"] - cached - written,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        output_tokens=figures["output_tokens"] + (reasoning if apart else 0),
        reasoning_tokens=reasoning,
        audio_tokens=of_kind(figures, "audio_tokens"),
        image_tokens=of_kind(figures, "image_tokens"),
        server_tool_calls=figures.get("num_server_side_tools_used") or called,
    )


def gemini(answer: list[Any]) -> Usage | None:
    figures = None
    for event in answer:
        said = event.get("usageMetadata") or {}
        if set(said) - {"trafficType"}:
            figures = said
    if figures is None:
        return None
    cached, thoughts = number(figures, "cachedContentTokenCount"), number(figures, "thoughtsTokenCount")
    details = [figures.get(name) or [] for name in figures if name.endswith("Details") and "cache" not in name]
    kinds = [(part["modality"], part["tokenCount"]) for detail in details for part in detail]
    candidates = [candidate for event in answer for candidate in event.get("candidates") or []]
    searched = [(candidate.get("groundingMetadata") or {}).get("webSearchQueries") or [] for candidate in candidates]
    return Usage(
        input_tokens=number(figures, "promptTokenCount") - cached + number(figures, "toolUsePromptTokenCount"),
        cache_read_tokens=cached,
        output_tokens=number(figures, "candidatesTokenCount") + thoughts,
        reasoning_tokens=thoughts,
        audio_tokens=sum(tokens for kind, tokens in kinds if kind == "AUDIO"),
        image_tokens=sum(tokens for kind, tokens in kinds if kind == "IMAGE"),
        server_tool_calls=max(map(len, searched), default=0),
    )


CLIENTS_OWN = {
    *("function_call", "custom_tool_call", "shell_call", "local_shell_call", "apply_patch_call", "computer_call"),
    "tool_search_call",
}
"""Calls that the client answers, and the search among its own tools."""
ORACLES = {"anthropic": anthropic, "openai_chat": chat, "openai_responses": responses, "gemini": gemini}


def expected(file: str, row: dict[str, Any]) -> Usage | None:
    chosen = endpoint(file, row)
    return Usage() if chosen.operation == "count" else ORACLES[chosen.protocol](objects(row))


def totals(usage: Usage | None) -> dict[str, int] | None:
    """The figures, however they are shared out."""
    return None if usage is None else {name: getattr(usage, name) for name in Usage.__struct_fields__}


def failed(row: dict[str, Any]) -> bool:
    """Streams that broke off with an error, and an answer that is no JSON."""
    text = row["response"]
    return "event: error" in text or "response.failed" in text or not objects(row)


@pytest.mark.parametrize("file", FILES)
def test_usage_and_end_of_every_recording(file):
    assert len(rows(file)) >= COUNTS[file]
    for row in rows(file):
        reader = listen(fresh(file, row), [row["response"].encode()])
        if row["status"] != 200:
            body = objects(row)[0]
            assert (reader.failure is not None) == (body.get("error") is not None), row["id"]
            continue
        assert totals(reader.usage) == totals(expected(file, row)), row["id"]
        assert reader.usage_final == (reader.usage is not None), row["id"]
        assert reader.complete is not failed(row), row["id"]
        assert (reader.failure is not None) == (failed(row) and bool(objects(row))), row["id"]
        assert reader.begun


@pytest.mark.parametrize("file", FILES)
def test_every_recording_cut_in_pieces(file):
    chance = random.Random(file)
    for row in rows(file):
        data = row["response"].encode()
        whole = state(listen(fresh(file, row), [data]))
        for size in (1, 7, 997):
            assert state(listen(fresh(file, row), pieces(data, size))) == whole, (row["id"], size)
        for _ in range(20):
            cuts = [chance.randrange(len(data)) for _ in range(chance.randrange(1, 50))]
            assert state(listen(fresh(file, row), at(data, cuts))) == whole, (row["id"], cuts)


def test_every_recording_in_the_frames_of_bedrock_is_what_bedrock_counted():
    """As AWS sends Claude: each event in a message of its own, the last with a count of what the others add up to."""
    chance, seen = random.Random(7), 0
    for row in rows("anthropic.messages"):
        answer = objects(row)
        top = anthropic([event if event.get("usage") is None else without_iterations(event) for event in answer])
        if not row["stream"] or top is None or failed(row):
            continue
        metrics = {
            "inputTokenCount": top.input_tokens,
            "outputTokenCount": top.output_tokens,
            "cacheReadInputTokenCount": top.cache_read_tokens,
            "cacheWriteInputTokenCount": top.cache_write_5m_tokens + top.cache_write_1h_tokens,
        }
        for wrong in (0, 1):
            told = metrics | {"outputTokenCount": top.output_tokens + wrong}
            data = b"".join(map(framed, [*answer[:-1], answer[-1] | {"amazon-bedrock-invocationMetrics": told}]))
            for parts in ([data], at(data, [chance.randrange(len(data)) for _ in range(20)])):
                framing = AnthropicFraming()
                reader = CODECS["anthropic"].reader(endpoint("anthropic.messages", row), True)
                listen(reader, [*map(framing.feed, parts), framing.close()])
                assert totals(reader.usage) == totals(expected("anthropic.messages", row)), row["id"]
                assert (reader.usage_final, reader.doubt) == (not wrong, "disputed_usage" if wrong else "")
                assert reader.complete
        seen += 1
    assert seen >= 15


def without_iterations(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"usage": {name: value for name, value in event["usage"].items() if name != "iterations"}}


def framed(event: dict[str, Any]) -> bytes:
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps({"bytes": b64encode(json.dumps(event).encode()).decode()}).encode())


def test_a_gemini_stream_as_a_json_array_gives_the_same():
    file = "gemini.streamGenerateContent"
    for row in rows(file):
        array = json.dumps(objects(row), indent=1).encode()
        chosen = endpoint(file, row)
        for size in (len(array), 997, 13):
            reader = listen(CODECS["gemini"].reader(chosen, False), pieces(array, size))
            assert state(reader) == state(listen(fresh(file, row), [row["response"].encode()])), row["id"]


def test_the_usage_filter_takes_out_one_event_and_nothing_else():
    taken = 0
    for row in rows("openai.chat"):
        if not row["stream"]:
            continue
        data = row["response"].encode()
        blocks = data.split(b"\n\n")
        kept = [
            block
            for block in blocks
            if not (
                block.startswith(b"data: {")
                and json.loads(block[6:]).get("choices") == []
                and json.loads(block[6:]).get("usage") is not None
            )
        ]
        for parts in ([data], pieces(data, 997), pieces(data, 64)):
            usage_filter = UsageFilter()
            out = b"".join([usage_filter.feed(part) for part in parts]) + usage_filter.close()
            assert out == b"\n\n".join(kept), row["id"]
            assert usage_filter.removed == len(blocks) - len(kept)
        taken += len(blocks) - len(kept)
    assert taken >= 10


def test_recorded_requests_are_peeked_and_renamed_in_place():
    seen = 0
    for file in FILES:
        for row in rows(file):
            if not isinstance(row.get("request"), dict):
                continue
            chosen = endpoint(file, row)
            codec = CODECS[chosen.protocol]
            if row["request"].get("background"):
                continue  # refused
            body = json.dumps(row["request"]).encode()
            peek = codec.peek(chosen, body)
            if chosen.protocol != "gemini":
                assert peek.model == row["request"].get("model"), row["id"]
                assert peek.stream == bool(row["request"].get("stream")), row["id"]
                renamed = json.loads(codec.rename(chosen, body, peek, "other"))
                assert renamed == {**row["request"], "model": "other"}
            seen += 1
    assert seen > 500
