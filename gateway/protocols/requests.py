"""What the peeks of all protocols share: typed values of top-level members, session ids, the model's replacement."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from gateway.protocols.codec import InvalidBody, Peek
from gateway.protocols.reading import mapping
from gateway.protocols.spans import Edit, Members, splice

WATCHED = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "previous_response_id",
    }
)
"""Members that decide where a request goes or what it may cost: each may stand in a body only once."""

MOST_ANSWERS = 128
"""OpenAI's own bound on `n`. A larger number is the provider's to refuse; nothing is reserved for it."""

_any = msgspec.json.Decoder(Any)
_user = msgspec.json.Decoder(dict[str, Any])
_underscored = re.compile(r"_session_([0-9A-Fa-f-]{36})\Z")


def value(raw: Mapping[str, Raw], name: str) -> Any:
    """The decoded member, None when it is absent. Raises InvalidBody (a lone surrogate, a number out of range)."""
    found = raw.get(name)
    if found is None:
        return None
    try:
        return _any.decode(found)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidBody(f"{name} cannot be read: {error}", name) from None


def text(raw: Mapping[str, Raw], name: str) -> str | None:
    """A member that must be a non-empty string when it is there and not null. Raises InvalidBody."""
    found = value(raw, name)
    if found is None:
        return None
    if not isinstance(found, str) or not found:
        raise InvalidBody(f"{name} must be a non-empty string", name)
    return found


def flag(raw: Mapping[str, Raw], name: str) -> bool:
    """A member that must be true, false or null when it is there. Raises InvalidBody."""
    found = value(raw, name)
    if found is not None and not isinstance(found, bool):
        raise InvalidBody(f"{name} must be true or false", name)
    return bool(found)


def most(raw: Mapping[str, Raw], *names: str) -> int | None:
    """The largest whole number among these members; what is no such number is the provider's to refuse."""
    found = [value(raw, name) for name in names if name in raw]
    numbers = [int(each) for each in found if type(each) in (int, float) and each >= 0 and each == each // 1]
    return max(numbers, default=None)


def answers(raw: Mapping[str, Raw], *names: str) -> int:
    """How many answers these members ask for: one when they say nothing."""
    return max(1, min(most(raw, *names) or 1, MOST_ANSWERS))


def session(raw: Mapping[str, Raw]) -> str | None:
    """A session id in the body: Claude Code's two forms of metadata.user_id, prompt_cache_key, session_id."""
    if "metadata" in raw and (found := _claude_code(_maybe_text(mapping(_maybe(raw, "metadata")).get("user_id")))):
        return found
    for name in ("prompt_cache_key", "session_id"):
        if name in raw and (found := _maybe_text(_maybe(raw, name))):
            return found
    return None


def _maybe(raw: Mapping[str, Raw], name: str) -> Any:
    try:
        return value(raw, name)
    except InvalidBody:
        return None  # nothing that a session id could be; the provider may still take it


def _maybe_text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _claude_code(user: str) -> str:
    """The session in a `metadata.user_id`: `…_session_{uuid}`, or a JSON object with `session_id`."""
    if user.startswith("{"):
        try:
            return _maybe_text(_user.decode(user).get("session_id"))
        except (msgspec.DecodeError, RecursionError):
            return ""
    named = _underscored.search(user)
    return named[1] if named else ""


def peek(found: Members, *limits: str) -> Peek:
    """The common part of a Peek: model, stream, the largest of the named limits, session. Raises InvalidBody."""
    raw = found.raw
    span = found.spans.get("model")
    return Peek(
        model=text(raw, "model"),
        stream=flag(raw, "stream"),
        max_tokens=most(raw, *limits),
        models=() if span is None else (span,),
        insert_at=found.insert_at,
        empty=not raw,
        session=session(raw),
    )


def insertion(peeked: Peek, member: bytes) -> Edit:
    """Puts a member first in the body."""
    return peeked.insert_at, peeked.insert_at, member if peeked.empty else member + b","


def model_edits(body: bytes, peeked: Peek, model: str) -> list[Edit]:
    """Sets the model's name: where it stands (text that already says so is left), else as the first member."""
    name = msgspec.json.encode(model)
    if not peeked.models:
        return [insertion(peeked, b'"model":' + name)]
    if peeked.model == model:
        return []
    return [(start, end, name) for start, end in peeked.models]


def rename(body: bytes, peeked: Peek, model: str) -> bytes:
    """The body with the model's name set; the body itself when it already says so."""
    edits = model_edits(body, peeked, model)
    return splice(body, edits) if edits else body
