"""Answers that the sandbox has no script for, in the protocol of any upstream. They are written by the codecs, whose
writing the grammars and the vendors' clients have judged; here it is only what an upstream says."""

import json
from collections.abc import Sequence

from gateway.local.sandbox.replay import Recording
from gateway.protocols.codec import Usage
from gateway.translation import SPEECHES
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Opened, Sealing
from gateway.translation.prompt import Family, Prompt, Sealed, Text, Turn
from gateway.translation.speech import Asking
from tests.conformance.matrix.said import Protocol

_ASKED = Prompt("m", (Turn("user", (Text("hi"),)),), stream=True, include_usage=True)
_ASKING = Asking("m", "req_of_the_upstream", 1_790_000_000, _ASKED)
_TYPES = {"ollama": "application/x-ndjson"}
FAMILIES: dict[Protocol, Family] = {
    "anthropic": "anthropic",
    "openai_responses": "openai",
    "gemini": "gemini",
}
"""Whose answers can hold what only they can read."""
SEAL = "c2VhbGVkIGZvciBpdHMgbWFrZXI="
_USAGE = Usage(input_tokens=70, cache_read_tokens=11, output_tokens=23, reasoning_tokens=5)
CITIES = ("Paris", "Łódź")


def parallel(upstream: Protocol) -> list[Event]:
    """Two calls side by side."""
    texts = [json.dumps({"city": city, "days": days}, ensure_ascii=False) for days, city in enumerate(CITIES)]
    calls: list[Event] = [Opened(number, "call", f"call_{number}", "weather") for number in (0, 1)]
    first = [Delta(number, text[:7]) for number, text in enumerate(texts)]
    rest = [Delta(number, text[7:]) for number, text in enumerate(texts)]
    return [Begun("m1", "m"), *calls, *first, *rest, Closed(1), Closed(0), Ended("tool_use", usage=_USAGE)]


def thinking(upstream: Protocol) -> list[Event]:
    """Thoughts, sealed where this maker seals them, before a call."""
    family = FAMILIES.get(upstream)
    seal: list[Event] = [Sealing(0, Sealed(family, SEAL))] if family else []
    call: list[Event] = [
        Opened(1, "call", "call_1", "weather"),
        Delta(1, '{"city":"Paris","days":2}'),
        *([Sealing(1, Sealed("gemini", SEAL))] if family == "gemini" else []),
        Closed(1),
    ]
    thought: list[Event] = [Opened(0, "thinking"), Delta(0, "Whether "), Delta(0, "it räins."), *seal, Closed(0)]
    return [Begun("m1", "m"), *thought, *call, Ended("tool_use", usage=_USAGE)]


def sequence(upstream: Protocol) -> list[Event]:
    words: list[Event] = [Opened(0, "text"), Delta(0, "one "), Delta(0, "two"), Closed(0)]
    return [Begun("m1", "m"), *words, Ended("stop_sequence", "END", _USAGE)]


def unended(upstream: Protocol) -> list[Event]:
    """It breaks off between two events, as if that were its end."""
    return [Begun("m1", "m"), Opened(0, "text"), *(Delta(0, f"{number} ") for number in range(9))]


def told(upstream: Protocol, events: Sequence[Event], stream: bool) -> Recording:
    speech = SPEECHES[upstream]
    writer = speech.writer(_ASKING)
    body = b"".join(map(writer.write, events)) if stream else speech.whole(_ASKING, events)
    kind = _TYPES.get(upstream, "text/event-stream") if stream else "application/json"
    return Recording("told", upstream, status=200, content_type=kind, stream=stream, response=body.decode())
