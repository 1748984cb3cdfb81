"""The messages of a chat request, as instructions and turns."""

from typing import Any, NamedTuple

from gateway.protocols.codec import InvalidBody
from gateway.protocols.reading import mapping
from gateway.translation.openai_chat.fields import array, maybe, needed, record, text, word
from gateway.translation.openai_chat.losses import refused
from gateway.translation.prompt import Audio, Call, Document, Image, Part, Result, Role, Text, Thinking, Turn

_AUDIO = {"mp3": "audio/mpeg"}
"""`input_audio.format` where it is not the type's own name."""


class History(NamedTuple):
    system: tuple[Text, ...]
    turns: tuple[Turn, ...]
    named: bool
    """Some message has a `name`, which is lost."""


def history(found: list[Any]) -> History:
    """Raises InvalidBody."""
    reading = _Reading()
    for index, message in enumerate(found):
        path = f"messages[{index}]"
        reading.message(record(message, path), path, index)
    turns = tuple(Turn(role, tuple(parts)) for role, parts in reading.turns)
    return History(tuple(reading.system), turns, reading.named)


class _Reading:
    """The calls so far give results their tool's name, and the deprecated functions ids."""

    __slots__ = ("_calls", "_functions", "named", "system", "turns")

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[tuple[Role, list[Part]]] = []
        self.named = False
        self._calls: dict[str, Call] = {}
        self._functions: list[Call] = []
        """Deprecated calls that have no result yet."""

    def message(self, found: dict[str, Any], path: str, index: int) -> None:
        role = needed(found, "role", text, path)
        if role in ("system", "developer"):
            self._instructions(found, path)
        elif role == "user":
            self.turns.append(("user", content(found, path)))
        elif role == "assistant":
            self._assistant(found, path, index)
        elif role == "tool":
            called = needed(found, "tool_call_id", word, path)
            self._result(called, found, path)
        elif role == "function":
            self._result(self._called(needed(found, "name", word, path), path), found, path)
        else:
            where = f"{path}.role"
            raise InvalidBody(f"{where} must be system, developer, user, assistant or tool, not {role!r}", where)
        self.named = self.named or (role not in ("tool", "function") and found.get("name") is not None)

    def _instructions(self, found: dict[str, Any], path: str) -> None:
        """Those before all others are the system's; later ones keep their place."""
        parts = _texts(found, path)
        if self.turns:
            self.turns.append(("system", [*parts]))
        else:
            self.system += parts

    def _assistant(self, found: dict[str, Any], path: str, index: int) -> None:
        if found.get("audio") is not None:
            raise refused("messages[].audio", f"{path}.audio")
        thought = maybe(found, "reasoning_content", text, path) or maybe(found, "reasoning", text, path)
        refusal = maybe(found, "refusal", text, path)
        calls = [
            _call(record(each, f"{path}.tool_calls[{number}]"), f"{path}.tool_calls[{number}]")
            for number, each in enumerate(maybe(found, "tool_calls", array, path) or ())
        ]
        if (function := maybe(found, "function_call", record, path)) is not None:
            where = f"{path}.function_call"
            name, arguments = needed(function, "name", word, where), needed(function, "arguments", text, where)
            calls.append(Call(f"call_{index}", name, arguments or "{}"))
            self._functions.append(calls[-1])
        self._calls |= {call.id: call for call in calls}
        parts: list[Part] = [Thinking(thought)] if thought else []
        parts += _texts(found, path)
        if refusal:
            parts.append(Text(refusal))
        self.turns.append(("assistant", [*parts, *calls]))

    def _called(self, name: str, path: str) -> str:
        for position, call in enumerate(self._functions):
            if call.name == name:
                return self._functions.pop(position).id
        raise InvalidBody(f"{path}.name answers no function_call before it", f"{path}.name")

    def _result(self, call_id: str, found: dict[str, Any], path: str) -> None:
        """Results that follow each other are one turn: the answer to the calls of one turn."""
        call = self._calls.get(call_id)
        parts = _shown(found, path)
        name = maybe(found, "name", text, path) if call is None else call.name
        result = Result(call_id, parts, name, custom=call is not None and call.custom)
        if self.turns and (last := self.turns[-1][1]) and isinstance(last[-1], Result):
            last.append(result)
        else:
            self.turns.append(("user", [result]))


def _call(found: dict[str, Any], path: str) -> Call:
    kind = maybe(found, "type", text, path) or "function"
    if kind not in ("function", "custom"):
        raise InvalidBody(f"{path}.type must be function or custom", f"{path}.type")
    call_id, where = needed(found, "id", word, path), f"{path}.{kind}"
    about = needed(found, kind, record, path)
    name = needed(about, "name", word, where)
    if kind == "custom":
        return Call(call_id, name, needed(about, "input", text, where), custom=True)
    return Call(call_id, name, maybe(about, "arguments", text, where) or "{}")


def _shown(found: dict[str, Any], path: str) -> tuple[Text | Image | Document, ...]:
    """The content of a result. OpenAI takes text only, some servers take images too."""
    shown: list[Text | Image | Document] = []
    for number, part in enumerate(content(found, path)):
        if not isinstance(part, Text | Image | Document):
            where = f"{path}.content[{number}].type"
            raise InvalidBody(f"{where} must be text in a message of this role", where)
        shown.append(part)
    return tuple(shown)


def _texts(found: dict[str, Any], path: str) -> list[Text]:
    """The content of a message that can be text only."""
    texts: list[Text] = []
    for number, part in enumerate(content(found, path)):
        if not isinstance(part, Text):
            where = f"{path}.content[{number}].type"
            raise InvalidBody(f"{where} must be text in a message of this role", where)
        texts.append(part)
    return texts


def content(found: dict[str, Any], path: str) -> list[Part]:
    """A string or an array of parts; empty texts are nothing."""
    value = found.get("content")
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [Text(value)]
    where = f"{path}.content"
    if not isinstance(value, list):
        raise InvalidBody(f"{where} must be a string or an array", where)
    parts = (_part(each, f"{where}[{number}]") for number, each in enumerate(array(value, where)))
    return [part for part in parts if part != _NOTHING]


_NOTHING = Text("")


def _part(value: Any, path: str) -> Part:
    found = record(value, path)
    kind = needed(found, "type", text, path)
    cache = mapping(found.get("cache_control")) or None
    if kind == "text":
        said = needed(found, "text", text, path)
        return Text(said, cache) if said else _NOTHING
    if kind == "refusal":
        return Text(needed(found, "refusal", text, path))
    if kind == "image_url":
        return _image(found, path, cache)
    if kind == "input_audio":
        about, where = needed(found, kind, record, path), f"{path}.{kind}"
        form = needed(about, "format", word, where)
        return Audio(_AUDIO.get(form, f"audio/{form}"), _one_line(needed(about, "data", word, where)))
    if kind == "file":
        return _file(needed(found, kind, record, path), f"{path}.{kind}", cache)
    raise InvalidBody(f"{path}.type {kind!r} cannot be translated", f"{path}.type")


def _image(found: dict[str, Any], path: str, cache: dict[str, Any] | None) -> Image:
    """`image_url` is an object; some servers and their clients write the URL alone."""
    about, where = found.get("image_url"), f"{path}.image_url"
    if isinstance(about, str):
        about = {"url": about}
    about = record(about, where)
    url, detail = needed(about, "url", word, where), maybe(about, "detail", text, where)
    if url[:5].lower() != "data:":
        return Image(url=url, detail=detail, cache=cache)
    media_type, data = _data_url(url, f"{where}.url")
    return Image(media_type, data, detail=detail, cache=cache)


def _file(found: dict[str, Any], path: str, cache: dict[str, Any] | None) -> Document:
    """Bare base64 is a PDF's: the type is said by a data URL alone."""
    if found.get("file_id") is not None:
        raise refused("file_id", f"{path}.file_id")
    data, name = needed(found, "file_data", word, path), maybe(found, "filename", text, path)
    if data[:5].lower() != "data:":
        return Document("application/pdf", _one_line(data), name=name, cache=cache)
    media_type, data = _data_url(data, f"{path}.file_data")
    return Document(media_type, data, name=name, cache=cache)


def _data_url(url: str, path: str) -> tuple[str, str]:
    """RFC 2397, base64 only: (media type, data)."""
    head, comma, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not comma or "base64" not in (each.strip().lower() for each in parameters) or not media_type:
        raise InvalidBody(f"{path} must be data:<media type>;base64,<data>", path)
    return media_type.strip().lower(), _one_line(data)


def _one_line(data: str) -> str:
    lines = data.split()
    return lines[0] if len(lines) == 1 else "".join(lines)
