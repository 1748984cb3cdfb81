"""Requests of Ollama's clients, read: https://docs.ollama.com/api/chat and https://docs.ollama.com/api/generate.

Calls have no ids in most clients: they are numbered, the same ones as long as the history only grows, and a result is
that of the first unanswered call of its name.
"""

import re
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.protocols.codec import Endpoint, InvalidBody
from gateway.translation.ollama.losses import OPTIONS
from gateway.translation.prompt import (
    Call,
    Effort,
    Format,
    Image,
    Part,
    Prompt,
    Reasoning,
    Result,
    Role,
    Text,
    Thinking,
    Tool,
    Turn,
)

T = TypeVar("T")
_ABSENT = Raw(b"null")
_LEVELS: dict[str, Effort] = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "xhigh",
}
_DROPPED = ("context", "keep_alive", "shift", "truncate")
#: Of a duration as Go writes it (https://pkg.go.dev/time#ParseDuration).
_NO_TIME = re.compile(r"[+-]?(?:0+(?:\.0*)?(?:ns|us|µs|ms|s|m|h)?)+")
_Number = int | float
"""Whole numbers that a client may write as 7.0."""


class _Function(Struct):
    name: str
    arguments: Raw = _ABSENT


class _Call(Struct):
    function: _Function
    id: str | None = None


class _Message(Struct):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    name: str | None = None
    """What older clients call `tool_name`."""
    tool_call_id: str | None = None


class _ToolFunction(Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Struct):
    function: _ToolFunction


class _Options(Struct):
    num_predict: _Number | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: _Number | None = None
    seed: _Number | None = None
    stop: list[str] | str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class _Asked(Struct, kw_only=True):
    model: str
    stream: bool | None = None
    format: dict[str, Any] | Literal["", "json"] | None = None
    think: bool | str | None = None
    options: Raw = _ABSENT
    logprobs: bool | None = None
    top_logprobs: int | None = None
    context: Any = None
    keep_alive: Any = None
    shift: Any = None
    truncate: Any = None


class _Chat(_Asked, kw_only=True):
    messages: list[_Message] | None = None
    tools: list[_Tool] | None = None


class _Generate(_Asked, kw_only=True):
    prompt: str | None = None
    system: str | None = None
    images: list[str] | None = None
    suffix: str | None = None
    template: str | None = None
    raw: bool | None = None


class _Kept(Struct):
    keep_alive: Any = None


_kept = msgspec.json.Decoder(_Kept)
_chat = msgspec.json.Decoder(_Chat)
_generate = msgspec.json.Decoder(_Generate)
_options = msgspec.json.Decoder(_Options)
_members = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)
_place = re.compile(r"(.*) - at `\$\.?(.*)`\Z", re.DOTALL)


def parse(body: bytes, endpoint: Endpoint) -> Prompt:
    """Of `/api/generate` when the endpoint's action says so. A prompt without turns only loads the model, or frees it.
    Raises InvalidBody."""
    try:
        body.decode()  # a raw value is not checked for UTF-8 by the decoder
    except UnicodeDecodeError:
        raise InvalidBody("the body is not valid UTF-8") from None
    if endpoint.action == "generate":
        return _generation(_read(_generate, body))
    asked = _read(_chat, body)
    history = _History(asked.messages or ())
    return _prompt(asked, history.system, history.turns, [_tool(each.function) for each in asked.tools or ()])


def _read(decoder: msgspec.json.Decoder[T], text: bytes, within: str = "") -> T:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        found = _place.match(str(error))
        reason, place = (found[1], found[2]) if found else (str(error), "")
        field = ".".join(filter(None, (within, place))) or None
        raise InvalidBody(f"{field or 'the body'}: {reason[:1].lower()}{reason[1:]}", field) from None
    except RecursionError:
        raise InvalidBody("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(f"the body is not valid JSON: {error}") from None


def _prompt(asked: _Asked, system: Sequence[Text], turns: Sequence[Turn], tools: Sequence[Tool]) -> Prompt:
    given = bytes(asked.options)
    options = _Options() if given == b"null" else _read(_options, given, "options")
    names = () if given == b"null" else _read(_members, given, "options")
    dropped = [name for name in _DROPPED if getattr(asked, name) is not None]
    return Prompt(
        model=asked.model,
        turns=tuple(turns),
        system=tuple(system),
        stream=asked.stream is not False,
        tools=tuple(tools),
        max_tokens=_whole(options.num_predict) if (options.num_predict or 0) >= 0 else None,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=_whole(options.top_k),
        stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
        seed=_whole(options.seed),
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        logprobs=asked.top_logprobs or 0 if asked.logprobs else None,
        format=_format(asked.format),
        reasoning=_reasoning(asked.think),
        dropped=(*dropped, *(f"options.{name}" for name in names if name in OPTIONS)),
    )


def _generation(asked: _Generate) -> Prompt:
    for name, given in (("suffix", asked.suffix), ("template", asked.template), ("raw", asked.raw)):
        if given:
            raise InvalidBody(f"{name} cannot be used with this model: it needs a server of Ollama's own", name)
    parts = _content(asked.prompt, asked.images, "images")
    system = [Text(asked.system)] if asked.system else []
    return _prompt(asked, system, [Turn("user", parts)] if parts else [], [])


class _History:
    """The turns of the messages, as they are read in order."""

    def __init__(self, messages: Sequence[_Message]) -> None:
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self._taken = {call.id for message in messages for call in message.tool_calls or ()}
        self._made = 0
        self._open: dict[str, str] = {}
        """Calls of the last turn that has some, not yet answered: id → name."""
        for at, message in enumerate(messages):
            self._add(message, f"messages[{at}]")

    def _add(self, message: _Message, field: str) -> None:
        match message.role.lower():
            case "system" | "developer":
                self._instruct(message.content or "")
            case "user":
                self._turn("user", _content(message.content, message.images, f"{field}.images"))
            case "assistant":
                self._turn("assistant", self._said(message, field))
            case "tool":
                self._answer(message, field)
            case role:
                raise InvalidBody(f"{field}.role is {role!r}, not system, user, assistant or tool", f"{field}.role")

    def _turn(self, role: Role, parts: tuple[Part, ...]) -> None:
        if parts:
            self.turns.append(Turn(role, parts))

    def _instruct(self, text: str) -> None:
        if not text:
            return
        if self.turns:
            self.turns.append(Turn("system", (Text(text),)))
        else:
            self.system.append(Text(text))

    def _said(self, message: _Message, field: str) -> tuple[Part, ...]:
        thinking = (Thinking(message.thinking),) if message.thinking else ()
        calls = [
            Call(call.id or self._fresh(), call.function.name, _arguments(call.function.arguments))
            for call in message.tool_calls or ()
        ]
        if calls:
            self._open = {call.id: call.name for call in calls}
        return (*thinking, *_content(message.content, message.images, f"{field}.images"), *calls)

    def _answer(self, message: _Message, field: str) -> None:
        """Results that follow one another stand in one turn."""
        call, name = self._answered(message)
        content = _content(message.content, message.images, f"{field}.images")
        result = Result(call, content, name)
        last = self.turns[-1] if self.turns else None
        if last is not None and last.role == "user" and all(isinstance(part, Result) for part in last.parts):
            self.turns[-1] = Turn("user", (*last.parts, result))
        else:
            self.turns.append(Turn("user", (result,)))

    def _answered(self, message: _Message) -> tuple[str, str | None]:
        """The id and the name of the call that this is the result of."""
        given, name = message.tool_call_id, message.tool_name or message.name
        if given is None or given not in self._taken:
            named = (made for made, called in self._open.items() if called == name)
            given = next(named, None) or next(iter(self._open), None) or given or self._fresh()
        return given, self._open.pop(given, name)

    def _fresh(self) -> str:
        while True:
            made = f"call_{self._made}"
            self._made += 1
            if made not in self._taken:
                return made


def _content(text: str | None, images: list[str] | None, field: str) -> tuple[Text | Image, ...]:
    found = [_image(data, f"{field}[{at}]") for at, data in enumerate(images or ())]
    return (*((Text(text),) if text else ()), *found)


def _image(data: str, field: str) -> Image:
    """Ollama's images do not say what they are: their first bytes do."""
    data = "".join(data.split())
    try:
        head = b64decode(data[:16])
    except ValueError:
        head = b""
    if head.startswith(b"\x89PNG"):
        kind = "image/png"
    elif head.startswith(b"\xff\xd8\xff"):
        kind = "image/jpeg"
    elif head.startswith(b"GIF8"):
        kind = "image/gif"
    elif head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        kind = "image/webp"
    else:
        raise InvalidBody(f"{field} is not a PNG, JPEG, GIF or WebP image in base64", field)
    return Image(media_type=kind, data=data)


def _arguments(raw: Raw) -> str:
    """The object as it is written; some clients give it as a text that holds it."""
    text = bytes(raw)
    if text in (b"null", b'""'):
        return "{}"
    return _read(_string, text) if text.startswith(b'"') else text.decode()


def _tool(function: _ToolFunction) -> Tool:
    return Tool(function.name, function.description, function.parameters)


def _format(given: dict[str, Any] | str | None) -> Format | None:
    if isinstance(given, dict):
        return Format("schema", given)
    return Format("json") if given else None


def _reasoning(think: bool | str | None) -> Reasoning:
    """Whoever asks for thinking gets to see it."""
    if not think:
        return Reasoning(enabled=None if think is None or think == "" else False)
    if think is True:
        return Reasoning(enabled=True, shown=True)
    if think not in _LEVELS:
        raise InvalidBody(f"think must be true, false or one of {', '.join(_LEVELS)}", "think")
    return Reasoning(enabled=True, effort=_LEVELS[think], shown=True)


def _whole(number: _Number | None) -> int | None:
    return None if number is None else int(number)


def unloads(body: bytes) -> bool:
    """Whether the model is not to be kept for any time. Of a body that was parsed."""
    kept = _kept.decode(body).keep_alive
    return kept == 0 if isinstance(kept, int | float) else isinstance(kept, str) and bool(_NO_TIME.fullmatch(kept))
