"""Images and documents as Anthropic takes them: https://docs.anthropic.com/en/docs/build-with-claude/vision and
…/pdf-support."""

from base64 import b64decode
from binascii import Error
from typing import Any

from gateway.translation.prompt import Document, Image, Untranslatable

_IMAGES = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
_TEXTS = frozenset({"application/json", "application/xml", "application/x-yaml", "application/yaml"})


def image(part: Image) -> dict[str, Any]:
    """Raises Untranslatable."""
    if part.url is not None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    media_type = _IMAGES.get((part.media_type or "").lower())
    if part.data is None or media_type is None:
        raise Untranslatable("messages", f"messages: an image must be a JPEG, PNG, GIF or WebP, not {part.media_type}")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": part.data}}


def document(part: Document) -> dict[str, Any]:
    """A PDF, or text of any kind. Raises Untranslatable."""
    block = {"type": "document", "source": _source(part)}
    if part.name:
        block["title"] = part.name
    return block


def _source(part: Document) -> dict[str, Any]:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    kind = (part.media_type or "").partition(";")[0].strip().lower()
    if part.data is not None and kind == "application/pdf":
        return {"type": "base64", "media_type": "application/pdf", "data": part.data}
    if part.data is not None and (kind.startswith("text/") or kind in _TEXTS):
        return {"type": "text", "media_type": "text/plain", "data": _decoded(part.data)}
    raise Untranslatable("messages", f"messages: a document must be a PDF or text, not {part.media_type}")


def _decoded(data: str) -> str:
    try:
        return b64decode(data, validate=True).decode()
    except (Error, ValueError):
        raise Untranslatable("messages", "messages: a document's text is not base64 of UTF-8") from None
