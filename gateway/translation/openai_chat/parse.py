"""A chat completion request, as a Prompt: https://platform.openai.com/docs/api-reference/chat/create"""

from typing import Any

import msgspec

from gateway.protocols.codec import Endpoint, InvalidBody
from gateway.protocols.reading import decode, mapping, sequence
from gateway.translation.openai_chat.fields import (
    array,
    flag,
    maybe,
    natural,
    needed,
    number,
    record,
    text,
    whole,
    word,
)
from gateway.translation.openai_chat.losses import IGNORED, refused
from gateway.translation.openai_chat.messages import history
from gateway.translation.prompt import Choice, Effort, Format, Prompt, Reasoning, Tool

_body = msgspec.json.Decoder(dict[str, Any])
_EFFORTS: dict[str, Effort] = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "xhigh",
}


def parse(body: bytes, endpoint: Endpoint | None = None) -> Prompt:
    """Raises InvalidBody."""
    found = decode(_body, body)
    if found is None:
        raise InvalidBody("the body must be a JSON object")
    _refuse(found)
    said = needed(found, "messages", array)
    if not said:
        raise InvalidBody("messages must not be empty", "messages")
    past = history(said)
    tools, choice = _tools(found)
    options = maybe(found, "stream_options", record) or {}
    limit = maybe(found, "max_completion_tokens", natural)
    return Prompt(
        model=needed(found, "model", word),
        turns=past.turns,
        system=past.system,
        stream=maybe(found, "stream", flag) or False,
        include_usage=maybe(options, "include_usage", flag, "stream_options") or False,
        tools=tools,
        choice=choice,
        max_tokens=maybe(found, "max_tokens", natural) if limit is None else limit,
        temperature=maybe(found, "temperature", number),
        top_p=maybe(found, "top_p", number),
        stop=_stop(found),
        seed=maybe(found, "seed", whole),
        presence_penalty=maybe(found, "presence_penalty", number),
        frequency_penalty=maybe(found, "frequency_penalty", number),
        logprobs=_logprobs(found),
        format=_format(maybe(found, "response_format", record)),
        reasoning=_reasoning(maybe(found, "reasoning_effort", text)),
        user=maybe(found, "user", text) or maybe(found, "safety_identifier", text),
        metadata=maybe(found, "metadata", record),
        service_tier=maybe(found, "service_tier", text),
        dropped=_dropped(found, past.named),
    )


def _refuse(found: dict[str, Any]) -> None:
    """What would change the answer by being left out. Nothing, and what is the default anyway, passes."""
    for name in ("audio", "logit_bias", "moderation", "web_search_options"):
        value = found.get(name)
        if value is not None and not (name == "logit_bias" and value == {}):
            raise refused(name)
    if any(each != "text" for each in maybe(found, "modalities", array) or ()):
        raise refused("modalities")
    if maybe(found, "n", whole) not in (None, 1):
        raise refused("n")


def _dropped(found: dict[str, Any], named: bool) -> tuple[str, ...]:
    dropped = [name for name in IGNORED if found.get(name) is not None]
    if named:
        dropped.append("messages[].name")
    tools = (mapping(mapping(tool).get("custom")) for tool in sequence(found.get("tools")))
    if any(mapping(tool.get("format")).get("type", "text") != "text" for tool in tools):
        dropped.append("tools[].custom.format")
    return tuple(dropped)


def _stop(found: dict[str, Any]) -> tuple[str, ...]:
    value = found.get("stop")
    if isinstance(value, str):
        return (value,)
    stops = maybe(found, "stop", array) or ()
    return tuple(text(each, f"stop[{index}]") for index, each in enumerate(stops))


def _logprobs(found: dict[str, Any]) -> int | None:
    most = maybe(found, "top_logprobs", natural)
    return (most or 0) if maybe(found, "logprobs", flag) else None


def _format(found: dict[str, Any] | None) -> Format | None:
    if found is None:
        return None
    kind = needed(found, "type", text, "response_format")
    if kind == "text":
        return None
    if kind == "json_object":
        return Format("json")
    if kind != "json_schema":
        path = "response_format.type"
        raise InvalidBody(f"{path} must be text, json_object or json_schema", path)
    path = "response_format.json_schema"
    about = needed(found, "json_schema", record, "response_format")
    return Format(
        "schema",
        schema=maybe(about, "schema", record, path),
        name=maybe(about, "name", text, path),
        description=maybe(about, "description", text, path),
        strict=maybe(about, "strict", flag, path),
    )


def _reasoning(effort: str | None) -> Reasoning:
    if effort is None:
        return Reasoning()
    if effort == "none":
        return Reasoning(enabled=False)
    if effort not in _EFFORTS:
        raise InvalidBody(f"reasoning_effort must be one of none, {', '.join(_EFFORTS)}", "reasoning_effort")
    return Reasoning(enabled=True, effort=_EFFORTS[effort])


def _tools(found: dict[str, Any]) -> tuple[tuple[Tool, ...], Choice]:
    """Tools and the deprecated functions, less those that the choice does not allow."""
    tools = [_tool(each, f"tools[{index}]") for index, each in enumerate(maybe(found, "tools", array) or ())]
    for index, each in enumerate(maybe(found, "functions", array) or ()):
        tools.append(_function(record(each, f"functions[{index}]"), f"functions[{index}]"))
    parallel = maybe(found, "parallel_tool_calls", flag)
    if found.get("tool_choice") is not None:
        choice, allowed = _choice(found["tool_choice"], parallel)
        if allowed is not None:
            tools = [tool for tool in tools if tool.name in allowed]
    else:
        choice = _function_choice(found.get("function_call"), parallel)
    return tuple(tools), choice


def _tool(value: Any, path: str) -> Tool:
    found = record(value, path)
    kind = maybe(found, "type", text, path) or "function"
    if kind == "function":
        return _function(needed(found, kind, record, path), f"{path}.{kind}")
    if kind != "custom":
        raise InvalidBody(f"{path}.type must be function or custom, not {kind!r}", f"{path}.type")
    about, where = needed(found, kind, record, path), f"{path}.{kind}"
    return Tool(needed(about, "name", word, where), maybe(about, "description", text, where), custom=True)


def _function(about: dict[str, Any], path: str) -> Tool:
    return Tool(
        needed(about, "name", word, path),
        maybe(about, "description", text, path),
        maybe(about, "parameters", record, path),
        maybe(about, "strict", flag, path),
    )


def _choice(value: Any, parallel: bool | None) -> tuple[Choice, frozenset[str] | None]:
    """And the names of the only tools that are allowed, None for all."""
    if isinstance(value, str):
        return Choice(_mode(value, "tool_choice"), parallel=parallel), None
    found = record(value, "tool_choice")
    kind = needed(found, "type", text, "tool_choice")
    path = f"tool_choice.{kind}"
    if kind in ("function", "custom"):
        return Choice("one", needed(needed(found, kind, record, "tool_choice"), "name", word, path), parallel), None
    if kind != "allowed_tools":
        raise InvalidBody("tool_choice.type must be function, custom or allowed_tools", "tool_choice.type")
    about = needed(found, kind, record, "tool_choice")
    mode = _mode(needed(about, "mode", text, path), f"{path}.mode")
    names = (
        _named(record(each, f"{path}.tools[{index}]"), f"{path}.tools[{index}]")
        for index, each in enumerate(needed(about, "tools", array, path))
    )
    return Choice(mode, parallel=parallel), frozenset(names)


def _named(found: dict[str, Any], path: str) -> str:
    kind = needed(found, "type", text, path)
    return needed(needed(found, kind, record, path), "name", word, f"{path}.{kind}")


def _mode(value: str, path: str) -> Any:
    if value not in ("auto", "none", "required"):
        raise InvalidBody(f"{path} must be auto, none or required, not {value!r}", path)
    return value


def _function_choice(value: Any, parallel: bool | None) -> Choice:
    """The deprecated `function_call`."""
    if value is None:
        return Choice(parallel=parallel)
    if isinstance(value, str):
        return Choice(_mode(value, "function_call"), parallel=parallel)
    return Choice("one", needed(record(value, "function_call"), "name", word, "function_call"), parallel)
