"""Feeding a Finder: a text in pieces, and what comes of it."""

import itertools
from collections.abc import Iterable, Sequence

from gateway.translation.compat import Finder
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Opened, Stop
from gateway.translation.prompt import Tool
from tests.translation.generate import faults


def finder(tools: Sequence[Tool]) -> Finder:
    return Finder(tools, map("call_{}".format, itertools.count()).__next__)


def events(said: str | Iterable[str], stop: Stop = "end", tools: Sequence[Tool] = ()) -> list[Event]:
    """All events of an answer with one block of text, given in these pieces."""
    pieces = [said] if isinstance(said, str) else said
    given = [Begun(), Opened(0, "text"), *(Delta(0, piece) for piece in pieces), Closed(0), Ended(stop)]
    reading = finder(tools)
    found = [event for one in given for event in reading.read(one)]
    assert faults(found) == []
    return found


def merged(found: Iterable[Event]) -> list[Event]:
    """Deltas that follow each other in a block are one."""
    result: list[Event] = []
    for event in found:
        last = result[-1] if result else None
        if isinstance(event, Delta) and isinstance(last, Delta) and last.block == event.block:
            result[-1] = Delta(event.block, last.text + event.text)
        else:
            result.append(event)
    return result


def calls(found: Iterable[Event]) -> list[tuple[str | None, str, bool]]:
    """(name, arguments, whether they are free text) of each."""
    blocks = {event.block: [event, ""] for event in found if isinstance(event, Opened) and event.kind == "call"}
    for event in found:
        if isinstance(event, Delta) and event.block in blocks:
            blocks[event.block][1] += event.text
    return [(opened.name, text, opened.custom) for opened, text in blocks.values()]


def texts(found: Iterable[Event]) -> list[str]:
    """Of each text block."""
    blocks = {event.block: "" for event in found if isinstance(event, Opened) and event.kind == "text"}
    for event in found:
        if isinstance(event, Delta) and event.block in blocks:
            blocks[event.block] += event.text
    return list(blocks.values())
