"""An upstream for measuring gateways: far cheaper than any of them, one process, one coarse timer for all streams.

It answers `POST …/v1/messages` as Anthropic does and any other path as OpenAI chat does: about 1 KB of JSON, or
server-sent events when the body has `"stream":true`. The text of the prompt sets the number of events and the
milliseconds between them: `mock_n=100 mock_gap=20`. Each content event carries ` w` and 16 digits: the monotonic clock
in nanoseconds when it was written, so that a client on the same machine knows its delay.

    python -m tests.bench.upstream [PORT]     prints the port it listens on, and runs until it is ended
"""

import asyncio
import heapq
import re
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import cast

import uvloop

from tests.bench.process import many_files

_TEXT = (
    b"The image shows a wooden boardwalk that runs through a green meadow under a bright sky with scattered clouds. "
    b"Trees and low bushes stand at the edges, and the boards lead the eye to the horizon. The light is even, the "
    b"grass is high on both sides, and the planks are grey from many summers. Nobody is on the path, nothing moves, "
    b"and the viewer may rest the eye upon the scene at leisure, for as long as the morning is quiet and the day is "
    b"young. Behind the last trees a line of hills can be made out, blue in the haze, and above them a single bird."
)
_MESSAGE = (
    b'{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929",'
    b'"content":[{"type":"text","text":"%b"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":'
    b'2095,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,'
    b'"ephemeral_1h_input_tokens":0},"output_tokens":503,"service_tier":"standard"}}' % _TEXT
)
_COMPLETION = (
    b'{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion","created":1741570283,"model":'
    b'"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"%b","refusal":null},'
    b'"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1117,"completion_tokens":46,"total_tokens":1163,'
    b'"prompt_tokens_details":{"cached_tokens":0}},"service_tier":"default","system_fingerprint":"fp_fc9f1d7035"}'
    % _TEXT
)
_HEAD = b"HTTP/1.1 200 OK\r\nserver: upstream\r\nrequest-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n"
_STREAM_HEAD = (
    b"%bcontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
    % _HEAD
)
_REFUSED = b"HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_EVENTS = re.compile(rb"mock_n=(\d+)")
_GAP = re.compile(rb"mock_gap=([\d.]+)")


def _whole(body: bytes) -> bytes:
    return _HEAD + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


class Dialect:
    """The bytes of one protocol: the answer in one piece, and a stream's first, stamped and last chunk."""

    def __init__(self, whole: bytes, first: bytes, stamped: bytes, last: bytes) -> None:
        self.whole = _whole(whole)
        self.first = _chunk(first) if first else b""
        # The stamp has a fixed width, so the length of the chunk is known beforehand.
        before, after = _chunk(stamped % (b"0" * 16)).split(b"0" * 16)
        self.stamped = before.replace(b"%", b"%%") + b"%016d" + after.replace(b"%", b"%%")
        self.last = _chunk(last) + b"0\r\n\r\n"


ANTHROPIC = Dialect(
    _MESSAGE,
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant",'
    b'"model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":'
    b'25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}\n\nevent: content_block_start'
    b'\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":'
    b'" w%b and then some more text of usual length that goes on"}}\n\n',
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_delta\ndata: {"type":'
    b'"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":100}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)
OPENAI = Dialect(
    _COMPLETION,
    b"",
    b'data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1741570283,'
    b'"model":"gpt-4o","choices":[{"index":0,"delta":{"content":" w%b"},"finish_reason":null}]}\n\n',
    b'data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1741570283,'
    b'"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":17,'
    b'"completion_tokens":100,"total_tokens":117}}\n\ndata: [DONE]\n\n',
)


class Clock:
    """Calls what is due, many streams in one wake-up of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = count()
        self._wake_at = float("inf")

    def call_at(self, due: float, call: Callable[[float], None]) -> None:
        heapq.heappush(self._due, (due, next(self._number), call))
        if due < self._wake_at:
            self._wake_at = due
            self._loop.call_at(due, self._wake, due)

    def _wake(self, planned: float) -> None:
        if planned != self._wake_at:
            return  # an earlier one was planned after this one, and has done its work
        # The timers of the loop are exact to a millisecond: what falls into it is done now.
        now = self._loop.time() + 0.001
        while self._due and self._due[0][0] <= now:
            due, _, call = heapq.heappop(self._due)
            call(due)
        self._wake_at = float("inf")
        if self._due:
            self._wake_at = self._due[0][0]
            self._loop.call_at(self._wake_at, self._wake, self._wake_at)


class Server(asyncio.Protocol):
    """One connection: HTTP/1.1 with keep-alive; a pipelined request waits until the stream before it has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._buffer = b""
        self._left = 0  # events of the stream that is running
        self._gap = 0.0
        self._dialect = ANTHROPIC

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of it, but have its methods.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer and not self._left and self._answer():
            pass

    def _answer(self) -> bool:
        """Answer the first request in the buffer; False when it is not whole yet."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        length = _LENGTH.search(buffer, 0, end)
        if length is None:
            self._transport.write(_REFUSED)
            self._transport.close()
            return False
        stop = end + 4 + int(length[1])
        if len(buffer) < stop:
            return False
        self._buffer = buffer[stop:]
        self._dialect = ANTHROPIC if b"/messages" in buffer[: buffer.find(b"\r\n")] else OPENAI
        if _STREAM.search(buffer, end, stop):
            self._stream(buffer[end:stop])
        else:
            self._transport.write(self._dialect.whole)
        return True

    def _stream(self, body: bytes) -> None:
        events, gap = _EVENTS.search(body), _GAP.search(body)
        self._left = max(2, int(events[1])) if events else 100
        self._gap = float(gap[1]) / 1000 if gap else 0.0
        first = self._dialect.first or self._stamped()
        self._left -= 1
        self._transport.write(_STREAM_HEAD + first)
        if self._gap:
            self._clock.call_at(self._loop.time() + self._gap, self._event)
            return
        rest = [self._stamped() for _ in range(self._left - 1)]
        self._transport.write(b"".join([*rest, self._dialect.last]))
        self._left = 0

    def _stamped(self) -> bytes:
        return self._dialect.stamped % time.monotonic_ns()

    def _event(self, due: float) -> None:
        if self._transport.is_closing():
            return
        self._left -= 1
        if self._left:
            self._transport.write(self._stamped())
            self._clock.call_at(due + self._gap, self._event)
        else:
            self._transport.write(self._dialect.last)
            self.data_received(b"")


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    server = await loop.create_server(lambda: Server(loop, clock), "127.0.0.1", port, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    many_files()
    uvloop.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
