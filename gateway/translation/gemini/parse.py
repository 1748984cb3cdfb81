"""A Gemini request → the neutral form: https://ai.google.dev/api/generate-content#method:-models.generatecontent

Calls and results belong together by id where the client gives one, else by name and order; calls without an id get one
that is the same whenever the same history is sent again. Pure.
"""

from collections.abc import Iterator
from typing import Any, Literal

from gateway.protocols import gemini
from gateway.protocols.codec import Endpoint, InvalidBody
from gateway.translation.gemini import media, thinking
from gateway.translation.gemini.losses import dropped, refused, sift
from gateway.translation.gemini.members import Object, read
from gateway.translation.gemini.pairing import Pairing
from gateway.translation.gemini.plain import plain
from gateway.translation.prompt import (
    Choice,
    Format,
    Part,
    Prompt,
    Role,
    Sealed,
    Text,
    Thinking,
    Tool,
    Turn,
)

_ROLES: dict[str, Role] = {"user": "user", "model": "assistant", "function": "user", "system": "system"}
_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "auto",
}
_VALUE_DECIDES = frozenset({"candidateCount", "responseMimeType", "responseModalities"})
_VALUES_OF_A_PART = frozenset({"fileData"})
_FORMATS = ("responseJsonSchema", "responseSchema")
#: The members of a part that are its content, each with the place that reads it; others stand beside one.
_CONTENT = ("text", "functionCall", "functionResponse", "inlineData", "fileData")


def parse(body: bytes, endpoint: Endpoint) -> Prompt:
    """The model is "" where the body does not name it: it is in the path then. Raises InvalidBody."""
    peeked = gemini.peek(endpoint, body)
    request = read(body)
    lost = [*sift(request, "")]
    turns = tuple(_turns(request, lost))
    if not turns:
        raise InvalidBody("contents must hold at least one message", "contents")
    tools, choice = _tools(request, lost)
    tier = request.word("serviceTier")
    return Prompt(
        model=peeked.model or "",
        turns=turns,
        system=_system(request),
        stream=peeked.stream,
        tools=tools,
        choice=choice,
        service_tier=None if tier is None or tier == "unspecified" else tier,
        **_generation(request.object("generationConfig"), lost),
        dropped=tuple(dict.fromkeys(lost)),
    )


def _system(request: Object) -> tuple[Text, ...]:
    content = request.object("systemInstruction")
    return () if content is None else tuple(_instructions(content))


def _instructions(content: Object) -> Iterator[Text]:
    for part in content.objects("parts"):
        text = part.text("text")
        if text is None:
            raise refused("contents.parts.system", part.path)
        if text:
            yield Text(text)


def _turns(request: Object, lost: list[str]) -> Iterator[Turn]:
    pairing = Pairing()
    for content in request.objects("contents"):
        name = content.text("role") or "user"
        role = _ROLES.get(name)
        if role is None:
            raise InvalidBody(f"{content.under('role')} must be user or model", content.under("role"))
        if role == "system":
            parts: tuple[Part, ...] = tuple(_instructions(content))
        else:
            if role == "user":
                pairing.answered()
            parts = _parts(content, role, pairing, lost)
        if parts:
            yield Turn(role, parts)


def _parts(content: Object, role: Role, pairing: Pairing, lost: list[str]) -> tuple[Part, ...]:
    """Nothing for an empty text, and for what is left out."""
    parts: list[Part] = []
    for each in content.objects("parts"):
        if len(each.members) > 1 or not isinstance(text := each.members.get("text"), str):
            parts += _part(each, role, pairing, lost)
        elif text:
            parts.append(Text(text))
    return tuple(parts)


def _part(part: Object, role: Role, pairing: Pairing, lost: list[str]) -> Iterator[Part]:
    given = [*part.given()]
    lost += sift(part, "contents.parts.", _VALUES_OF_A_PART, given)
    name = next((each for each in _CONTENT if each in given), None)
    if name in ("functionCall", "functionResponse") and (name == "functionCall") != (role == "assistant"):
        owner = "model" if name == "functionCall" else "user"
        raise InvalidBody(f"{part.under(name)} can only stand in a content of role {owner}", part.under(name))
    if name == "functionCall":
        yield pairing.call(part, _signature(part))
    elif name == "functionResponse":
        yield pairing.result(part)
    elif name in ("inlineData", "fileData"):
        yield media.parse(part)
    elif part.flag("thought"):
        yield from _thought(part, role)
    else:
        if part.get("thoughtSignature") is not None:
            lost.append(dropped("contents.parts.text.thoughtSignature"))
        if text := part.text("text"):
            yield Text(text)


def _thought(part: Object, role: Role) -> Iterator[Part]:
    text, sealed = part.text("text") or "", _signature(part)
    if role == "assistant" and (text or sealed is not None):
        yield Thinking(text, sealed)


def _signature(part: Object) -> Sealed | None:
    """Clients send the placeholder back too."""
    data = part.text("thoughtSignature")
    return Sealed("gemini", data) if data and data != thinking.SKIPPED else None


def _tools(request: Object, lost: list[str]) -> tuple[tuple[Tool, ...], Choice]:
    tools: list[Tool] = []
    for group in request.objects("tools"):
        foreign = next((name for name in group.given() if name != "functionDeclarations"), None)
        if foreign is not None:
            raise refused("tools.*", group.under(foreign))
        for each in group.objects("functionDeclarations"):
            lost += sift(each, "tools.functionDeclarations.")
            tools.append(Tool(each.needed("name"), each.text("description"), _schema(each)))
    config = request.object("toolConfig")
    if config is None:
        return tuple(tools), Choice()
    lost += sift(config, "toolConfig.")
    return _chosen(tools, config.object("functionCallingConfig"), lost)


def _schema(declaration: Object) -> dict[str, Any] | None:
    for name in ("parametersJsonSchema", "parameters"):
        if (found := declaration.object(name)) is not None:
            return plain(found.members, found.path)
    return None


def _chosen(tools: list[Tool], config: Object | None, lost: list[str]) -> tuple[tuple[Tool, ...], Choice]:
    """Of several that are allowed, the others are not offered."""
    if config is None:
        return tuple(tools), Choice()
    lost += sift(config, "functionCallingConfig.")
    mode, allowed = config.word("mode"), config.texts("allowedFunctionNames")
    if mode is not None and mode not in _MODES:
        raise InvalidBody(f"{config.under('mode')} must be AUTO, ANY, NONE or VALIDATED", config.under("mode"))
    unknown = next((name for name in allowed if all(name != tool.name for tool in tools)), None)
    if unknown is not None:
        field = config.under("allowedFunctionNames")
        raise InvalidBody(f"{field} names no function that is declared: {unknown[:100]}", field)
    if mode == "ANY" and len(allowed) == 1:
        return tuple(tools), Choice("one", allowed[0])
    offered = tuple(tool for tool in tools if not allowed or mode not in ("ANY", "VALIDATED") or tool.name in allowed)
    return offered, Choice(None if mode is None else _MODES[mode])


def _generation(config: Object | None, lost: list[str]) -> dict[str, Any]:
    """The members of a Prompt that `generationConfig` gives."""
    if config is None:
        return {}
    lost += sift(config, "generationConfig.", apart=_VALUE_DECIDES)
    _check_kind(config)
    return {
        "max_tokens": config.whole("maxOutputTokens"),
        "temperature": config.number("temperature"),
        "top_p": config.number("topP"),
        "top_k": config.whole("topK"),
        "stop": config.texts("stopSequences"),
        "seed": config.whole("seed"),
        "presence_penalty": config.number("presencePenalty"),
        "frequency_penalty": config.number("frequencyPenalty"),
        "logprobs": (config.whole("logprobs") or 0) if config.flag("responseLogprobs") else None,
        "format": _format(config),
        "reasoning": thinking.parse(config.object("thinkingConfig")),
    }


def _check_kind(config: Object) -> None:
    """One answer, of text."""
    if config.whole("candidateCount") not in (None, 1):
        raise refused("generationConfig.candidateCount", config.under("candidateCount"))
    if any(each not in ("TEXT", "MODALITY_UNSPECIFIED") for each in config.texts("responseModalities")):
        raise refused("generationConfig.responseModalities", config.under("responseModalities"))


def _format(config: Object) -> Format | None:
    kind = config.text("responseMimeType")
    if kind not in (None, "", "text/plain", "application/json"):
        raise refused("generationConfig.responseMimeType", config.under("responseMimeType"))
    for name in _FORMATS:
        if kind != "text/plain" and (schema := config.object(name)) is not None:
            return Format("schema", plain(schema.members, schema.path))
    return Format("json") if kind == "application/json" else None
