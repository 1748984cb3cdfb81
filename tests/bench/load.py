"""A load client for HTTP/1.1 on raw sockets: the bytes of the request are made once, the answers are only framed.

    python -m tests.bench.load --port 8080 --path /v1/messages --connections 16 --seconds 5 --header 'x-api-key: …'

Closed loop: every connection asks again as soon as it has its answer. With `--rate N`, N requests a second are due, and
the latency counts from the moment when each was due, so that a stall is not forgotten. With `--stream` the delay of
every event is read from the stamps of `tests.bench.upstream`. With `--hold` the streams that still run at the end are
cut, and that is no error; a line `{"open":N}` is printed when all have begun.

The last line is one JSON object; times are in microseconds.
"""

import argparse
import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Sequence
from typing import cast

import msgspec
import uvloop

from tests.bench.process import many_files
from tests.bench.reply import BadReply, Reply

#: Written by the upstream: a space, `w`, and the monotonic clock in nanoseconds.
STAMP = re.compile(rb" w(\d{16})")
_STAMP_LENGTH = 18
_GRACE = 10.0

MODEL = "claude-sonnet-4-5"


class Figures:
    """What was measured, in nanoseconds."""

    def __init__(self) -> None:
        self.latencies: list[int] = []
        self.first_bytes: list[int] = []
        self.delays: list[int] = []
        self.longest_gap = 0
        self.asked = 0
        self.opened = 0
        self.errors = 0
        self.statuses: dict[int, int] = {}
        self.body_bytes = 0

    def error(self, status: int = 0) -> None:
        self.errors += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def summary(self, seconds: float) -> dict[str, object]:
        return {
            "asked": self.asked,
            "requests": len(self.latencies),
            "rps": round(len(self.latencies) / seconds, 1),
            "p50": percentile(self.latencies, 0.50),
            "p99": percentile(self.latencies, 0.99),
            "ttfb_p50": percentile(self.first_bytes, 0.50),
            "ttfb_p99": percentile(self.first_bytes, 0.99),
            "opened": self.opened,
            "chunks": len(self.delays),
            "delay_p50": percentile(self.delays, 0.50),
            "delay_p99": percentile(self.delays, 0.99),
            "delay_max": percentile(self.delays, 1.0),
            "gap_max": self.longest_gap / 1000,
            "body_bytes": self.body_bytes,
            "errors": self.errors,
            "error_statuses": self.statuses,
            "seconds": round(seconds, 3),
        }


def percentile(values: list[int], share: float) -> float:
    """In microseconds; 0 when there is no value."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] / 1000


class Client(asyncio.Protocol):
    """One connection with at most one request on its way."""

    __slots__ = ("_last", "_reply", "_run", "_tail", "_transport", "busy", "opened", "started")

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._reply = Reply()
        self._tail = b""
        self._last = 0
        self.busy = False
        self.opened = False
        self.started = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of it, but have its methods.
        self._transport = cast(asyncio.Transport, transport)
        self._run.ready(self)

    def ask(self, started: int) -> None:
        self.started = started
        self.busy = True
        self.opened = False
        self._last = 0
        self._run.figures.asked += 1
        self._transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        run = self._run
        if not self.opened:
            self.opened = True
            run.began(self, now)
        if run.stream:
            self._read_stamps(data, now)
        try:
            whole = self._reply.feed(data)
        except BadReply:
            self._transport.abort()
            return
        if whole:
            self.busy = False
            run.ended(self, self._reply, now)

    def _read_stamps(self, data: bytes, now: int) -> None:
        """The stamps of the blocks; one may be cut in two. The tail is too short to hold a whole one."""
        data = self._tail + data
        self._tail = data[1 - _STAMP_LENGTH :]
        stamps = STAMP.findall(data)
        if not stamps:
            return
        self._run.figures.delays.extend([now - int(stamp) for stamp in stamps])
        if self._last:
            self._run.figures.longest_gap = max(self._run.figures.longest_gap, now - self._last)
        self._last = now

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy and self._reply.until_close:
            self._run.ended(self, self._reply, time.monotonic_ns())
        elif self.busy and not self._run.cutting:
            self._run.figures.error()
        self.busy = False
        self._run.lost(self)

    def close(self) -> None:
        self._transport.abort()


class Run:
    """One run: N connections, for some seconds."""

    def __init__(self, request: bytes, options: argparse.Namespace) -> None:
        self.request = request
        self.stream: bool = options.stream
        self.figures = Figures()
        self.cutting = False
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._clients: set[Client] = set()
        self._free: list[Client] = []
        self._due: deque[int] = deque()
        self._begun = 0
        self._over = asyncio.Event()
        self._end = 0

    async def go(self) -> dict[str, object]:
        start = time.monotonic_ns()
        self._end = start + int(self._options.seconds * 1e9)
        if self._options.rate:
            self._schedule(start, 0)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._open(start))
            group.create_task(self._finish())
        last = self._end if self._options.hold else time.monotonic_ns()
        return self.figures.summary((last - start) / 1e9)

    async def _open(self, start: int) -> None:
        """Connect one after another, spread over the ramp, so that no queue of the kernel overflows."""
        gap = self._options.ramp / self._options.connections
        for number in range(self._options.connections):
            delay = start / 1e9 + number * gap - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            try:
                await self._loop.create_connection(lambda: Client(self), "127.0.0.1", self._options.port)
            except OSError:
                self.figures.error()

    async def _finish(self) -> None:
        """Wait for the end, and then for the answers on their way, unless they are to be cut."""
        await asyncio.sleep(max(0.0, self._end / 1e9 - time.monotonic()))
        self.cutting = bool(self._options.hold)
        self._pump()
        self._free.clear()
        for client in list(self._clients):
            if self.cutting or not client.busy:
                client.close()
        if self._clients:
            try:
                await asyncio.wait_for(self._over.wait(), _GRACE)
            except TimeoutError:
                for client in list(self._clients):
                    client.close()  # counted as an error: its answer never came

    def ready(self, client: Client) -> None:
        self._clients.add(client)
        self._next(client, time.monotonic_ns())

    def began(self, client: Client, now: int) -> None:
        self.figures.first_bytes.append(now - client.started)
        self.figures.opened += 1
        if self._options.hold and self.figures.opened == self._options.connections:
            print(json.dumps({"open": self.figures.opened}), flush=True)

    def ended(self, client: Client, reply: Reply, now: int) -> None:
        figures = self.figures
        if reply.status == 200:
            figures.latencies.append(now - client.started)
            figures.body_bytes += reply.body_bytes
        else:
            figures.error(reply.status)
        self._next(client, now)

    def lost(self, client: Client) -> None:
        self._clients.discard(client)
        if client in self._free:
            self._free.remove(client)
        if not self._clients:
            self._over.set()

    def _next(self, client: Client, now: int) -> None:
        if now >= self._end:
            client.close()
        elif not self._options.rate:
            client.ask(now)
        else:
            self._free.append(client)
            self._pump()

    def _schedule(self, start: int, number: int) -> None:
        """All requests that are due by now, and a timer for the next."""
        interval = 1e9 / self._options.rate
        now = time.monotonic_ns()
        while (due := start + int(number * interval)) <= now and due < self._end:
            self._due.append(due)
            number += 1
        self._pump()
        if due < self._end:
            self._loop.call_later(max(0.0, (due - now) / 1e9), self._schedule, start, number)

    def _pump(self) -> None:
        while self._due and self._free:
            self._free.pop().ask(self._due.popleft())


def request(path: str, port: int, headers: Sequence[str], body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json", "accept: */*"]
    lines += ["user-agent: poolgate-bench", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def prompt(model: str, stream: bool, events: int, gap: float) -> bytes:
    """The body of a request to Anthropic's and OpenAI's chat protocols alike; the text is read by the upstream."""
    text = f"Describe the picture in a few sentences. mock_n={events} mock_gap={gap:g}"
    message = {"role": "user", "content": text}
    return msgspec.json.encode({"model": model, "max_tokens": 1024, "stream": stream, "messages": [message]})


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.bench.load", description="Measure an HTTP/1.1 server.")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--path", default="/v1/messages")
    options.add_argument("--header", action="append", default=[], help="'name: value', may be repeated")
    options.add_argument("--connections", type=int, default=16)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--rate", type=float, default=0.0, help="requests a second; 0 is a closed loop")
    options.add_argument("--ramp", type=float, default=0.0, help="seconds over which the connections are opened")
    options.add_argument("--stream", action="store_true")
    options.add_argument("--hold", action="store_true", help="cut what still runs at the end")
    options.add_argument("--events", type=int, default=100, help="of each stream")
    options.add_argument("--gap", type=float, default=20.0, help="milliseconds between events")
    options.add_argument("--model", default=MODEL)
    return options


async def main(options: argparse.Namespace) -> None:
    body = prompt(options.model, options.stream, options.events, options.gap)
    print(json.dumps(await Run(request(options.path, options.port, options.header, body), options).go()), flush=True)


if __name__ == "__main__":
    many_files()
    uvloop.run(main(parser().parse_args()))
