"""A request in no protocol: what all of them can say, as values. Pure.

Every codec reads its own requests into this (`parse`) and writes its own from it (`build`). A member that a client did
not give is None or empty here, and 0, False and an empty list are values: presence is tested, never truth.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

Effort = Literal["minimal", "low", "medium", "high", "xhigh"]
Family = Literal["anthropic", "openai", "gemini"]
"""Who can read what is sealed: Anthropic's signatures are Bedrock's and Vertex' too."""
Role = Literal["system", "user", "assistant"]


class Sealed(Struct, frozen=True):
    """What only its maker can read: a signature, encrypted reasoning, a thought signature. Kept as it came."""

    family: Family
    data: str
    id: str | None = None
    """OpenAI Responses: the id of the reasoning item."""


class Text(Struct, frozen=True, tag=True):
    text: str
    cache: Mapping[str, Any] | None = None
    """Anthropic's `cache_control`, as it came. Of every part that can have one."""


class Image(Struct, frozen=True, tag=True):
    """`data` is base64 without line breaks, with its `media_type`; or `url`, which the gateway never fetches."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    detail: str | None = None
    cache: Mapping[str, Any] | None = None


class Document(Struct, frozen=True, tag=True):
    """A file: base64 `data` with its `media_type`, plain `text`, or a `url`."""

    media_type: str | None = None
    data: str | None = None
    text: str | None = None
    url: str | None = None
    name: str | None = None
    cache: Mapping[str, Any] | None = None


class Audio(Struct, frozen=True, tag=True):
    """Base64 `data`; `media_type` such as audio/wav."""

    media_type: str
    data: str


class Thinking(Struct, frozen=True, tag=True):
    """`text` may be empty where only the sealed form is known (`redacted`: the maker does not want it to be read)."""

    text: str = ""
    sealed: Sealed | None = None
    redacted: bool = False


class Call(Struct, frozen=True, tag=True):
    """The model calls a tool. `arguments`: the JSON text that it wrote, "{}" for none; of a `custom` tool free text."""

    id: str
    name: str
    arguments: str = "{}"
    custom: bool = False
    sealed: Sealed | None = None
    """Gemini: the thought signature that came with it."""
    cache: Mapping[str, Any] | None = None


class Result(Struct, frozen=True, tag=True):
    """What a call came to. `name` is the tool's, where the protocol says it or the history tells."""

    call_id: str
    content: tuple["Text | Image | Document", ...] = ()
    name: str | None = None
    error: bool = False
    custom: bool = False
    cache: Mapping[str, Any] | None = None


Part = Text | Image | Document | Audio | Thinking | Call | Result


class Turn(Struct, frozen=True):
    """One message. Results stand in user turns, calls and thinking in assistant turns. Instructions that stand between
    messages stay where they are, as turns of the system."""

    role: Role
    parts: tuple[Part, ...]


class Tool(Struct, frozen=True):
    """`schema`: JSON schema of the arguments, None where the client gave none. `custom`: it takes one free text."""

    name: str
    description: str | None = None
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    custom: bool = False
    cache: Mapping[str, Any] | None = None


class Choice(Struct, frozen=True):
    """`one`: the tool of this `name`. `parallel`: False allows one call at a time, None says nothing."""

    mode: Literal["auto", "none", "required", "one"] | None = None
    name: str | None = None
    parallel: bool | None = None


class Format(Struct, frozen=True):
    """`json`: some JSON; `schema`: JSON of this schema."""

    kind: Literal["json", "schema"]
    schema: Mapping[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Reasoning(Struct, frozen=True):
    """How much is to be thought. `enabled` False: not at all. A budget is in tokens; `shown` None says nothing."""

    enabled: bool | None = None
    effort: Effort | None = None
    budget: int | None = None
    shown: bool | None = None


class Prompt(Struct, frozen=True):
    """The whole request. `system` is what stands before all messages, in order."""

    model: str
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    stream: bool = False
    include_usage: bool = False
    """OpenAI chat: the client wants a stream's usage."""
    tools: tuple[Tool, ...] = ()
    choice: Choice = Choice()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None
    """How many alternatives of each token are wanted; 0: only the one that was taken."""
    format: Format | None = None
    reasoning: Reasoning = Reasoning()
    user: str | None = None
    metadata: Mapping[str, Any] | None = None
    service_tier: str | None = None
    dropped: tuple[str, ...] = ()
    """Members that the client gave and that no other protocol has a place for, by name: rows of the loss table."""


class Untranslatable(Exception):
    """The request asks for what the target cannot do, and leaving it out would change the answer. `field` names it as
    the client wrote it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
