"""What OpenAI's and Ollama's requests have in common: the body, and `input`."""

from typing import Any

import msgspec

from gateway.protocols.codec import InvalidBody
from gateway.protocols.reading import decode
from gateway.translation.embeddings.losses import untranslatable
from gateway.translation.openai_chat.fields import array, text

_body = msgspec.json.Decoder(dict[str, Any])


def members(body: bytes) -> dict[str, Any]:
    """Raises InvalidBody."""
    found = decode(_body, body)
    if found is None:
        raise InvalidBody("the body must be a JSON object")
    return found


def inputs(value: Any, path: str) -> tuple[str, ...]:
    """One text or several. Raises InvalidBody; Untranslatable for tokens."""
    if isinstance(value, str):
        return (value,)
    each = array(value, path)
    if not each:
        raise InvalidBody(f"{path} must hold at least one text", path)
    if all(type(one) in (int, list) for one in each):
        raise untranslatable("input", path)
    return tuple(text(one, f"{path}[{index}]") for index, one in enumerate(each))
