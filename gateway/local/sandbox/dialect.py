"""What a protocol's file offers to the sandbox: how its requests read, and how its answers, events and errors look."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from gateway.local.sandbox.answer import Answer, Ask, Members
from gateway.local.sandbox.server import Request

Events = Iterator[tuple[bytes, int]]
"""Each event as it is sent, and the output tokens generated up to and with it."""


class Target(Struct, frozen=True):
    """What the path asks for. `operation`: generate, count, embed, list, model, show."""

    operation: str
    model: str = ""
    action: str = ""
    sse: bool = True


class Fault(Struct, frozen=True):
    """An error to be said in a provider's words. `message` is empty for the provider's usual one."""

    status: int
    message: str = ""
    reason: str = ""
    param: str | None = None
    retry_after: int | None = None
    first: bool = False
    """In a stream: nothing came before it."""


class Vectors(Struct, frozen=True):
    """What a request to embed asks for."""

    model: str
    texts: tuple[str, ...]
    tokens: int
    dimensions: int
    base64: bool = False


class Dialect(Struct, frozen=True):
    """A protocol, as a record of plain functions. `ask`, `count` and `vectors` raise Invalid."""

    name: str
    ask: Callable[[Target, Members], Ask]
    identify: Callable[[Answer], str]
    """The answer's id, as its client reads it."""
    whole: Callable[[Ask, Answer], bytes]
    events: Callable[[Ask, Answer], Events]
    fault: Callable[[Fault, str], bytes]
    """An error body; the second argument is the request id."""
    event_fault: Callable[[Ask, Answer, Fault], bytes]
    """The error inside a stream."""
    headers: Callable[[str, Fault | None], str]
    """Header lines of any answer, for a request id and the error, if it is one; without the content type."""
    stream_type: str = "text/event-stream; charset=utf-8"
    json_type: str = "application/json"
    free: bool = False
    """Asks for no credential."""
    count: Callable[[Target, Members], bytes] | None = None
    vectors: Callable[[Target, Members], Vectors] | None = None
    embedded: Callable[[Target, Vectors, list[list[float]]], bytes] | None = None
    verify: Callable[[Request], Fault | None] | None = None
    """What is wrong with the request's signature, where the protocol has one."""
