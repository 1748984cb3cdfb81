"""Parts of messages and of tool results, read and written:
https://platform.openai.com/docs/api-reference/responses/create, `input`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.protocols.codec import InvalidBody
from gateway.translation.openai_responses import fields
from gateway.translation.prompt import Audio, Document, Image, Part, Text, Untranslatable

Said = Text | Image | Document | Audio
_PDF = "application/pdf"


def read(content: Any, path: str) -> list[Said]:
    """A text, or an array of parts. Raises InvalidBody."""
    if isinstance(content, str):
        return [Text(content)]
    return [_part(fields.record(part, at), at) for at, part in _numbered(content, path)]


def _numbered(content: Any, path: str) -> Iterable[tuple[str, Any]]:
    return ((f"{path}[{index}]", part) for index, part in enumerate(fields.array(content, path)))


def _part(part: dict[str, Any], path: str) -> Said:
    kind = part.get("type")
    reader = _PARTS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise InvalidBody(f"{path}.type must be one of {', '.join(_PARTS)}", f"{path}.type")
    return reader(part, path)


def _text(part: dict[str, Any], path: str) -> Text:
    return Text(fields.text(part.get("text"), f"{path}.text"))


def _refusal(part: dict[str, Any], path: str) -> Text:
    return Text(fields.text(part.get("refusal"), f"{path}.refusal"))


def _image(part: dict[str, Any], path: str) -> Image:
    _not_uploaded(part, path)
    url = fields.name(part.get("image_url"), f"{path}.image_url")
    detail = fields.maybe_text(part.get("detail"), f"{path}.detail")
    if not url.startswith("data:"):
        return Image(url=url, detail=detail)
    media_type, data = _inline(url, f"{path}.image_url")
    return Image(media_type=media_type, data=data, detail=detail)


def _file(part: dict[str, Any], path: str) -> Document:
    _not_uploaded(part, path)
    name = fields.maybe_text(part.get("filename"), f"{path}.filename")
    if (url := fields.maybe_text(part.get("file_url"), f"{path}.file_url")) is not None:
        return Document(url=url, name=name)
    data = fields.name(part.get("file_data"), f"{path}.file_data")
    media_type = _PDF  # what OpenAI takes plain base64 for
    if data.startswith("data:"):
        media_type, data = _inline(data, f"{path}.file_data")
    return Document(media_type=media_type, data=data, name=name)


def _audio(part: dict[str, Any], path: str) -> Audio:
    path += ".input_audio"
    sound = fields.record(part.get("input_audio"), path)
    media_type = "audio/" + fields.name(sound.get("format"), f"{path}.format")
    return Audio(media_type, fields.name(sound.get("data"), f"{path}.data"))


_PARTS: Mapping[str, Callable[[dict[str, Any], str], Said]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}


def _not_uploaded(part: dict[str, Any], path: str) -> None:
    if part.get("file_id") is not None:
        raise InvalidBody(f"{path}.file_id names a file at OpenAI, which this model cannot read", f"{path}.file_id")


def _inline(url: str, path: str) -> tuple[str, str]:
    """The media type and the base64 of a data URL (RFC 2397)."""
    head, comma, data = url.removeprefix("data:").partition(",")
    media_type, *options = head.split(";")
    if not comma or not media_type or "base64" not in options:
        raise InvalidBody(f"{path} must be a data URL with a media type and base64", path)
    return media_type, "".join(data.split())


def write(parts: Iterable[Part]) -> list[dict[str, Any]]:
    """Of a user's message, or of a result. Raises Untranslatable."""
    return [_written(part) for part in parts]


def _written(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Image():
            url = part.url if part.data is None else f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case Document(url=str()):
            return {"type": "input_file", "file_url": part.url}
        case Document(data=str()):
            data = f"data:{part.media_type or _PDF};base64,{part.data}"
            return {"type": "input_file", "filename": part.name or "document.pdf", "file_data": data}
        case Document():
            text = f"{part.name}\n\n{part.text}" if part.name else part.text
            return {"type": "input_text", "text": text or ""}
        case _:
            raise Untranslatable("messages", f"OpenAI Responses takes no {type(part).__name__.lower()} here")
