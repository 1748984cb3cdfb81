"""Instructions and turns, as the messages that a chat upstream takes.

Chat upstreams refuse a call without its result right after it, and anything but text in a result. Text alone is
always one string: many compatible servers take no parts. The templates of many models take one message of the system,
at the beginning, and roles that take turns: https://huggingface.co/docs/transformers/chat_templating_writing.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, TypeVar

from gateway.protocols.reading import written
from gateway.translation.arguments import as_object
from gateway.translation.names import legal
from gateway.translation.prompt import (
    Audio,
    Call,
    Document,
    Image,
    Part,
    Prompt,
    Result,
    Text,
    Thinking,
    Turn,
    Untranslatable,
)
from gateway.translation.rounds import settled

Message = dict[str, Any]
P = TypeVar("P")

_LONGEST_ID = 40
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}
_UNANSWERED = "error: this call was not answered"


class History:
    """`messages`: as they are sent. `adjusted`: what was put elsewhere or left out, by names of the loss table."""

    __slots__ = ("_openai", "adjusted", "messages")

    def __init__(self, prompt: Prompt, *, openai: bool) -> None:
        """`openai`: it is for a model of OpenAI's own. Those take instructions anywhere, and no `reasoning_content`.
        Raises Untranslatable."""
        self.messages: list[Message] = []
        self.adjusted: dict[str, None] = {}
        self._openai = openai
        first = next((at for at, turn in enumerate(prompt.turns) if turn.role != "system"), len(prompt.turns))
        self._said(Turn("system", (*prompt.system, *(part for turn in prompt.turns[:first] for part in turn.parts))))
        calls: tuple[Call, ...] = ()
        between: list[Turn] = []
        for turn in _merged(settled(prompt.turns[first:])):
            if turn.role != "assistant":
                between.append(turn)
                continue
            self._between(calls, between)
            calls, between = _only(turn.parts, Call), []
            self._assistant(turn.parts, calls)
        self._between(calls, between)

    def _assistant(self, parts: Sequence[Part], calls: tuple[Call, ...]) -> None:
        for part in parts:
            if isinstance(part, Image | Document | Audio):
                raise _of_users(part)
        texts = _only(parts, Text)
        message: Message = {"role": "assistant", "content": _joined(texts) if texts or not calls else None}
        thoughts = [each for each in _only(parts, Thinking) if each.sealed is None and each.text]
        if thoughts and not self._openai:
            message["reasoning_content"] = "\n\n".join(each.text for each in thoughts)
        if calls:
            message["tool_calls"] = [_call(call) for call in calls]
        self.messages.append(message)

    def _between(self, calls: tuple[Call, ...], turns: Sequence[Turn]) -> None:
        """What stands between two turns of the assistant: the results, what they show, then all else in order."""
        results = [part for turn in turns for part in _only(turn.parts, Result)]
        shown: list[Message] = []
        for result in results:
            media = [part for part in result.content if _is_media(part)]
            self._result(result, bool(media))
            if media:
                self.adjusted["tool_result.media"] = None
                shown.append({"type": "text", "text": f"The result of {short_id(result.call_id)} shows:"})
                shown += [_part(part) for part in media]
        answered = {result.call_id for result in results}
        for call in calls:
            if call.id not in answered:
                self.messages.append({"role": "tool", "tool_call_id": short_id(call.id), "content": _UNANSWERED})
        if shown:
            self._add("user", shown)
        for turn in turns:
            self._said(turn)

    def _result(self, result: Result, media: bool) -> None:
        said = _joined(_as_text(result.content))
        if not said:
            said = "The result is shown in the next message." if media else "error" if result.error else ""
        self.messages.append({"role": "tool", "tool_call_id": short_id(result.call_id), "content": said})

    def _said(self, turn: Turn) -> None:
        """A turn of the user or the system, less its results, which have been written."""
        rest = [part for part in turn.parts if not isinstance(part, Result | Thinking)]
        if not rest and (turn.parts or turn.role == "system"):
            return
        texts = _as_text(rest)
        if len(texts) == len(rest):
            self._add(turn.role, _joined(texts))
        elif turn.role == "system":
            raise _of_users(next(part for part in rest if not isinstance(part, Text)))
        else:
            self._add("user", [_part(part) for part in rest])

    def _add(self, role: str, content: str | list[Message]) -> None:
        """Instructions between messages stand in the user's words where the model's template may refuse them: moved up
        to the others they would make the upstream's cache of all that follows worthless."""
        if self._openai or not self.messages:
            self.messages.append({"role": role, "content": content})
            return
        if role == "system":
            self.adjusted["system turns"] = None
        last = self.messages[-1]
        if last["role"] == "user":
            self.messages[-1] = {"role": "user", "content": _together(last["content"], content)}
        else:
            self.messages.append({"role": "user", "content": content})


def short_id(call_id: str) -> str:
    """OpenAI takes 40 characters. The same for a call and its result; new calls bring their own ids."""
    if len(call_id) <= _LONGEST_ID:
        return call_id
    return f"call_{sha256(call_id.encode(errors='surrogatepass')).hexdigest()[:32]}"


def _merged(turns: Sequence[Turn]) -> Iterable[Turn]:
    """Turns of the assistant that follow each other are one where calls would be parted from their results."""
    last: Turn | None = None
    for turn in turns:
        if last is not None and last.role == turn.role == "assistant" and _only(last.parts, Call):
            last = Turn("assistant", last.parts + turn.parts)
            continue
        if last is not None:
            yield last
        last = turn
    if last is not None:
        yield last


def _only(parts: Iterable[Any], kind: type[P]) -> tuple[P, ...]:
    return tuple(part for part in parts if isinstance(part, kind))


def _joined(texts: Iterable[Text]) -> str:
    return "\n\n".join(each.text for each in texts if each.text)


def _together(first: str | list[Message], second: str | list[Message]) -> str | list[Message]:
    """The contents of two messages, as that of one."""
    if isinstance(first, str) and isinstance(second, str):
        return "\n\n".join(text for text in (first, second) if text)
    return [part for each in (first, second) for part in _parts(each)]


def _parts(content: str | list[Message]) -> list[Message]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _is_media(part: Part) -> bool:
    return isinstance(part, Image) or (isinstance(part, Document) and part.text is None)


def _as_text(parts: Iterable[Part]) -> list[Text]:
    """Those that are text, a document's text too."""
    found: list[Text] = []
    for part in parts:
        if isinstance(part, Text):
            found.append(part)
        elif isinstance(part, Document) and part.text is not None:
            found.append(Text(part.text))
    return found


def _call(call: Call) -> Message:
    """A free-form call as one of the function that its tool is sent as."""
    arguments = call.arguments or "{}"
    if call.custom:
        arguments = written(as_object(call.arguments, custom=True)).decode()
    return {"id": short_id(call.id), "type": "function", "function": {"name": legal(call.name), "arguments": arguments}}


def _part(part: Part) -> Message:
    """A part of a user's message. Raises Untranslatable."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        about = {"url": part.url if part.data is None else f"data:{part.media_type};base64,{part.data}"}
        if part.detail is not None:
            about["detail"] = part.detail
        return {"type": "image_url", "image_url": about}
    if isinstance(part, Audio):
        kind = part.media_type.partition("/")[2].partition(";")[0]
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": _FORMATS.get(kind, kind)}}
    if isinstance(part, Document):
        return _document(part)
    raise Untranslatable("messages", "calls of tools stand in turns of the assistant")


def _document(part: Document) -> Message:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    if part.data is None:
        raise Untranslatable("document.url", "a document's URL cannot be given to this model: send its data")
    media_type = part.media_type or "application/pdf"
    name = part.name or f"document.{media_type.rpartition('/')[2]}"
    return {"type": "file", "file": {"filename": name, "file_data": f"data:{media_type};base64,{part.data}"}}


def _of_users(part: Part) -> Untranslatable:
    what = "image" if isinstance(part, Image) else "input_audio" if isinstance(part, Audio) else "document"
    return Untranslatable(what, f"{what} can be given to this model in a message of the user only")
