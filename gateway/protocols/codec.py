"""What a protocol module offers: reading requests without changing them, listening to answers, speaking errors.

Pure: no IO, no clock, no framework. One module a protocol, one row in `CODECS` (see `gateway.protocols`).
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

Span = tuple[int, int]
"""Start and end of a value inside the body, in bytes: `body[start:end]` is the value's own JSON text."""


class Peek(Struct, frozen=True):
    """What the gateway needs to know of a request body; everything else stays unread.

    `models` are the spans of every copy of the model name in the body (Gemini has some), to be replaced together;
    `insert_at` is where a first member can be put (just after the opening brace).
    """

    model: str | None
    stream: bool = False
    max_tokens: int | None = None
    models: tuple[Span, ...] = ()
    insert_at: int = 1
    empty: bool = False
    """True when the top-level object has no member (an insertion then needs no comma)."""
    stream_options: Span | None = None
    include_usage: bool = False
    """OpenAI chat: the client itself asked for `stream_options.include_usage`."""
    session: str | None = None
    """A session id found in the body (metadata.user_id, prompt_cache_key, session_id), unhashed."""
    previous_response_id: str | None = None
    reasoning: str | None = None
    """Digest of the last piece of encrypted reasoning in it, which the organisation that made it alone can read."""
    written_in: str = ""
    """The protocol of the body where it is not the endpoint's own: it has to be translated whoever is asked."""
    answers: int = 1
    """How many answers to the one prompt are asked for, each of `max_tokens` (OpenAI `n`, Gemini `candidateCount`)."""


class InvalidBody(Exception):
    """The request body cannot be used. `field` names the member at fault (None: the body as a whole)."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class Problem(Struct, frozen=True):
    """An error of the gateway's own, to be said in a client's protocol."""

    status: int
    code: str
    message: str
    field: str | None = None
    request_id: str = ""


class Usage(Struct, frozen=True):
    """Tokens by class, as the provider reported them. `reasoning` is part of `output`; `input` leaves caches out.

    `audio` and `image` are the parts of all of these that the provider named as such, asked and answered together;
    `server_tool_calls` are those that it made itself and said the number of.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    server_tool_calls: int = 0


class Share(Struct, frozen=True):
    """What one sampling of an answer used, billed by itself: by its model (None: that of the request), in its tier."""

    usage: Usage
    model: str | None = None


class Sampled(Usage, frozen=True):
    """The sums of an answer that the provider sampled several times, and made known as such."""

    shares: tuple[Share, ...] = ()


class Failure(Struct, frozen=True):
    """An error that arrived inside a 200: its closest HTTP status and its JSON text."""

    status: int
    body: bytes


class Reader(Protocol):
    """Listens to one answer, fed with a copy of the bytes in order, however they are cut. Bounded memory."""

    begun: bool
    """The first complete event (or the first byte of an answer in one piece) has been seen."""
    failure: Failure | None
    """Set when an error event was seen, first or later."""
    failed_first: bool
    """That error was the first event."""
    complete: bool
    """The protocol's own end was seen (message_stop, [DONE], response.completed, finishReason…)."""
    usage: Usage | None
    """The provider's figures so far, None when it gave none or they were absurd (negative, not numbers)."""
    doubt: str
    """Why its figures are not believed: `absurd_usage`, `disputed_usage` (two reports of one answer differ), or ""."""
    usage_final: bool
    """`usage` is the final report of the answer, not only the opening one."""
    response_id: str | None
    """OpenAI Responses: `resp_…`, where the upstream keeps the response for a later request."""
    reasoning: dict[str, None]
    """OpenAI Responses: digests of the last pieces of encrypted reasoning that the answer gave, in order."""
    characters: int
    """Characters of text delivered so far, for an estimate when the provider's figures never come."""

    def feed(self, data: bytes) -> None: ...

    def close(self) -> None:
        """End of the body: a last event without its blank line is read too."""
        ...


class UsageFilter(Protocol):
    """Takes out of a stream the one event that is there only because the gateway asked for usage."""

    def feed(self, data: bytes) -> bytes: ...

    def close(self) -> bytes: ...


class Endpoint(Struct, frozen=True):
    """One thing clients ask for in a protocol. `path` is below the prefixes; `{…}` are parameters.

    `operation` names what is wanted: generate, count, embed.
    """

    protocol: str
    operation: str
    path: str
    action: str = ""
    """Gemini: generateContent, streamGenerateContent, countTokens, embedContent, batchEmbedContents."""


class Codec(Struct, frozen=True):
    """A protocol, as a record of plain functions."""

    name: str
    endpoints: tuple[Endpoint, ...]
    peek: Callable[[Endpoint, bytes], Peek]
    """Raises InvalidBody. Reads the top level of the body once."""
    rename: Callable[[Endpoint, bytes, Peek, str], bytes]
    """The body with the model's name replaced in place (inserted where it is missing); nothing else changes."""
    reader: Callable[[Endpoint, bool], Reader]
    """A Reader for an answer; the flag says whether the answer is an event stream (by its content type)."""
    error: Callable[[Problem], bytes]
    """The JSON body of an error answer."""
    stream_error: Callable[[Problem], bytes]
    """The event that ends a stream which failed after its first byte; never a normal end."""
    stream_type: bytes = b"text/event-stream"
    """The content type by which an upstream's answer is known for a stream of events."""
    limit_headers: str = ""
    """Dialect of rate-limit headers: `openai`, `anthropic` or none."""
    with_usage: Callable[[bytes, Peek, str], bytes] | None = None
    """(body, peek, model) → the body that asks a stream for its usage, where the protocol gives none by itself."""
    usage_filter: Callable[[], UsageFilter] | None = None
    array_error: Callable[[Problem, Reader], bytes | None] | None = None
    """What ends a broken stream that is a JSON array and was read so far by this reader; None where nothing can."""
    without_reasoning: Callable[[bytes], bytes] | None = None
    """The body less its pieces of encrypted reasoning, for an account of another organisation."""
    without_foreign: Callable[[bytes], bytes] | None = None
    """The body less what only a translated answer can have left in it. Raises InvalidBody."""
    request_id_header: bytes = b""
    """The name under which clients of the protocol look for a request id in answers that we make."""
