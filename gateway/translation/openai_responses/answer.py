"""An upstream's refusals in its own words: https://platform.openai.com/docs/guides/error-codes"""

from typing import Any

import msgspec

from gateway.protocols.codec import Problem
from gateway.protocols.reading import decode, mapping

_body = msgspec.json.Decoder(dict[str, Any])


def failure(status: int, body: bytes) -> Problem:
    """OpenAI's error object; ChatGPT's own service has a `detail` in its place."""
    found = decode(_body, body) or {}
    error = mapping(found.get("error"))
    said = (error.get("message"), found.get("error"), found.get("detail"), found.get("message"))
    message = next((each for each in said if isinstance(each, str) and each), f"The upstream answered with {status}.")
    code = error.get("code") or error.get("type") or "upstream_error"
    field = error.get("param")
    return Problem(status, str(code), message, field if isinstance(field, str) else None)
