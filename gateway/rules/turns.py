"""Conversations: which messages are the system's, which is the user's last, and wording either."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from gateway.protocols.codec import InvalidBody, Span
from gateway.protocols.edits import relisted
from gateway.protocols.spans import elements, inner, typed
from gateway.rules.dialect import Draft, Names
from gateway.rules.wording import Form, Wording, content

SYSTEM = frozenset({"system", "developer"})


class Message(Struct):
    """What any protocol says of one. `content` and `parts` are unread, empty when absent."""

    role: Any = None
    type: Any = None
    content: Raw = Raw()
    parts: Raw = Raw()

    @property
    def instructs(self) -> bool:
        return isinstance(self.role, str) and self.role in SYSTEM


class Conversation(NamedTuple):
    field: str
    span: Span
    places: list[Span]
    messages: list[Message]

    @property
    def instructions(self) -> list[int]:
        """The numbers of the messages that are the system's."""
        return [number for number, message in enumerate(self.messages) if message.instructs]


_messages = msgspec.json.Decoder(list[Message])
_message = msgspec.json.Decoder(Message)


def read(draft: Draft, names: Names, *, lone: bool = False) -> Conversation | None:
    """None when there is none, or an empty one. `lone`: one object may stand for the list. Raises InvalidBody."""
    name = draft.given(names)
    if name is None:
        return None
    body, span = draft.body, draft.found.spans[name]
    if lone and body[span[0]] == ord("{"):
        return Conversation(name, span, [span], [typed(_message, body, span, name)])
    if body[span[0]] != ord("["):
        raise InvalidBody(f"{name} must be an array", name)
    places = elements(body, span, name)
    return Conversation(name, span, places, typed(_messages, body, span, name)) if places else None


def reword(draft: Draft, said: Conversation, number: int, form: Form, wording: Wording, name: str = "content") -> None:
    """Words one message. Raises InvalidBody."""
    field = f"{said.field}[{number}]"
    message = inner(draft.body, said.places[number], {name}, field)
    draft.edits += content(draft.body, message, name, form, wording, f"{field}.{name}")


def instruct(
    draft: Draft, said: Conversation, form: Form, wording: Wording, numbers: Sequence[int] | None = None
) -> None:
    """Words the first message of the system, put first where there is none. In all others texts are only replaced.

    In its place means in place of all that the conversation begins with. `numbers`: which messages are the system's,
    if not all that instruct. Raises InvalidBody.
    """
    own = said.instructions if numbers is None else numbers
    later = next((number for number, message in enumerate(said.messages) if not message.instructs), len(said.messages))
    gone = {number for number in own[1:] if number < later} if wording.mode == "replace" else set[int]()
    if own:
        reword(draft, said, own[0], form, wording)
    if wording.replace:
        replace(draft, said, [number for number in own[1:] if number not in gone], form, wording)
    put = None if own or wording.mode == "off" else b'{"role":"system","content":' + wording.text + b"}"
    draft.edits += relisted(said.span, said.places, gone, put)


def replace(
    draft: Draft, said: Conversation, numbers: Iterable[int], form: Form, wording: Wording, name: str = "content"
) -> None:
    """Replaces texts in these messages, and puts none in. Raises InvalidBody."""
    for number in numbers:
        reword(draft, said, number, form, msgspec.structs.replace(wording, mode="off"), name)


def address(
    draft: Draft,
    said: Conversation,
    form: Form,
    wording: Wording,
    *,
    own: Callable[[Message], bool] = lambda message: message.role == "user",
    answers: Callable[[Message], bool] = lambda message: False,
    name: str = "content",
) -> None:
    """Words the user's last message. One that only `answers` calls counts when there is no other. Raises InvalidBody.

    Within a loop of calls the text so stays where it was, and with it what the provider's cache holds.
    """
    turns = [number for number, message in enumerate(said.messages) if own(message)]
    spoken = (number for number in reversed(turns) if not answers(said.messages[number]))
    if turns:
        reword(draft, said, next(spoken, turns[-1]), form, wording, name)
