"""Answers that no provider gave: valid sequences of events, however interleaved, for every writer to write."""

import json
from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from gateway.protocols.codec import Usage
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Opened, Sealing
from gateway.translation.prompt import Sealed

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "é😀", "\n\n", '"\\', "</a>"]
)
names = st.from_regex(r"[a-z_][a-zA-Z0-9_-]{0,20}", fullmatch=True)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=3)
arguments = st.builds(
    lambda value, indent, escaped: json.dumps(value, indent=indent, ensure_ascii=escaped),
    objects,
    st.sampled_from([None, 1]),
    st.booleans(),
)
"""JSON text of a call's arguments."""
broken = st.sampled_from(["", "{", '{"a":', "[1]", "7", "it's", "{'a': 1}"])
"""What models write instead."""

counts = st.integers(0, 10**6)
usages = st.builds(Usage, counts, counts, counts, counts, st.integers(10, 10**6), st.integers(0, 10))
seals = st.binary(min_size=1, max_size=9).map(lambda data: b64encode(data).decode())
"""Of any maker: Google's are bytes, so they must be base64."""
families = st.sampled_from(["anthropic", "openai", "gemini"])


@st.composite
def _block(draw: st.DrawFn, number: int) -> tuple[Opened, list[Event], Closed]:
    kind = draw(st.sampled_from(["text", "text", "thinking", "call"]))
    redacted = kind == "thinking" and draw(st.integers(0, 4)) == 0
    opened = Opened(number, "text")
    said = "" if redacted else "".join(draw(st.lists(texts, max_size=4)))
    if kind == "thinking":
        opened = Opened(number, "thinking", redacted=redacted)
    elif kind == "call":
        opened = Opened(number, "call", f"call_{number}", draw(names))
        said = draw(arguments | broken)
    cuts = sorted(draw(st.lists(st.integers(0, len(said)), max_size=4)))
    pieces = [said[low:high] for low, high in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    events: list[Event] = [] if redacted else [Delta(number, piece) for piece in pieces]
    if redacted or (kind != "text" and draw(st.integers(0, 3)) == 0):
        events.append(Sealing(number, Sealed(draw(families), draw(seals))))
    return opened, events, Closed(number)


@st.composite
def answers(draw: st.DrawFn, most: int = 5, interleaved: bool = True) -> list[Event]:
    """All events of one answer, to its end."""
    waiting = [draw(_block(number)) for number in range(draw(st.integers(0, most)))]
    called = any(opened.kind == "call" for opened, _, _ in waiting)
    events: list[Event] = [Begun(draw(st.none() | names), draw(st.none() | names), draw(st.none() | usages))]
    running: list[list[Event]] = []
    while waiting or running:
        if waiting and (not running or (interleaved and draw(st.booleans()))):
            opened, rest, closed = waiting.pop(0)
            events.append(opened)
            running.append([*rest, closed])
            continue
        block = draw(st.sampled_from(running))
        events.append(block.pop(0))
        if not block:
            running.remove(block)
    stop = "tool_use" if called else draw(st.sampled_from(["end", "stop_sequence", "length", "refusal", "pause"]))
    events.append(Ended(stop, "END" if stop == "stop_sequence" else None, draw(st.none() | usages)))
    return events


def content(events: list[Event]) -> list[dict[str, Any]]:
    """What the blocks hold, in order of opening."""
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        match event:
            case Opened():
                blocks[event.block] = {"kind": event.kind, "id": event.id, "name": event.name, "text": "", "sealed": []}
            case Delta():
                blocks[event.block]["text"] += event.text
            case Sealing():
                blocks[event.block]["sealed"].append(event.sealed)
            case _:
                pass
    return list(blocks.values())


def faults(events: list[Event]) -> list[str]:
    """What events.py forbids."""
    found: list[str] = []
    opened: set[int] = set()
    closed: set[int] = set()
    for at, event in enumerate(events):
        block = getattr(event, "block", None)
        if (at == 0) != isinstance(event, Begun) and type(event).__name__ != "Failed":
            found.append(f"{event} at {at}")
        if isinstance(event, Opened):
            if event.block != len(opened):
                found.append(f"{event} is out of order")
            opened.add(event.block)
        elif block is not None and (block not in opened or block in closed):
            found.append(f"{event} of a block that is not open")
        if isinstance(event, Closed):
            closed.add(event.block)
        if isinstance(event, Ended):
            if closed != opened:
                found.append("ended with open blocks")
            if event is not events[-1]:
                found.append("something follows the end")
    return found
