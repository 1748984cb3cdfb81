"""The hot path's connection to Redis: scripts over one own connection a process.

All calls of one loop tick leave in one write; answers come back in order. A call that is not answered within 250 ms
means that Redis is dead for us: the connection is dropped, calls fail at once, and a watch connects again in the
background. Nothing here retries a call: what to do without Redis is the caller's policy. A Redis that comes and goes
must answer for a while before it is used again, longer each time: every loss makes requests wait for the deadline.
Wire format: RESP2, https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

DEADLINE = 0.25
_TICK = 0.05
_GLANCE = 0.01
_RETRY = 0.5
_QUIET = 60.0
_TRIAL, _LONGEST_TRIAL = 0.5, 15.0
_LUA = Path(__file__).parent / "lua"
_COUNTING = (_LUA / "counting.lua").read_bytes()

Argument = bytes | str | int
Connect = Callable[[Callable[[], asyncio.Protocol]], Any]


encode: Callable[[tuple[Argument, ...]], bytes] = cast(Any, hiredis).pack_command
"""One command as RESP."""


class RedisGone(Exception):
    """Redis is away, slow, or refuses scripts. The message says which."""


AWAY = (OSError, TimeoutError, RedisGone, hiredis.ReplyError, hiredis.ProtocolError)


class Script:
    """A Lua script and the beginning of its EVALSHA command. `counting`: it moves the counters of limits."""

    def __init__(self, name: str, *, counting: bool = False) -> None:
        self.name = name
        self.source = (_LUA / f"{name}.lua").read_bytes()
        if counting:
            self.source = _COUNTING + self.source
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()


ADMIT, SETTLE, RENEW, SWEEP, COMMIT, RESTORE = (
    Script(name, counting=True) for name in ("admit", "settle", "renew", "sweep", "commit", "restore")
)
MARK, PRUNE, FAULT = (Script(name) for name in ("mark", "prune", "fault"))
ALL = (ADMIT, SETTLE, RENEW, MARK, FAULT)
"""Those that the hot connection uses."""


def unheard(future: asyncio.Future[Any]) -> None:
    """The end of a call for whose answer nobody waits: Redis' own troubles are told elsewhere."""
    if not future.cancelled():
        future.exception()


def _raise_in(future: asyncio.Future[Any], error: Exception) -> None:
    future.set_exception(error)
    future.exception()  # not every call has a reader: a settled row is in the journal


class _Connection(asyncio.Protocol):
    """One connection; `waiting` holds the unanswered calls in order."""

    def __init__(self, lost: Callable[["_Connection"], None]) -> None:
        self._lost = lost
        self._reader = hiredis.Reader()
        self._out: list[bytes] = []
        self._loading: list[asyncio.Future[Any]] = []
        self.waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            self._answered()
        except (hiredis.ProtocolError, IndexError):
            self.transport.abort()  # not Redis at the other end, or answers to nothing

    def _answered(self) -> None:
        waiting = self.waiting
        while (value := self._reader.gets()) is not False:
            future = waiting.popleft()[1]
            if future.done():
                continue
            if isinstance(value, Exception):
                if str(value).startswith("NOSCRIPT"):
                    self.load()
                _raise_in(future, value)
            else:
                future.set_result(value)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("Redis closed the connection")
        self._lost(self)

    def send(self, command: bytes) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        self.waiting.append((self.loop.time() + DEADLINE, future))
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(command)
        return future

    def _flush(self) -> None:
        data = b"".join(self._out)
        self._out.clear()
        if not self.transport.is_closing():
            self.transport.write(data)

    def load(self) -> list[asyncio.Future[Any]]:
        """Gives Redis all scripts. Once at a time: when it has forgotten them, every call says so."""
        if not self._loading:
            self._loading = [self.send(encode((b"SCRIPT", b"LOAD", script.source))) for script in ALL]
            self._loading[-1].add_done_callback(lambda _: self._loading.clear())
        return list(self._loading)

    def left(self) -> float:
        """Seconds until the oldest call is overdue."""
        return self.waiting[0][0] - self.loop.time() if self.waiting else DEADLINE

    def fail(self, reason: str) -> None:
        while self.waiting:
            future = self.waiting.popleft()[1]
            if not future.done():
                _raise_in(future, RedisGone(reason))


class Scripts:
    """Calls scripts. `connected` is false while Redis is away; `reconnected` is called after each (re)connection."""

    def __init__(self, connect: Connect, greeting: Sequence[bytes] = ()) -> None:
        self._connect = connect
        self._greeting = greeting
        self._connection: _Connection | None = None
        self._reason = "Redis is not connected yet"
        self.reconnected: Callable[[], None] = lambda: None
        self.failures = 0
        self.losses = 0
        """How often in a row the connection was lost within a minute of its being used."""
        self._used_since = 0.0
        self._not_before = 0.0

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def reason(self) -> str:
        return "" if self._connection else self._reason

    def call(self, script: Script, prefix: str, arguments: Sequence[Argument]) -> asyncio.Future[Any]:
        """Runs a script on a tenant's prefix. Raises RedisGone now or from the future; other errors are Redis' own."""
        connection = self._connection
        if connection is None:
            raise RedisGone(self._reason)
        return connection.send(encode((b"EVALSHA", script.sha, b"1", prefix, *arguments)))

    def command(self, *parts: Argument) -> asyncio.Future[Any]:
        connection = self._connection
        if connection is None:
            raise RedisGone(self._reason)
        return connection.send(encode(parts))

    async def run(self, script: Script, prefix: str, arguments: Sequence[Argument]) -> Any:
        """As `call`, with the script sent whole when Redis has forgotten it. Every failure is RedisGone."""
        try:
            return await self.call(script, prefix, arguments)
        except hiredis.ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise self._refused(error) from None
        try:
            return await self.command(b"EVAL", script.source, b"1", prefix, *arguments)
        except hiredis.ReplyError as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> RedisGone:
        # Redis answers but will not work with us (loading, read-only, scripts forbidden): as good as gone.
        self.drop(f"Redis refused: {str(error).split(' ', 1)[0]}")
        return RedisGone(self._reason)

    def drop(self, reason: str) -> None:
        """Gives the connection up; the watch makes a new one, after a pause."""
        connection = self._connection
        self._not_before = asyncio.get_running_loop().time() + _RETRY
        self._failed(reason)
        if connection:
            connection.fail(reason)
            connection.transport.abort()

    def _lost(self, connection: _Connection) -> None:
        if connection is self._connection:
            self._failed("Redis closed the connection")

    def _failed(self, reason: str) -> None:
        if self._connection:
            quiet = self._connection.loop.time() - self._used_since > _QUIET
            self.losses = 1 if quiet else self.losses + 1
        self._connection = None
        self._reason = reason
        self.failures += 1

    async def open(self) -> None:
        """Connects, greets, loads the scripts. Raises one of `AWAY`."""
        # Not wait_for: up to Python 3.11 it may swallow a cancellation, and the watch would never end.
        async with asyncio.timeout(DEADLINE * 4):
            _, connection = await self._connect(lambda: _Connection(self._lost))
        try:
            # As short as a call may take: a Redis that is connected but slow is not back.
            async with asyncio.timeout(DEADLINE):
                for future in [connection.send(command) for command in self._greeting] + connection.load():
                    await future
            await self._prove(connection)
            if connection.transport.is_closing():
                raise RedisGone("Redis closed the connection")
        except BaseException:
            connection.fail("the connection was given up")
            connection.transport.abort()
            raise
        self._connection, self._used_since = connection, connection.loop.time()
        self.reconnected()

    async def _prove(self, connection: _Connection) -> None:
        """A connection that was lost three times and more answers for a while before anybody waits for it."""
        trial = min(_LONGEST_TRIAL, _TRIAL * 2 ** min(self.losses - 3, 10)) if self.losses >= 3 else 0.0
        over = connection.loop.time() + trial
        while connection.loop.time() < over:
            async with asyncio.timeout(DEADLINE):
                await connection.send(encode((b"PING",)))
            await asyncio.sleep(_TICK)

    async def watch(self) -> None:
        """Runs for the life of the process: connects, notices silence, connects again."""
        while True:
            connection = self._connection
            if connection is None:
                await self._again()
            elif (left := connection.left()) > 0:
                await asyncio.sleep(min(left, _TICK))
            else:
                # When it was this process that stood still, the answers are in the socket: read them before judging.
                await asyncio.sleep(_GLANCE)
                if connection is self._connection and connection.left() <= 0:
                    self.drop("Redis did not answer within 250 ms")

    async def _again(self) -> None:
        await asyncio.sleep(self._not_before - asyncio.get_running_loop().time())
        try:
            await self.open()
        except AWAY as error:
            self._reason = f"Redis cannot be reached: {type(error).__name__}"
            await asyncio.sleep(_RETRY)


async def evaluate(redis: Redis, script: Script, prefix: str, arguments: Sequence[Any]) -> Any:
    """Runs a script by redis-py, off the hot path: on a tenant's prefix, sent whole when Redis has forgotten it."""
    try:
        return await cast(Any, redis.evalsha(script.sha.decode(), 1, prefix, *arguments))
    except NoScriptError:
        return await cast(Any, redis.eval(script.source.decode(), 1, prefix, *arguments))


@asynccontextmanager
async def scripts(connect: Connect, greeting: Sequence[bytes] = ()) -> AsyncGenerator[Scripts]:
    """The process's hot connection, connected if Redis is there; watched until the context ends."""
    made = Scripts(connect, greeting)
    try:
        await made.open()
    except AWAY:
        made.failures += 1
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(made.watch())
        try:
            yield made
        finally:
            watching.cancel()
            made.drop("poolgate is stopping")
