"""Errors of chat upstreams: https://platform.openai.com/docs/guides/error-codes, and what others make of them."""

from typing import Any

import msgspec

from gateway.protocols.codec import Problem
from gateway.protocols.reading import decode, mapping, sequence

_LONGEST = 2000
_anything = msgspec.json.Decoder(Any)


def said(error: Any) -> tuple[str, str | None]:
    """Message and code of an error object, or of one that is a text alone."""
    if isinstance(error, str):
        return error or "The upstream failed.", None
    found = mapping(error)
    message = next((found[name] for name in ("message", "detail", "msg") if isinstance(found.get(name), str)), "")
    code = next((found[name] for name in ("code", "type") if isinstance(found.get(name), str) and found[name]), None)
    return message or "The upstream failed.", code


def failure(status: int, body: bytes) -> Problem:
    """(status, body) of an error answer: `{"error": {…}}`, `{"error": "…"}`, the error alone, or an array of one."""
    found = decode(_anything, body)
    if isinstance(found, list):
        found = next(iter(sequence(found)), None)
    if not isinstance(found, dict):
        return Problem(status, "upstream_error", _plain(status, body))
    outer = mapping(found)
    error = outer if outer.get("error") is None else outer["error"]
    message, code = said(error)
    param = mapping(error).get("param")
    return Problem(status, code or "upstream_error", message, param if isinstance(param, str) else None)


def _plain(status: int, body: bytes) -> str:
    """A body that is no JSON: its text, unless it is a web page."""
    text = body[:_LONGEST].decode(errors="replace").strip()
    return f"The upstream answered with status {status}." if not text or text.startswith("<") else text
