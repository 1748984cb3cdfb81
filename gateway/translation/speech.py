"""What a protocol offers beside its verbatim codec (gateway.protocols.codec): its requests and answers, to and from the
neutral form. Pure: no IO; ids and the clock are given. One module a protocol, one row in `SPEECHES`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from gateway.protocols.codec import Problem, Reader
from gateway.translation.events import Event
from gateway.translation.prompt import Prompt


def _nothing() -> int:
    return 0


class Asking(Struct, frozen=True):
    """What a writer needs to know of the client's request. `request_id` makes ids (`msg_…`, `chatcmpl-…`) that are the
    same however often the answer is written; `created` is in epoch seconds."""

    model: str
    """As the client asked for it: what the answer names."""
    request_id: str
    created: int
    prompt: Prompt
    action: str = "chat"
    """Ollama: `chat` or `generate`."""
    array: bool = False
    """Gemini: a stream is a JSON array, not events."""
    estimated: int = 0
    """Tokens of the prompt, for a protocol that says them at the beginning, when the upstream says them at its end."""
    elapsed: Callable[[], int] = _nothing
    """Nanoseconds since the request came."""
    unload: bool = False
    """Ollama: a request without messages that lets the model go (`keep_alive` of 0)."""


class Built(Struct, frozen=True):
    """A request for an upstream. `adjusted`: what was clamped or left out, for `x-poolgate-adjusted`; `headers`: those
    of the client that are to be replaced (lower-case names)."""

    body: bytes
    adjusted: tuple[str, ...] = ()
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Limits(Struct, frozen=True):
    """What is known of the target's model."""

    model: str
    """The upstream's name."""
    max_output: int | None = None


class EventReader(Protocol):
    """Reads the upstream's answer, however it is cut; bounded. Invalid input is a Failed event, never an exception."""

    def feed(self, data: bytes) -> Sequence[Event]: ...

    def close(self) -> Sequence[Event]:
        """The end of the body: what is still open is closed; an answer without its end gives Failed."""
        ...


class EventWriter(Protocol):
    """Writes a stream for the client."""

    content_type: bytes

    def write(self, event: Event) -> bytes: ...

    def ping(self) -> bytes:
        """What keeps a silent stream alive; b"" where the protocol has nothing for it."""
        ...


class Upstream(Struct, frozen=True, kw_only=True):
    """What an upstream is asked, and what it says. `build` raises Untranslatable."""

    name: str
    build: Callable[[Prompt, Limits], Built]
    reader: Callable[[bool], EventReader]
    """Of its answer; the flag says whether that is a stream."""
    failure: Callable[[int, bytes], Problem]
    """(status, body) of its error → what is said to the client. The message is the upstream's own words."""
    meter: Callable[[bool], Reader] | None = None
    """What listens for its figures, where no client speaks it; the others have their protocol's own reader."""


class Speech(Upstream, frozen=True, kw_only=True):
    """What clients speak too. `parse` raises InvalidBody, naming the field."""

    parse: Callable[[bytes, Any], Prompt]
    """(body, Endpoint)."""
    writer: Callable[[Asking], EventWriter]
    whole: Callable[[Asking, Sequence[Event]], bytes]
    """An answer in one piece, from all of its events. They hold no Failed."""
