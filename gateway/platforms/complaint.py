"""An upstream's error body, whatever its dialect, as one small value.

Anthropic `{"type":"error","error":{"type","message"}}`; OpenAI `{"error":{"message","type","param","code"}}`, in
streams of Responses also `{"type":"error","code","message"}` and `{"response":{"error":…}}`; Google
`{"error":{"code","message","status","details":[…]}}` (google.rpc.Status), also inside an array; and the shorter
forms of compatible servers: `{"error":"…"}`, `{"detail":"…"}`, `{"detail":{"code","message"}}`, `{"message":"…"}`.
"""

import re
from typing import Any, cast

import msgspec
from msgspec import Struct

from gateway.platforms import reset

_LONGEST_BODY = 256 * 1024
_LONGEST_MESSAGE = 2_000
_LONGEST_WORD = 100

#: MiniMax's plans: the end stands in the sentence alone. From its start only, as all sentences are matched.
_SAID_END = re.compile(r"usage limit exceeded, [^']{1,200}? resets at ([0-9t:.+-]{19,32}z?)")


class Complaint(Struct, frozen=True):
    """What an error body says."""

    words: frozenset[str] = frozenset()
    """Its stable words in lower case: `error.type`, `code`, `status`, and the reasons in Google's details."""
    message: str = ""
    """For people; lower case, spaces and the vendors' own prefixes trimmed, at most 2,000 characters."""
    until: float | None = None
    """The end of the limit, where the body itself gives one; seconds since the epoch."""


def read(body: bytes, now: float) -> Complaint:
    """Never raises: a body that is not JSON, or of no known form, gives an empty complaint."""
    if len(body) > _LONGEST_BODY:
        return Complaint()
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Complaint()
    error = _error(tree)
    details = [_mapping(item) for item in _list(error.get("details"))]
    words = [error.get(name) for name in ("type", "code", "status")]
    words += [detail.get("reason") for detail in details]
    return Complaint(
        words=frozenset(word for word in map(_word, words) if word),
        message=_message(error),
        until=_until(error, details, now),
    )


def _error(tree: Any) -> dict[str, Any]:
    if isinstance(tree, list):
        tree = _list(tree)[0] if tree else None
    top = _mapping(tree)
    error = top.get("error") or _mapping(top.get("response")).get("error") or _mapping(top.get("detail"))
    if isinstance(error, str):
        return {"message": error, **{name: top[name] for name in ("code", "type") if name in top}}
    return _mapping(error) or top


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _word(value: Any) -> str:
    """A word, or a code that is a number (Z.AI's "1113"); anything longer is no stable word."""
    if isinstance(value, int) and abs(value) < 10**9:
        value = str(value)
    return value.lower() if isinstance(value, str) and len(value) <= _LONGEST_WORD else ""


def _message(error: dict[str, Any]) -> str:
    for name in ("message", "Message", "detail"):
        text = error.get(name)
        if isinstance(text, str):
            return " ".join(text[:_LONGEST_MESSAGE].lower().split()).removeprefix("error: ")
    return ""


def _until(error: dict[str, Any], details: list[dict[str, Any]], now: float) -> float | None:
    """ChatGPT's `resets_at` and `resets_in_seconds`; Google's RetryInfo (google.rpc.error_details); MiniMax's words."""
    for name, read_end in (("resets_at", reset.moment), ("resets_in_seconds", reset.after)):
        end = read_end(error.get(name), now)
        if end is not None:
            return end
    waits = [reset.after(detail.get("retryDelay"), now) for detail in details]
    known = [wait for wait in waits if wait is not None]
    if known:
        return max(known)
    told = _SAID_END.match(_message(error))
    return reset.moment(told[1].upper(), now) if told else None
