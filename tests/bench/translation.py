"""What translation costs: CPU microseconds of each streamed event and of each request, for all directions.

    python -m tests.bench.translation [--events 2000] [--requests 50]

Both are what the relay does with the bytes: a stream goes through its meter and its converter in the upstream's own
events; a request of eighty turns (some 58 KB) is parsed and built. The exit code is 1 when a gate is missed.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, structs

from gateway.protocols import CODECS
from gateway.protocols.codec import Usage
from gateway.relay.convert import StreamConverter
from gateway.relay.translate import endpoint_of
from gateway.routing.speaking import generating
from gateway.translation import SPEECHES, UPSTREAMS, compat
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Opened
from gateway.translation.prompt import Call, Prompt, Result, Text, Tool, Turn
from gateway.translation.speech import Asking, Limits

EVENT_US, REQUEST_US = 150.0, 1500.0
"""The most that one may cost, the mean of a run, the best of three runs."""
_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}}}
_TOOLS = tuple(Tool(f"tool_{at}", "Reads a part of a file. " * 8, _SCHEMA) for at in range(20))
_WORDS = "The quick brown fox jumps over the lazy dog. " * 16


class Cost(Struct, frozen=True):
    """CPU microseconds. `event`: None where a stream of it cannot be written (Converse)."""

    client: str
    upstream: str
    event: float
    compat: float
    request: float

    @property
    def missed(self) -> bool:
        return max(self.event, self.compat) > EVENT_US or self.request > REQUEST_US


def prompt(turns: int = 80) -> Prompt:
    """A conversation of an agent: questions, calls, results, answers."""
    said: list[Turn] = []
    for at in range(0, turns, 4):
        call = Call(f"call_{at}", f"tool_{at % 20}", json.dumps({"path": f"/src/{at}.py", "lines": at}))
        said += [
            Turn("user", (Text(f"{at} {_WORDS}"),)),
            Turn("assistant", (Text("I look."), call)),
            Turn("user", (Result(call.id, (Text(_WORDS),), call.name),)),
            Turn("assistant", (Text(_WORDS),)),
        ]
    said.append(Turn("user", (Text("Go on."),)))
    system = (Text(_WORDS * 4),)
    return Prompt("m", tuple(said), system, stream=True, include_usage=True, tools=_TOOLS, max_tokens=4096)


def answer(events: int) -> Iterator[Event]:
    yield Begun(usage=Usage(1000))
    yield Opened(0, "text")
    for at in range(events):
        yield Delta(0, f"word{at} ")
    yield Closed(0)
    yield Ended("end", usage=Usage(1000, output_tokens=events))


def cost(client: str, upstream: str, events: int, requests: int) -> Cost:
    return Cost(
        client,
        upstream,
        min(_events(client, upstream, events, tools=False) for _ in range(3)),
        min(_events(client, upstream, events, tools=True) for _ in range(3)),
        min(_request(client, upstream, requests) for _ in range(3)),
    )


def _events(client: str, upstream: str, events: int, *, tools: bool) -> float:
    asking = Asking("m", "req_01a1fbe9af53720da0f878a9fa293a4a", 1_790_000_000, prompt(1), action="chat")
    writer = SPEECHES[upstream].writer(asking)
    chunks = [data for event in answer(events) if (data := writer.write(event))]
    meter = CODECS[upstream].reader(endpoint_of(upstream, generating(upstream, stream=True)), True)
    finder = compat.Finder(_TOOLS, lambda: "call_1") if tools else None
    converter = StreamConverter(SPEECHES[upstream].reader(True), finder, SPEECHES[client].writer(asking))
    began = time.process_time()
    for chunk in chunks:
        meter.feed(chunk)
        converter.feed(chunk)
    spent = time.process_time() - began
    assert converter.failed is None
    assert meter.complete
    return spent * 1e6 / events


def _request(client: str, upstream: str, requests: int) -> float:
    endpoint = endpoint_of(client, generating(client, stream=True))
    body = SPEECHES[client].build(prompt(), Limits("m")).body
    limits = Limits("m")
    began = time.process_time()
    for _ in range(requests):
        asked = structs.replace(SPEECHES[client].parse(body, endpoint), model="m")
        UPSTREAMS[upstream].build(asked, limits)
    return (time.process_time() - began) * 1e6 / requests


def costs(events: int, requests: int) -> Iterator[Cost]:
    """Of all directions but those of a protocol to itself, which nothing translates."""
    for client in SPEECHES:
        for upstream in SPEECHES:
            if client != upstream:
                yield cost(client, upstream, events, requests)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=50)
    options: Any = parser.parse_args(arguments)
    size = len(SPEECHES["openai_chat"].build(prompt(), Limits("m")).body)
    print(f"CPU µs; a request of {size:,} bytes; most {EVENT_US:.0f} an event and {REQUEST_US:.0f} a request")
    print(f"{'client':<18}{'upstream':<18}{'event':>8}{'compat':>8}{'request':>9}")
    missed = 0
    for one in costs(options.events, options.requests):
        missed += one.missed
        row = f"{one.client:<18}{one.upstream:<18}{one.event:>8.1f}{one.compat:>8.1f}{one.request:>9.0f}"
        print(row + ("  missed" if one.missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
