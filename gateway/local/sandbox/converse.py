"""Any model on AWS Bedrock by Converse and ConverseStream; framing, signatures and errors are InvokeModel's.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, and its ConverseStream. What is wrong
with a conversation is said in Bedrock's own words.
"""

import json
from collections.abc import Iterator
from typing import Any

from gateway.local.sandbox import anthropic, bedrock
from gateway.local.sandbox.answer import Answer, Ask, Invalid, Members, Tool, encode, member, objects, text_of
from gateway.local.sandbox.dialect import Dialect, Events, Fault, Target
from gateway.local.sandbox.schema import mapping
from gateway.protocols.codec import Usage

_PROMPT = ("system", "messages", "toolConfig")
_STOPS = {"end": "end_turn", "length": "max_tokens", "tool": "tool_use", "refusal": "content_filtered"}
_LIMIT = (
    "1 validation error detected: Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have "
    "value greater than or equal to 1"
)


def ask(target: Target, members: Members) -> Ask:
    messages = objects(member(members, "messages"))
    tools = mapping(member(members, "toolConfig"))
    if wrong := next(_wrong(messages, bool(tools)), None):
        raise Invalid(wrong)
    limit = mapping(member(members, "inferenceConfig")).get("maxTokens")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise Invalid(_LIMIT)
    results = _parts(messages[-1], "toolResult")
    users = [t for m in messages if m.get("role") == "user" and (t := text_of(m.get("content")))]
    choice = mapping(tools.get("toolChoice"))
    return Ask(
        model=target.model,
        stream=target.action == "converse-stream",
        text=users[-1] if users else "",
        usage=anthropic.usage_of(members, _PROMPT, b'"cachePoint"'),
        tools=tuple(
            Tool(str(spec.get("name")), mapping(mapping(spec.get("inputSchema")).get("json")))
            for each in objects(tools.get("tools"))
            if (spec := mapping(each.get("toolSpec")))
        ),
        result=_text(results[-1]) if results else None,
        forced=str(mapping(choice.get("tool")).get("name", "")) if {"any", "tool"} & set(choice) else None,
        schema=_schema(members),
        max_tokens=limit,
        members=members,
    )


def _parts(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [mapping(block[kind]) for block in objects(message.get("content")) if kind in block]


def _text(result: dict[str, Any]) -> str:
    parts = objects(result.get("content"))
    return "\n".join(str(part["text"]) if "text" in part else json.dumps(part.get("json")) for part in parts)


def _schema(members: Members) -> dict[str, Any] | None:
    structure = mapping(mapping(member(members, "outputConfig")).get("textFormat")).get("structure")
    given = mapping(mapping(structure).get("jsonSchema")).get("schema")
    if given is None:
        return None
    try:
        return mapping(json.loads(given))
    except (TypeError, ValueError):
        raise Invalid("The model returned the following errors: output_config.format.schema: Invalid JSON") from None


def _wrong(messages: list[dict[str, Any]], tools: bool) -> Iterator[str]:
    """What Bedrock refuses in a conversation, the first fault first."""
    if not messages or messages[0].get("role") != "user":
        yield (
            "A conversation must start with a user message. Try again with a conversation that starts with a user "
            "message."
        )
    called: list[str] = []
    role = ""
    for at, message in enumerate(messages):
        if message.get("role") == role:
            yield (
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again."
            )
        role = str(message.get("role"))
        yield from _wrong_blocks(at, objects(message.get("content")))
        results = _parts(message, "toolResult")
        answered = [str(result.get("toolUseId")) for result in results]
        if missing := [each for each in called if each not in answered]:
            yield f"Expected toolResult blocks at messages.{at}.content for the following Ids: {', '.join(missing)}"
        if len(answered) > len(called):
            yield (
                f"The number of toolResult blocks at messages.{at}.content exceeds the number of toolUse blocks of "
                "previous turn."
            )
        called = [str(call.get("toolUseId")) for call in _parts(message, "toolUse")]
        if (called or answered) and not tools:
            yield "The toolConfig field must be defined when using toolUse and toolResult content blocks."


def _wrong_blocks(at: int, blocks: list[dict[str, Any]]) -> Iterator[str]:
    if not blocks:
        yield (
            f"The content field in the Message object at messages.{at} is empty. Add a ContentBlock object to the "
            "content field and try again."
        )
    for number, block in enumerate(blocks):
        place = f"messages.{at}.content.{number}"
        if "text" in block and not str(block["text"]).strip():
            yield (
                f"The text field in the ContentBlock object at {place} is blank. Add text to the text field, and try "
                "again."
            )
        result = mapping(block.get("toolResult"))
        if result.get("status") == "error" and not result.get("content"):
            yield f"The content field at {place}.toolResult cannot be empty when status value is error."


def identify(answer: Answer) -> str:
    return ""


def _usage(usage: Usage) -> dict[str, Any]:
    """Caches are told of only where there are some, as of models that have none."""
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    prompt = usage.input_tokens + usage.cache_read_tokens + written
    figures: dict[str, Any] = {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "serverToolUsage": {},
        "totalTokens": prompt + usage.output_tokens,
    }
    if usage.cache_read_tokens or written:
        figures |= {"cacheReadInputTokens": usage.cache_read_tokens, "cacheWriteInputTokens": written}
    lives = (("5m", usage.cache_write_5m_tokens), ("1h", usage.cache_write_1h_tokens))
    details = [{"inputTokens": tokens, "ttl": ttl} for ttl, tokens in lives if tokens]
    return figures | ({"cacheDetails": details} if details else {})


def _blocks(answer: Answer) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None, list[tuple[dict[str, Any], int]]]]:
    """Each content block: whole, as it starts if its start is told, and its deltas with their tokens."""
    if answer.thinking:
        text = {"text": "".join(answer.thinking)}
        deltas = [({"reasoningContent": {"text": thought}}, 1) for thought in answer.thinking]
        if "claude" in answer.model:
            text["signature"] = anthropic.signature(answer)
            deltas.append(({"reasoningContent": {"signature": text["signature"]}}, 0))
        yield {"reasoningContent": {"reasoningText": text}}, None, deltas
    if answer.text:
        yield {"text": "".join(answer.text)}, None, [({"text": text}, 1) for text in answer.text]
    if call := answer.call:
        tool = {"toolUseId": f"tooluse_{answer.serial}", "name": call.tool.name}
        deltas = [({"toolUse": {"input": piece}}, 1) for piece in ("", *call.pieces)]
        yield {"toolUse": tool | {"input": call.arguments}}, {"toolUse": tool}, deltas


def whole(ask: Ask, answer: Answer) -> bytes:
    message = {"content": [block for block, _, _ in _blocks(answer)], "role": "assistant"}
    return encode(
        {
            "metrics": {"latencyMs": 12},
            "output": {"message": message},
            "stopReason": _STOPS[answer.stop],
            "usage": _usage(answer.usage),
        }
    )


def events(ask: Ask, answer: Answer) -> Events:
    yield bedrock.event("messageStart", {"role": "assistant"}), 0
    spoken = 0
    for index, (_, start, deltas) in enumerate(_blocks(answer)):
        place = {"contentBlockIndex": index}
        if start is not None:
            yield bedrock.event("contentBlockStart", place | {"start": start}), spoken
        for delta, tokens in deltas:
            spoken += tokens
            yield bedrock.event("contentBlockDelta", place | {"delta": delta}), spoken
        yield bedrock.event("contentBlockStop", place), spoken
    total = answer.usage.output_tokens
    yield bedrock.event("messageStop", {"stopReason": _STOPS[answer.stop]}), total
    yield bedrock.event("metadata", {"metrics": {"latencyMs": 12}, "usage": _usage(answer.usage)}), total


def headers(request_id: str, fault: Fault | None) -> str:
    lines = f"x-amzn-requestid: {request_id}\r\n"
    return lines + (f"x-amzn-errortype: {bedrock.kind_of(fault)}\r\n" if fault else "")


CONVERSE = Dialect(
    "bedrock-converse",
    ask,
    identify,
    whole,
    events,
    bedrock.fault,
    bedrock.event_fault,
    headers,
    stream_type=bedrock.BEDROCK.stream_type,
    verify=bedrock.verify,
)
