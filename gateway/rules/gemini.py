"""The rules in Gemini's requests: https://ai.google.dev/api/generate-content, …/tokens and …/caching#Tool

Members in both spellings that Google's JSON parser takes; one object stands for a list of one, as it does there.
"""

import re
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.codec import Endpoint, InvalidBody, Span
from gateway.protocols.edits import changes
from gateway.protocols.reading import decode
from gateway.protocols.spans import Edit, inner, typed
from gateway.rules import tools, turns
from gateway.rules.dialect import Dialect, Draft, Names, opened, there
from gateway.rules.wording import Form, Wording, content

_FUNCTIONS = ("functionDeclarations", "function_declarations")
_CHOICE = ("toolConfig", "tool_config")
_CALLING = ("functionCallingConfig", "function_calling_config")
_ALLOWED = ("allowedFunctionNames", "allowed_function_names")
_SYSTEM = ("systemInstruction", "system_instruction")
_TEXT = Form(opening=b'{"text":', bare=False, lone=True)
_capital = re.compile(r"[A-Z]")
_underscored = re.compile(r"_([a-z])")


class _Part(Struct):
    functionResponse: Any = None  # noqa: N815
    function_response: Any = None


_part = msgspec.json.Decoder(_Part)
_parts = msgspec.json.Decoder(list[_Part])
_name = msgspec.json.Decoder(str)


def spelled(name: str) -> Names:
    """camelCase first."""
    camel = _underscored.sub(lambda found: found[1].upper(), name)
    snake = _capital.sub(lambda found: "_" + found[0].lower(), name)
    return tuple(dict.fromkeys((camel, snake)))


def take(draft: Draft, gone: tools.Gone) -> bool:
    less = partial(_less, gone)
    left = tools.take(draft, ("tools",), less, _CHOICE, lone=True)
    if left:
        _choose(draft, lambda body, span: None if gone(typed(_name, body, span, _ALLOWED[0])) else [])
    return left


def _less(gone: tools.Gone, body: bytes, span: Span) -> list[Edit] | None:
    """Less its functions, and less Google's own tools, each known by its member's name in either spelling."""
    found = inner(body, span, _FUNCTIONS, "tools")
    drop: set[str] = set()
    edits: list[Edit] = []
    for name, place in found.spans.items():
        if name not in _FUNCTIONS:
            drop.update({name} if any(map(gone, spelled(name))) else ())
            continue
        inside, left = tools.thinned(body, place, name, tools.by_name(gone, name), lone=True)
        if inside and not left:
            drop.add(name)
        else:
            edits += inside
    if drop and len(drop) == len(found.spans):
        return None
    return [*edits, *changes(body, found, {}, drop)]


def _choose(draft: Draft, less: tools.Less) -> None:
    """The functions that may be called, less those that are gone; with the last of them the choice goes."""
    name = draft.given(_CHOICE)
    config = opened(draft.body, draft.found.spans[name], _CALLING, name) if name else None
    calling = there(config, _CALLING) if config else None
    if name is None or config is None or calling is None:
        return
    found = opened(draft.body, config.spans[calling], _ALLOWED, calling)
    allowed = there(found, _ALLOWED) if found else None
    if found is None or allowed is None:
        return
    edits, left = tools.thinned(draft.body, found.spans[allowed], allowed, less)
    if left or not edits:
        draft.edits += edits
    elif len(config.spans) == 1:
        draft.drop.add(name)
    else:
        draft.edits += changes(draft.body, config, {}, {calling})


def prompt(draft: Draft, endpoint: Endpoint, system: Wording, user: Wording) -> None:
    name = draft.given(_SYSTEM)
    if name is not None:
        found = opened(draft.body, draft.found.spans[name], {"parts"}, name)
        if found is None:
            raise InvalidBody(f"{name} must be an object", name)
        draft.edits += content(draft.body, found, "parts", _TEXT, system, f"{name}.parts")
    elif system.mode != "off" and endpoint.operation != "count":
        # Beside bare `contents`, the Gemini API counts no system text and refuses the member.
        draft.set(_SYSTEM, b'{"parts":' + _TEXT.fresh(system.text) + b"}")
    said = turns.read(draft, ("contents",), lone=True) if system.replace or not user.idle else None
    if said is not None and system.replace:
        turns.replace(draft, said, said.instructions, _TEXT, system, "parts")
    if said is not None and not user.idle:
        turns.address(draft, said, _TEXT, user, own=_is_user, answers=_answers, name="parts")


def _is_user(content: turns.Message) -> bool:
    return content.role in (None, "user")


def _answers(content: turns.Message) -> bool:
    one = decode(_part, bytes(content.parts))
    parts = decode(_parts, bytes(content.parts)) if one is None else [one]
    return bool(parts) and all((part.functionResponse or part.function_response) is not None for part in parts or ())


DIALECT = Dialect(
    temperature=("generationConfig", "temperature"),
    hottest=2.0,
    tools=take,
    offered=("tools", *_CHOICE),
    prompt=prompt,
    said=(*_SYSTEM, "contents"),
    choices=_CHOICE,
    wrapped=("generateContentRequest", "generate_content_request"),
    spelled=spelled,
)
