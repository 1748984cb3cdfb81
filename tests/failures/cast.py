"""The upstream of the simulation: one server, and an account's key decides how it behaves.

Anthropic's form, streams only, in keep-alive HTTP/1.1. Times to the first byte are lognormal around 0.3 s, as those of
a provider are; what differs from account to account is written in `CAST`.
"""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from msgspec import Struct

TYPICAL = 0.3
EVENTS = 6
GAP = 0.12
ALLOWANCE = 12
"""Requests a minute that the limited account takes."""
FLAP = 20.0


class Word(Struct, frozen=True):
    """What an account answers: `delay` in seconds to the first byte of a good answer."""

    status: int = 200
    delay: float = TYPICAL
    headers: tuple[tuple[str, str], ...] = ()
    kind: str = ""


Behaviour = Callable[[float], Word]


def healthy(dice: random.Random) -> Behaviour:
    return lambda now: Word(delay=dice.lognormvariate(0, 0.35) * TYPICAL)


def slow(dice: random.Random) -> Behaviour:
    return lambda now: Word(delay=dice.lognormvariate(0, 0.35) * TYPICAL * 12)


def limited(dice: random.Random) -> Behaviour:
    """So many requests a minute; then 429 with the moment at which the minute is over."""
    taken: Counter[int] = Counter()

    def word(now: float) -> Word:
        minute = int(now // 60)
        end = datetime.fromtimestamp((minute + 1) * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        left = max(0, ALLOWANCE - taken[minute] - 1)
        taken[minute] += 1
        headers = (
            ("anthropic-ratelimit-requests-limit", str(ALLOWANCE)),
            ("anthropic-ratelimit-requests-remaining", str(left)),
            ("anthropic-ratelimit-requests-reset", end),
        )
        if taken[minute] > ALLOWANCE:
            return Word(429, 0.05, headers, "rate_limit_error")
        return Word(delay=dice.lognormvariate(0, 0.35) * TYPICAL, headers=headers)

    return word


def flapping(dice: random.Random) -> Behaviour:
    """Good for a while, then 500 for as long, and again."""

    def word(now: float) -> Word:
        if int(now // FLAP) % 2:
            return Word(500, 0.05, (), "api_error")
        return Word(delay=dice.lognormvariate(0, 0.35) * TYPICAL)

    return word


def revoked(dice: random.Random) -> Behaviour:
    return lambda now: Word(401, 0.05, (), "authentication_error")


BEHAVIOURS = {"healthy": healthy, "slow": slow, "limited": limited, "flapping": flapping, "revoked": revoked}


class Upstream:
    """`served` counts the good answers of each key; `asked` all of them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._cast: dict[str, Behaviour] = {}
        self.served: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.statuses: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.recent: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=1000))
        self.url = ""

    def join(self, key: str, behaviour: str) -> None:
        self._cast[key] = BEHAVIOURS[behaviour](random.Random(f"{self._seed}-{key}"))

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
                await reader.readexactly(int(lines.get("content-length", 0)))
                await self._answer(lines["x-api-key"], writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _answer(self, key: str, writer: asyncio.StreamWriter) -> None:
        self.asked[key] += 1
        word = self._cast[key](time.time())
        self.statuses[key][word.status] += 1
        await asyncio.sleep(word.delay)
        headers = "".join(f"{name}: {value}\r\n" for name, value in word.headers)
        if word.status != 200:
            body = json.dumps({"type": "error", "error": {"type": word.kind, "message": word.kind}}).encode()
            head = f"HTTP/1.1 {word.status} x\r\ncontent-type: application/json\r\n{headers}"
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            return
        self.served[key] += 1
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{headers}transfer-encoding: chunked\r\n\r\n"
        for at, event in enumerate(EVENT_TEXTS):
            chunk = f"{len(event):x}\r\n".encode() + event + b"\r\n"
            writer.write(head.encode() + chunk if at == 0 else chunk)
            await writer.drain()
            if at < EVENTS:
                await asyncio.sleep(GAP)
        writer.write(b"0\r\n\r\n")


def _event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


_MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sim", "content": [], "stop_reason": None,
    "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1},
}  # fmt: skip
EVENT_TEXTS = (
    _event("message_start", message=_MESSAGE),
    _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    *(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": "word "}) for _ in range(EVENTS)),
    _event("content_block_stop", index=0)
    + _event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": EVENTS})
    + _event("message_stop"),
)


@asynccontextmanager
async def upstream(seed: int) -> AsyncGenerator[Upstream]:
    made = Upstream(seed)
    server = await asyncio.start_server(made.speak, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
