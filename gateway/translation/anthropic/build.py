"""Requests for Anthropic, written: https://docs.anthropic.com/en/api/messages"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.translation.anthropic.mending import mended
from gateway.translation.anthropic.names import LONGEST_NAME
from gateway.translation.anthropic.strict import strict
from gateway.translation.anthropic.thinking import Plan, decides_itself, plan, version
from gateway.translation.anthropic.turns import history
from gateway.translation.arguments import FREE, of_object
from gateway.translation.names import legal
from gateway.translation.prompt import Choice, Format, Prompt, Tool, Untranslatable
from gateway.translation.speech import Built, Limits

VERSION = (b"anthropic-version", b"2023-06-01")
"""The last version that takes temperature, top_p and top_k: platform.claude.com/docs/en/api/migration-2026-10-21."""

JSON_WANTED = "Answer with one JSON value and nothing else: no explanation, no code fence."
_LONGEST_USER = 512
_MODES = {"auto": "auto", "none": "none", "required": "any", "one": "tool"}
_TIERS = {"auto": "auto", "priority": "auto", "standard_only": "standard_only", "default": "standard_only"}
_NOT_SAID = ("seed", "presence_penalty", "frequency_penalty")
_LEAST_WHEN_THINKING = {"temperature": 1, "top_p": 0.95}
_ONE_OF_BOTH = (4, 1)
"""From this version on a model takes temperature or top_p, not both:
https://platform.claude.com/docs/en/about-claude/models/migration-guide."""


def build(prompt: Prompt, limits: Limits) -> Built:
    """Raises Untranslatable."""
    if prompt.logprobs is not None:
        raise Untranslatable("logprobs", "logprobs: Anthropic gives no probabilities of tokens")
    planned = plan(prompt, limits)
    adjusted = list(planned.adjusted)
    system, messages = history(prompt)
    if prompt.format is not None and prompt.format.kind == "json":
        system.append({"type": "text", "text": JSON_WANTED})
    body: dict[str, Any] = {"model": limits.model, "max_tokens": planned.max_tokens}
    if system:
        body["system"] = system
    body["messages"] = messages
    if prompt.tools:
        body["tools"] = [_tool(tool) for tool in prompt.tools]
        if (choice := _choice(prompt.choice)) is not None:
            body["tool_choice"] = choice
    if planned.thinking is not None:
        body["thinking"] = planned.thinking
    if config := _config(planned, prompt.format):
        body["output_config"] = config
    sampling = _sampling(prompt, planned, limits.model, adjusted)
    body |= sampling | _rest(prompt, adjusted)
    return Built(_encoded(body), tuple(dict.fromkeys(adjusted)), (VERSION,) if sampling else ())


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return mended(json.dumps(body, ensure_ascii=False, default=msgspec.json.decode)).encode()


def _tool(tool: Tool) -> dict[str, Any]:
    name = legal(tool.name)
    if not tool.name or len(name) > LONGEST_NAME:
        raise Untranslatable("tools", f"tools: a name must have 1 to {LONGEST_NAME} letters: {tool.name[:150]!r}")
    schema = FREE if tool.custom else of_object(tool.schema)
    block: dict[str, Any] = {"name": name, "input_schema": schema}
    if tool.description:
        block["description"] = tool.description
    if tool.strict is not None:
        block["strict"] = tool.strict
        block["input_schema"] = strict(schema) if tool.strict else schema
    if tool.cache is not None:
        block["cache_control"] = tool.cache
    return block


def _choice(choice: Choice) -> dict[str, Any] | None:
    if choice.mode is None and choice.parallel is None:
        return None
    mode = choice.mode or "auto"
    found: dict[str, Any] = {"type": _MODES[mode]}
    if mode == "one":
        found["name"] = legal(choice.name or "")
    if choice.parallel is not None and mode != "none":
        found["disable_parallel_tool_use"] = not choice.parallel
    return found


def _config(planned: Plan, form: Format | None) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if planned.effort is not None:
        config["effort"] = planned.effort
    if form is not None and form.kind == "schema":
        config["format"] = {"type": "json_schema", "schema": strict(form.schema or {"type": "object"})}
    return config


def _sampling(prompt: Prompt, planned: Plan, model: str, adjusted: list[str]) -> dict[str, Any]:
    """What the model takes of it: nothing, from 4.7 on (…/about-claude/models/whats-new-claude-4-7). A temperature of 1
    is what it is without."""
    found: dict[str, Any] = {}
    for name, value in (("temperature", prompt.temperature), ("top_p", prompt.top_p)):
        if value is not None:
            found[name] = min(max(value, 0), 1)
            if found[name] != value:
                adjusted.append(name)
    if prompt.top_k is not None:
        found["top_k"] = prompt.top_k
    barred = found.keys() if decides_itself(model) else _barred(found, planned, model)
    adjusted += [name for name in found if name in barred and (name, found[name]) != ("temperature", 1)]
    return {name: value for name, value in found.items() if name not in barred}


def _barred(found: Mapping[str, Any], planned: Plan, model: str) -> set[str]:
    """Thinking fixes the temperature and top_k: …/build-with-claude/extended-thinking (feature compatibility)."""
    barred: set[str] = set()
    if planned.thinks:
        barred = {name for name, value in found.items() if name == "top_k" or value < _LEAST_WHEN_THINKING[name]}
    if version(model) >= _ONE_OF_BOTH and {"temperature", "top_p"} <= found.keys() - barred:
        barred.add("temperature" if found["temperature"] == 1 else "top_p")
    return barred


def _rest(prompt: Prompt, adjusted: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if stop := [sequence for sequence in prompt.stop if sequence.strip()]:
        found["stop_sequences"] = stop
    if len(stop) < len(prompt.stop):
        adjusted.append("stop")
    if prompt.stream:
        found["stream"] = True
    if prompt.user and len(prompt.user) <= _LONGEST_USER:
        found["metadata"] = {"user_id": prompt.user}
    elif prompt.user:
        adjusted.append("user")
    if prompt.service_tier is not None:
        if tier := _TIERS.get(prompt.service_tier):
            found["service_tier"] = tier
        else:
            adjusted.append("service_tier")
    adjusted += [name for name in _NOT_SAID if getattr(prompt, name) is not None]
    return found
