"""Requests for Ollama's servers, written: `/api/chat` alone, https://docs.ollama.com/api/chat.

A message has one text, so what a turn says in several is joined: instructions and what a user says by a blank line,
what the model said as it said it. Ids of calls are written too: servers that know them pair by them, the others by name
and order, so every call has its result, in the order of the calls.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.protocols.reading import written
from gateway.translation.arguments import FREE, NOTHING, as_object
from gateway.translation.efforts import effort_of
from gateway.translation.prompt import (
    Audio,
    Call,
    Document,
    Image,
    Part,
    Prompt,
    Result,
    Text,
    Thinking,
    Tool,
    Turn,
    Untranslatable,
)
from gateway.translation.rounds import settled
from gateway.translation.speech import Built, Limits

_BLANK_LINE = "\n\n"
_UNANSWERED = "error: this call was not answered"
_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}


def build(prompt: Prompt, limits: Limits) -> Built:
    """Raises Untranslatable."""
    lost: dict[str, None] = {}
    body: dict[str, Any] = {
        "model": limits.model,
        "messages": _messages(prompt, lost),
        "stream": prompt.stream,
        **_tools(prompt, lost),
        **_format(prompt, lost),
        **_think(prompt, limits, lost),
        **_logprobs(prompt),
    }
    if options := _options(prompt, limits, lost):
        body["options"] = options
    for name in ("metadata", "user", "service_tier"):
        if getattr(prompt, name) is not None:
            lost[name] = None
    return Built(written(body), tuple(lost))


def _messages(prompt: Prompt, lost: dict[str, None]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if prompt.system:
        messages.append({"role": "system", "content": _joined(prompt.system)})
    if any(part.cache is not None for part in prompt.system):
        lost["cache_control"] = None
    asked: list[Call] = []
    heard: list[Turn] = []
    for turn in settled(prompt.turns):
        _note(turn.parts, lost)
        if turn.role != "assistant":
            heard.append(turn)
            continue
        if heard:
            messages += _heard(asked, heard)
            asked, heard = [], []
        asked += (part for part in turn.parts if isinstance(part, Call))
        messages += _message(turn)
    return [*messages, *_heard(asked, heard)]


def _heard(asked: Sequence[Call], turns: Sequence[Turn]) -> Iterable[dict[str, Any]]:
    """What stands between two turns of the model: results in the order of the calls, one for each; then the rest."""
    results = [part for turn in turns for part in turn.parts if isinstance(part, Result)]
    found = {result.call_id: result for result in reversed(results)}
    for call in asked:
        result = found.pop(call.id, None) or Result(call.id, (Text(_UNANSWERED),))
        yield _result(result, call.name)
    for turn in turns:
        yield from _message(turn)


def _result(result: Result, name: str) -> dict[str, Any]:
    return {"role": "tool", "tool_name": name, "tool_call_id": result.call_id, **_content(result.content, _BLANK_LINE)}


def _message(turn: Turn) -> Iterable[dict[str, Any]]:
    """Without the turn's results; none when there is nothing else."""
    parts = [part for part in turn.parts if not isinstance(part, Result | Thinking | Call)]
    thinking = "".join(part.text for part in turn.parts if isinstance(part, Thinking))
    calls = [_call(part) for part in turn.parts if isinstance(part, Call)]
    if not (parts or thinking or calls):
        return
    message = {"role": turn.role, **_content(parts, "" if turn.role == "assistant" else _BLANK_LINE)}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    yield message


def _content(parts: Sequence[Part], between: str) -> dict[str, Any]:
    texts: list[Text] = []
    images: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part)
        elif isinstance(part, Image):
            images.append(_image(part))
        elif isinstance(part, Document):
            texts.append(_document(part))
        elif isinstance(part, Audio):
            raise Untranslatable("audio", "Ollama takes no audio")
    content: dict[str, Any] = {"content": _joined(texts, between)}
    return content | {"images": images} if images else content


def _image(part: Image) -> str:
    if part.data is None:
        raise Untranslatable("image.url", "Ollama takes images as base64 only, and the gateway fetches no addresses")
    return part.data


def _document(part: Document) -> Text:
    if part.text is None:
        raise Untranslatable("document", "Ollama takes documents as plain text only")
    return Text(part.text)


def _call(part: Call) -> dict[str, Any]:
    return {"id": part.id, "function": {"name": part.name, "arguments": as_object(part.arguments, part.custom)}}


def _joined(texts: Iterable[Text], between: str = _BLANK_LINE) -> str:
    return between.join(part.text for part in texts if part.text)


def _note(parts: Sequence[Part], lost: dict[str, None]) -> None:
    for part in parts:
        if getattr(part, "cache", None) is not None:
            lost["cache_control"] = None
        if isinstance(part, Image) and part.detail is not None:
            lost["image.detail"] = None
        if isinstance(part, Thinking) and part.redacted:
            lost["redacted_thinking"] = None
        elif isinstance(part, Thinking | Call) and part.sealed is not None:
            lost["signature"] = None
        elif isinstance(part, Result):
            if part.error:
                lost["is_error"] = None
            _note(part.content, lost)


def _tools(prompt: Prompt, lost: dict[str, None]) -> dict[str, Any]:
    """A model that is to call none is given none."""
    choice = prompt.choice
    if choice.mode in ("required", "one"):
        raise Untranslatable("tool_choice", "Ollama's models cannot be made to call a tool")
    if choice.parallel is False:
        lost["parallel_tool_calls"] = None
    if choice.mode == "none" or not prompt.tools:
        return {}
    return {"tools": [_tool(tool, lost) for tool in prompt.tools]}


def _tool(tool: Tool, lost: dict[str, None]) -> dict[str, Any]:
    if tool.strict:
        lost["strict"] = None
    if tool.cache is not None:
        lost["cache_control"] = None
    schema = FREE if tool.custom else tool.schema
    described = {} if tool.description is None else {"description": tool.description}
    function = {"name": tool.name, **described, "parameters": NOTHING if schema is None else schema}
    return {"type": "function", "function": function}


def _format(prompt: Prompt, lost: dict[str, None]) -> dict[str, Any]:
    wanted = prompt.format
    if wanted is None:
        return {}
    if wanted.name is not None or wanted.description is not None:
        lost["response_format.name"] = None
    if wanted.strict:
        lost["strict"] = None
    return {"format": "json" if wanted.schema is None else wanted.schema}


def _think(prompt: Prompt, limits: Limits, lost: dict[str, None]) -> dict[str, Any]:
    """Servers refuse a level for all models but gpt-oss, which in turn thinks always and pays no heed to a switch."""
    wanted = prompt.reasoning
    if wanted.enabled is False:
        return {"think": False}
    if wanted.budget is not None:
        lost["reasoning.budget"] = None
    effort = wanted.effort or (None if wanted.budget is None else effort_of(wanted.budget))
    if effort is None:
        return {"think": True} if wanted.enabled else {}
    name = limits.model.lower()
    think = _LEVELS[effort] if "gpt-oss" in name or "gptoss" in name else True
    if think != effort and wanted.effort is not None:
        lost["reasoning.effort"] = None
    return {"think": think}


def _logprobs(prompt: Prompt) -> dict[str, Any]:
    if prompt.logprobs is None:
        return {}
    return {"logprobs": True, "top_logprobs": prompt.logprobs}


def _options(prompt: Prompt, limits: Limits, lost: dict[str, None]) -> dict[str, Any]:
    most = prompt.max_tokens
    if most is not None and limits.max_output is not None and most > limits.max_output:
        most = limits.max_output
        lost["max_tokens"] = None
    options = {
        "num_predict": most,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "top_k": prompt.top_k,
        "seed": prompt.seed,
        "presence_penalty": prompt.presence_penalty,
        "frequency_penalty": prompt.frequency_penalty,
        "stop": list(prompt.stop) or None,
    }
    return {name: value for name, value in options.items() if value is not None}
