"""An answer in no protocol, as the events of its stream; an answer in one piece is the same events at once. Pure.

    Begun  (Opened Delta* Sealing? Closed | …)*  Ended          or  Failed at any place

Blocks may be open side by side (OpenAI's parallel calls interleave): every event names its block, counted from 0 in the
order in which they are opened. A reader gives the same events however its bytes are cut, and closes what it has opened.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from gateway.protocols.codec import Usage
from gateway.translation.prompt import Sealed

Stop = Literal["end", "stop_sequence", "length", "tool_use", "refusal", "pause"]


class Begun(Struct, frozen=True):
    """`usage`: what is known of it already."""

    id: str | None = None
    model: str | None = None
    usage: Usage | None = None


class Opened(Struct, frozen=True):
    """A block begins. Calls have an id and a name; `custom`: its text is free, not JSON. `redacted` thinking has no
    text."""

    block: int
    kind: Literal["text", "thinking", "call"]
    id: str | None = None
    name: str | None = None
    custom: bool = False
    redacted: bool = False


class Delta(Struct, frozen=True):
    """More of a block's text, thinking or arguments."""

    block: int
    text: str


class Sealing(Struct, frozen=True):
    """What only the maker can read of a block of thinking, or of a call (Gemini)."""

    block: int
    sealed: Sealed


class Logprobs(Struct, frozen=True):
    """Of the tokens of a text block, in OpenAI chat's form (`{"token", "logprob", "bytes", "top_logprobs"}` each)."""

    block: int
    tokens: tuple[Mapping[str, Any], ...]


class Closed(Struct, frozen=True):
    block: int


class Ended(Struct, frozen=True):
    """`usage`: the final figures, None when the upstream gave none. `sequence`: the stop sequence that was met."""

    stop: Stop
    sequence: str | None = None
    usage: Usage | None = None


class Failed(Struct, frozen=True):
    """An error after the answer had begun. `status`: the closest HTTP status."""

    status: int
    message: str
    code: str | None = None


Event = Begun | Opened | Delta | Sealing | Logprobs | Closed | Ended | Failed
