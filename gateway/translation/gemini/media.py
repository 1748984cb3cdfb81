"""Pictures, sound and files: `inlineData` and `fileData` both ways (ai.google.dev/api/caching#Blob). Pure."""

import binascii
import re
from base64 import b64decode, b64encode
from mimetypes import guess_type
from typing import Any

from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.losses import refused
from gateway.translation.gemini.members import Object
from gateway.translation.prompt import Audio, Document, Image

#: What only Google can fetch: uploaded files, Cloud Storage, videos.
_GOOGLES = re.compile(
    r"gs://|https://generativelanguage\.googleapis\.com/|https?://(www\.|m\.)?(youtube\.com|youtu\.be)/|files/"
)


def parse(part: Object) -> Image | Document | Audio:
    """Raises InvalidBody."""
    blob = part.object("inlineData")
    if blob is not None:
        return _inline(blob)
    file = part.object("fileData")
    assert file is not None
    return _file(file)


def of_result(part: Object) -> Image | Document:
    """Of a function's result. Raises InvalidBody."""
    if part.get("inlineData") is None and part.get("fileData") is None:
        raise InvalidBody(f"{part.path} must hold inlineData or fileData", part.path)
    found = parse(part)
    if isinstance(found, Audio):
        raise InvalidBody(f"{part.path}: sound cannot be a function's result in other protocols", part.path)
    return found


def _inline(blob: Object) -> Image | Document | Audio:
    media_type, data = blob.needed("mimeType"), _standard(blob.text("data") or "")
    match media_type.partition("/")[0]:
        case "image":
            return Image(media_type, data)
        case "audio":
            return Audio(media_type, data)
        case "video":
            raise refused("contents.parts.video", blob.path)
        case "text" if (text := _text(data)) is not None:
            return Document(media_type, text=text, name=blob.text("displayName"))
        case _:
            return Document(media_type, data, name=blob.text("displayName"))


def _standard(data: str) -> str:
    """Google takes base64 in both alphabets, padded or not; others only the one, padded."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


def _text(data: str) -> str | None:
    try:
        return b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _file(file: Object) -> Image | Document:
    url = file.needed("fileUri")
    media_type = file.text("mimeType") or guess_type(url)[0]
    if (media_type or "").startswith("video/"):
        raise refused("contents.parts.video", file.path)
    if _GOOGLES.match(url):
        raise refused("contents.parts.fileData", file.under("fileUri"))
    if (media_type or "").startswith("audio/"):
        raise refused("contents.parts.fileData.audio", file.path)
    if (media_type or "").startswith("image/"):
        return Image(media_type, url=url)
    return Document(media_type, url=url, name=file.text("displayName"))


def build(found: Image | Document | Audio) -> dict[str, Any]:
    """A part; plain text of a document is a text file."""
    if isinstance(found, Audio):
        return {"inlineData": {"mimeType": found.media_type, "data": found.data}}
    if found.url is not None:
        kind = found.media_type or guess_type(found.url)[0]
        return {"fileData": ({} if kind is None else {"mimeType": kind}) | {"fileUri": found.url}}
    if isinstance(found, Document) and found.text is not None:
        data = b64encode(found.text.encode()).decode()
        return {"inlineData": {"mimeType": found.media_type or "text/plain", "data": data}}
    default = "image/png" if isinstance(found, Image) else "application/pdf"
    return {"inlineData": {"mimeType": found.media_type or default, "data": found.data or ""}}
