"""The neutral form → a Gemini request: https://ai.google.dev/api/generate-content#method:-models.generatecontent

Every call of a model's turn has its result in the next turn, in the order of the calls; Gemini counts them. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.translation.arguments import FREE, as_object
from gateway.translation.gemini import media, thinking
from gateway.translation.gemini.losses import clamped, dropped, untranslatable
from gateway.translation.gemini.schema import answer, parameters
from gateway.translation.prompt import Call, Part, Prompt, Result, Text, Thinking, Tool, Turn
from gateway.translation.rounds import BEGINNING, settled
from gateway.translation.speech import Built, Limits

_PART = dict[str, Any]
_RANGES: Sequence[tuple[str, str, float, float]] = (
    ("temperature", "temperature", 0, 2),
    ("top_p", "topP", 0, 1),
    ("presence_penalty", "presencePenalty", -2, 1.99),
    ("frequency_penalty", "frequencyPenalty", -2, 1.99),
    ("seed", "seed", -(2**31), 2**31 - 1),
)
_STOPS = 5
_ALTERNATIVES = 20
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "one": "ANY"}
_TIERS = {"flex": "flex", "priority": "priority", "standard": "standard", "default": "standard"}
_UNANSWERED = "The tool was not called: its result is missing."


def build(prompt: Prompt, limits: Limits) -> Built:
    """Raises Untranslatable."""
    adjusted: list[str] = []
    contents = _contents(settled(prompt.turns), thinking.kind(limits.model).signs)
    system = [{"text": each.text} for each in prompt.system if each.text]
    body: dict[str, Any] = {"contents": contents}
    if system and contents:
        body["systemInstruction"] = {"parts": system}
    elif system:
        body["contents"] = [{"role": "user", "parts": system}]
    if prompt.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in prompt.tools]}]
        if prompt.choice.mode is not None:
            body["toolConfig"] = {"functionCallingConfig": _choice(prompt)}
        if prompt.choice.parallel is False:
            adjusted.append(dropped("parallel_tool_calls"))
    if config := _generation(prompt, limits, adjusted):
        body["generationConfig"] = config
    if prompt.service_tier in _TIERS:
        body["serviceTier"] = _TIERS[prompt.service_tier]
    return Built(msgspec.json.encode(body), tuple(adjusted))


def _contents(turns: Sequence[Turn], signs: bool) -> list[dict[str, Any]]:
    """Turns of one side that follow each other are one; all results of the calls before stand first in theirs."""
    contents: list[dict[str, Any]] = []
    asked: list[Call] = []
    position = 0
    while position < len(turns):
        model = turns[position].role == "assistant"
        parts: list[Part] = []
        while position < len(turns) and (turns[position].role == "assistant") is model:
            parts += turns[position].parts
            position += 1
        written = _said(parts, signs) if model else _heard(parts, asked, signs)
        asked = [part for part in parts if isinstance(part, Call)] if model else []
        if written:
            contents.append({"role": "model" if model else "user", "parts": written})
    if asked:
        contents.append({"role": "user", "parts": _heard([], asked, signs)})
    if contents and any("functionCall" in part for part in contents[0]["parts"]):  # a call follows upon something
        contents.insert(0, {"role": "user", "parts": [{"text": BEGINNING}]})
    return contents


def _said(parts: Sequence[Part], signs: bool) -> list[_PART]:
    """A model's turn: thinking first. The first call needs a signature, even of another's making."""
    thoughts = [each for part in parts if isinstance(part, Thinking) and (each := _thought(part)) is not None]
    others = [each for part in parts if not isinstance(part, Thinking) and (each := _plain(part)) is not None]
    first = next((each for each in others if "functionCall" in each), None)
    if signs and first is not None:
        first.setdefault("thoughtSignature", thinking.SKIPPED)
    return thoughts + others


def _thought(part: Thinking) -> _PART | None:
    if part.sealed is None or part.sealed.family != "gemini":
        return None
    return {"text": part.text, "thought": True, "thoughtSignature": part.sealed.data}


def _plain(part: Part) -> _PART | None:
    match part:
        case Text():
            return {"text": part.text} if part.text else None
        case Call():
            return _call(part)
        case Result() | Thinking():
            return None
        case _:
            return media.build(part)


def _call(part: Call) -> _PART:
    args = as_object(part.arguments, part.custom)
    found: _PART = {"functionCall": {"id": part.id, "name": part.name, "args": args}}
    if part.sealed is not None and part.sealed.family == "gemini":
        found["thoughtSignature"] = part.sealed.data
    return found


def _heard(parts: Sequence[Part], asked: Sequence[Call], signs: bool) -> list[_PART]:
    """A user's turn."""
    results = {part.call_id: part for part in parts if isinstance(part, Result)}
    found = [each for call in asked for each in _response(call, results.get(call.id), signs)]
    return found + [each for part in parts if (each := _plain(part)) is not None]


def _response(call: Call, result: Result | None, signs: bool) -> list[_PART]:
    """Media stand in the result where the model takes them there, else right after it."""
    if result is None:
        result = Result(call.id, (Text(_UNANSWERED),), error=True)
    response = {"error" if result.error else "output": _text(result)}
    answer: dict[str, Any] = {"id": call.id, "name": call.name, "response": response}
    parts = [media.build(each) for each in result.content if not isinstance(each, Text)]
    if parts and signs:
        answer["parts"], parts = parts, []
    return [{"functionResponse": answer}, *parts]


def _text(result: Result) -> str:
    return "\n".join(each.text for each in result.content if isinstance(each, Text))


def _declaration(tool: Tool) -> dict[str, Any]:
    given = FREE if tool.custom else tool.schema
    schema = None if given is None else parameters(given)
    found: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        found["description"] = tool.description
    return found if schema is None else found | {"parameters": schema}


def _choice(prompt: Prompt) -> dict[str, Any]:
    assert prompt.choice.mode is not None
    found: dict[str, Any] = {"mode": _MODES[prompt.choice.mode]}
    return found | {"allowedFunctionNames": [prompt.choice.name]} if prompt.choice.mode == "one" else found


def _generation(prompt: Prompt, limits: Limits, adjusted: list[str]) -> Mapping[str, Any]:
    if len(prompt.stop) > _STOPS:
        raise untranslatable("stop", "stop")
    config: dict[str, Any] = {}
    for name, theirs, low, high in _RANGES:
        value = getattr(prompt, name)
        if value is not None:
            config[theirs] = min(max(value, low), high)
            if config[theirs] != value:
                adjusted.append(clamped(f"{name}"))
    if prompt.top_k is not None:
        config["topK"] = prompt.top_k
    if prompt.max_tokens is not None:
        config["maxOutputTokens"] = min(prompt.max_tokens, limits.max_output or prompt.max_tokens)
        if config["maxOutputTokens"] != prompt.max_tokens:
            adjusted.append(clamped("max_tokens"))
    if prompt.stop:
        config["stopSequences"] = list(prompt.stop)
    config |= _format(prompt)
    config |= _logprobs(prompt, adjusted)
    told, changed = thinking.build(prompt.reasoning, limits.model)
    if changed:
        adjusted.append(clamped("reasoning"))
    return config | {"thinkingConfig": told} if told else config


def _format(prompt: Prompt) -> dict[str, Any]:
    if prompt.format is None:
        return {}
    found: dict[str, Any] = {"responseMimeType": "application/json"}
    if prompt.format.schema is not None:
        found["responseSchema"] = answer(prompt.format.schema)
    return found


def _logprobs(prompt: Prompt, adjusted: list[str]) -> dict[str, Any]:
    if prompt.logprobs is None:
        return {}
    wanted = min(prompt.logprobs, _ALTERNATIVES)
    if wanted != prompt.logprobs:
        adjusted.append(clamped("logprobs"))
    return {"responseLogprobs": True} | ({"logprobs": wanted} if wanted else {})
