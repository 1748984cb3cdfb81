"""Content blocks of a client's messages, read: https://docs.anthropic.com/en/api/messages (messages.content)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from gateway.protocols.codec import InvalidBody
from gateway.translation.anthropic.fields import ARRAY, OBJECT, Object, member, needed, of, unknown
from gateway.translation.names import original
from gateway.translation.prompt import Call, Document, Image, Part, Result, Sealed, Text, Thinking

Content = Text | Image | Document


class Blocks:
    """Reads the blocks of one request in order. `dropped` gathers rows of the loss table; the history tells which tool
    a result is of."""

    __slots__ = ("_called", "dropped")

    def __init__(self) -> None:
        self.dropped: dict[str, None] = {}
        self._called: dict[str, str] = {}

    def parts(self, content: Any, path: str) -> tuple[Part, ...]:
        """Of a message: one text or an array of blocks. Raises InvalidBody."""
        if isinstance(content, str):
            return (Text(content),)
        parts: list[Part] = []
        for number, block in enumerate(of(content, ARRAY, path)):
            where = f"{path}[{number}]"
            found = of(block, OBJECT, where)
            kind = needed(found, "type", str, where + ".")
            read = _READ.get(kind)
            if read is not None:
                parts += read(self, found, where + ".")
            elif kind in _OF_CONTENT:
                parts += self._content(found, kind, where + ".")
            elif kind == "tool_addition":
                self.dropped[kind] = None
            else:
                raise unknown("a block of type", where + ".type", kind)
        return tuple(parts)

    def texts(self, content: Any, path: str) -> tuple[Text, ...]:
        """Of instructions, which are text alone."""
        found = self.parts(content, path)
        texts = tuple(part for part in found if isinstance(part, Text))
        if len(texts) < len(found):
            raise InvalidBody(f"{path} must be text", path)
        return texts

    def _content(self, block: Object, kind: str, path: str) -> Iterator[Content]:
        """What may stand in a message as well as in a result."""
        cache = cache_of(block, path)
        if kind == "text":
            if block.get("citations"):
                self.dropped["citations"] = None
            yield Text(needed(block, "text", str, path), cache)
        elif kind == "image":
            yield _image(needed(block, "source", OBJECT, path), path + "source.", cache)
        elif kind == "document":
            yield from self._document(block, path, cache)
        elif kind == "search_result":
            said = [needed(block, name, str, path) for name in ("title", "source")]
            said += [each.text for each in self.texts(needed(block, "content", ARRAY, path), path + "content")]
            yield Text("\n".join(said), cache)
        else:
            yield Text(needed(block, "tool_name", str, path), cache)

    def _document(self, block: Object, path: str, cache: Mapping[str, Any] | None) -> Iterator[Content]:
        for name, row in (("citations", "citations"), ("context", "document.context")):
            if block.get(name):
                self.dropped[row] = None
        name = member(block, "title", str, path)
        source = needed(block, "source", OBJECT, path)
        path += "source."
        match kind := needed(source, "type", str, path):
            case "base64":
                media_type, data = needed(source, "media_type", str, path), needed(source, "data", str, path)
                yield Document(media_type=media_type, data=data, name=name, cache=cache)
            case "text":
                media_type = member(source, "media_type", str, path) or "text/plain"
                yield Document(media_type=media_type, text=needed(source, "data", str, path), name=name, cache=cache)
            case "url":
                yield Document(url=needed(source, "url", str, path), name=name, cache=cache)
            case "content":
                found = source.get("content")
                yield from ([Text(found)] if isinstance(found, str) else self._contents(found, path + "content"))
            case _:
                raise unknown("a document's source of type", path + "type", kind)

    def _contents(self, content: Any, path: str) -> Iterator[Content]:
        for number, block in enumerate(of(content, ARRAY, path)):
            where = f"{path}[{number}]"
            found = of(block, OBJECT, where)
            kind = needed(found, "type", str, where + ".")
            if kind not in _OF_CONTENT:
                raise unknown("a block of type", where + ".type", kind)
            yield from self._content(found, kind, where + ".")

    def call(self, block: Object, path: str) -> Iterator[Part]:
        given = needed(block, "id", str, path)
        name = needed(block, "name", str, path)
        self._called[given] = name
        arguments = msgspec.json.encode(needed(block, "input", OBJECT, path)).decode()
        yield Call(original(given), name, arguments, cache=cache_of(block, path))

    def result(self, block: Object, path: str) -> Iterator[Part]:
        given = needed(block, "tool_use_id", str, path)
        content = block.get("content")
        if isinstance(content, str):
            said: tuple[Content, ...] = (Text(content),)
        else:
            said = () if content is None else tuple(self._contents(content, path + "content"))
        yield Result(
            original(given),
            said,
            name=self._called.get(given),
            error=member(block, "is_error", bool, path) or False,
            cache=cache_of(block, path),
        )

    def thinking(self, block: Object, path: str) -> Iterator[Part]:
        signature = member(block, "signature", str, path)
        yield Thinking(needed(block, "thinking", str, path), Sealed("anthropic", signature) if signature else None)

    def redacted(self, block: Object, path: str) -> Iterator[Part]:
        yield Thinking(sealed=Sealed("anthropic", needed(block, "data", str, path)), redacted=True)


_OF_CONTENT = frozenset({"text", "image", "document", "search_result", "tool_reference"})
_READ: Mapping[str, Callable[[Blocks, Object, str], Iterator[Part]]] = {
    "tool_use": Blocks.call,
    "tool_result": Blocks.result,
    "thinking": Blocks.thinking,
    "redacted_thinking": Blocks.redacted,
}


def cache_of(block: Object, path: str) -> Mapping[str, Any] | None:
    """`cache_control`, as it came."""
    return member(block, "cache_control", OBJECT, path)


def _image(source: Object, path: str, cache: Mapping[str, Any] | None) -> Image:
    match kind := needed(source, "type", str, path):
        case "base64":
            media_type, data = needed(source, "media_type", str, path), needed(source, "data", str, path)
            return Image(media_type=media_type, data=data, cache=cache)
        case "url":
            return Image(url=needed(source, "url", str, path), cache=cache)
        case _:
            raise unknown("an image's source of type", path + "type", kind)
