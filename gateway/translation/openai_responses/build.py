"""The neutral form → a request for an upstream: https://platform.openai.com/docs/api-reference/responses/create

Nothing is kept at the upstream (`store` false): reasoning goes to and fro encrypted. What cannot cross: see `losses`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import structs

from gateway.translation.efforts import effort_of
from gateway.translation.makers import maker, nearest
from gateway.translation.names import legal
from gateway.translation.openai_responses import content, tools
from gateway.translation.openai_responses.marks import LONGEST_ID, short
from gateway.translation.prompt import (
    Call,
    Format,
    Part,
    Prompt,
    Reasoning,
    Result,
    Text,
    Thinking,
    Turn,
    Untranslatable,
)
from gateway.translation.rounds import settled
from gateway.translation.speech import Built, Limits

LEAST_OUTPUT = 16
"""Tokens: OpenAI refuses `max_output_tokens` below."""
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_NOT_SAID = ("top_k", "seed", "presence_penalty", "frequency_penalty")
_FIXED = ("temperature", "top_p")
_UNANSWERED = "No result was given for this call."


def build(prompt: Prompt, limits: Limits) -> Built:
    """Raises Untranslatable."""
    if prompt.stop:
        raise Untranslatable("stop", "OpenAI Responses has no stop sequences")
    adjusted = [name for name in _NOT_SAID if getattr(prompt, name) is not None]
    first, *others = [text.text for text in prompt.system] or [""]
    items = [_message("developer", [Text(text)]) for text in others]
    items += _items(prompt.turns)
    body: dict[str, Any] = {"model": limits.model, "input": items, "store": False, "stream": prompt.stream}
    if first:
        body["instructions"] = first
    body |= _sampling(prompt, limits, adjusted) | _tools(prompt) | _about(prompt, adjusted)
    if prompt.format is not None:
        body["text"] = {"format": write_format(prompt.format)}
    body |= _reasoning(prompt.reasoning, limits.model, adjusted)
    if include := _include(prompt, body):
        body["include"] = include
    return Built(msgspec.json.encode(body), tuple(adjusted))


def _sampling(prompt: Prompt, limits: Limits, adjusted: list[str]) -> dict[str, Any]:
    """OpenAI's models that reason refuse temperature and top_p, whose default is 1:
    https://developers.openai.com/api/docs/guides/latest-model (parameter compatibility)."""
    fixed = _FIXED if maker(limits.model) == "reasons" else ()
    asked = (
        ("temperature", "temperature", prompt.temperature, 0, 2),
        ("top_p", "top_p", prompt.top_p, 0, 1),
        ("max_tokens", "max_output_tokens", prompt.max_tokens, LEAST_OUTPUT, limits.max_output),
        ("logprobs", "top_logprobs", prompt.logprobs, 0, 20),
    )
    body: dict[str, Any] = {}
    for name, theirs, value, low, high in asked:
        if value is None:
            continue
        taken = 1 if name in fixed else max(low, value if high is None else min(value, high))
        if taken != value:
            adjusted.append(name)
        if name not in fixed:
            body[theirs] = taken
    return body


def _tools(prompt: Prompt) -> dict[str, Any]:
    if not prompt.tools:
        return {}
    offered = tuple(structs.replace(tool, name=legal(tool.name)) for tool in prompt.tools)
    chosen = structs.replace(prompt.choice, name=legal(prompt.choice.name or ""))
    body: dict[str, Any] = {"tools": tools.write(offered, strict=False)}
    if (choice := tools.write_choice(chosen, offered)) is not None:
        body["tool_choice"] = choice
    if prompt.choice.parallel is not None:
        body["parallel_tool_calls"] = prompt.choice.parallel
    return body


def _about(prompt: Prompt, adjusted: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if prompt.user is not None:
        body["user"] = short(prompt.user)
        if len(prompt.user) > LONGEST_ID:
            adjusted.append("user")
    if prompt.metadata is not None:
        texts = [
            (name, text)
            for name, text in prompt.metadata.items()
            if len(name) <= 64 and isinstance(text, str) and len(text) <= 512
        ]
        body["metadata"] = dict(texts[:16])
        if body["metadata"] != prompt.metadata:
            adjusted.append("metadata")
    if prompt.service_tier in _TIERS:
        body["service_tier"] = prompt.service_tier
    elif prompt.service_tier is not None:
        adjusted.append("service_tier")
    return body


def write_format(form: Format) -> dict[str, Any]:
    """`text.format`."""
    if form.kind == "json":
        return {"type": "json_object"}
    said = {"description": form.description, "strict": form.strict}
    found = {"type": "json_schema", "name": form.name or "answer", "schema": form.schema}
    return found | {name: value for name, value in said.items() if value is not None}


def _reasoning(asked: Reasoning, model: str, adjusted: list[str]) -> dict[str, Any]:
    wanted = effort_said(asked)
    effort = None if wanted is None else nearest(wanted, model)
    if maker(model) == "plain":
        adjusted += ["reasoning"] if wanted not in (None, "none") else []
        return {}
    if effort != wanted:
        adjusted.append("reasoning.effort")
    said = {"effort": effort, "summary": "auto" if asked.shown else None}
    found = {name: value for name, value in said.items() if value is not None}
    return {"reasoning": found} if found else {}


def effort_said(asked: Reasoning) -> str | None:
    """`reasoning.effort`; what is asked for without a measure is medium."""
    if asked.enabled is False:
        return "none"
    if asked.effort is not None:
        return asked.effort
    if asked.budget is not None:
        return effort_of(asked.budget)
    return "medium" if asked.enabled else None


def _include(prompt: Prompt, body: dict[str, Any]) -> list[str]:
    """Models that do not reason refuse to encrypt it: asked for where reasoning is asked for, or was given."""
    thinks = prompt.reasoning.enabled is not False and "reasoning" in body
    thought = any(item["type"] == "reasoning" for item in body["input"])
    include = ["reasoning.encrypted_content"] if thinks or thought else []
    return include if prompt.logprobs is None else [*include, "message.output_text.logprobs"]


def _items(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Every call gets its result, every result has its call: OpenAI refuses a conversation in which one is missing."""
    turns = settled(turns)
    parts = [part for turn in turns for part in turn.parts]
    answered = {part.call_id for part in parts if isinstance(part, Result)}
    customs = {part.id for part in parts if isinstance(part, Call) and part.custom}
    items: list[dict[str, Any]] = []
    for turn in turns:
        role = {"system": "developer"}.get(turn.role, turn.role)
        items += _said(role, turn.parts, customs)
        calls = [part for part in turn.parts if isinstance(part, Call)]
        missing = [Result(call.id, (Text(_UNANSWERED),)) for call in calls if call.id not in answered]
        items += [_result(result, customs) for result in missing]
    return items


def _said(role: str, parts: Iterable[Part], customs: set[str]) -> Iterable[dict[str, Any]]:
    """The items of a turn: words that follow each other are one message."""
    words: list[Part] = []
    for part in parts:
        match part:
            case Thinking():
                item = _thinking(part)
            case Call():
                item = _call(part)
            case Result():
                item = _result(part, customs)
            case _:
                words.append(part)
                continue
        if item is None:
            continue
        if words:
            yield _message(role, words)
            words = []
        yield item
    if words:
        yield _message(role, words)


def _message(role: str, parts: Iterable[Part]) -> dict[str, Any]:
    if role == "user":
        return {"type": "message", "role": role, "content": content.write(parts)}
    kind = "output_text" if role == "assistant" else "input_text"
    said: list[dict[str, Any]] = []
    for part in parts:
        if not isinstance(part, Text):
            raise Untranslatable("messages", f"OpenAI Responses takes only text in messages of the {role}")
        said.append({"type": kind, "text": part.text})
    return {"type": "message", "role": role, "content": said}


def _thinking(part: Thinking) -> dict[str, Any] | None:
    """None where OpenAI did not seal it: it takes back only what it wrote itself."""
    if part.sealed is None or part.sealed.family != "openai":
        return None
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    item: dict[str, Any] = {"type": "reasoning", "summary": summary, "encrypted_content": part.sealed.data}
    return item if part.sealed.id is None else {**item, "id": part.sealed.id}


def _call(call: Call) -> dict[str, Any]:
    about = {"call_id": short(call.id, "call_"), **tools.write_name(legal(call.name))}
    if call.custom:
        return {"type": "custom_tool_call", **about, "input": call.arguments}
    return {"type": "function_call", **about, "arguments": call.arguments}


def _result(result: Result, customs: set[str]) -> dict[str, Any]:
    custom = result.custom or result.call_id in customs
    match result.content:
        case ():
            output = ""
        case (Text() as text,) if text.text:
            output = text.text
        case parts:
            output = content.write(parts)
    kind = "custom_tool_call_output" if custom else "function_call_output"
    return {"type": kind, "call_id": short(result.call_id, "call_"), "output": output}
