"""The hot connection on a real Redis, and with one that is slow, silent, gone, forgetful or refuses."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import hiredis
import pytest
import pytest_asyncio
import redis as blocking

from gateway.core.redis import connector, parse
from gateway.core.scripts import ADMIT, ALL, DEADLINE, RENEW, RedisGone, Scripts, scripts

P = "{pg:00}:"
NOTHING = (60_000,)
"""Renew nothing: a script call that answers 0 and touches no key."""


class Middle:
    """A TCP server between the gateway and Redis that can be told to misbehave."""

    def __init__(self, url: str) -> None:
        self._address = parse(url)
        self.forward = asyncio.Event()
        self.forward.set()
        self.delay = 0.0
        self.deaf = False
        self.connections = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._address.path:
            far_reader, far_writer = await asyncio.open_unix_connection(self._address.path)
        else:
            far_reader, far_writer = await asyncio.open_connection(*self._address.hosts[0])
        self._open |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._copy(reader, far_writer, there=True))
                tasks.create_task(self._copy(far_reader, writer, there=False))
        finally:
            for one in (writer, far_writer):
                self._open.discard(one)
                one.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, there: bool) -> None:
        try:
            while data := await reader.read(65536):
                if there and self.deaf:
                    continue
                if self.delay and not there:
                    await asyncio.sleep(self.delay)
                await self.forward.wait()
                writer.write(data)
            writer.close()
        except (OSError, RuntimeError):  # killed meanwhile
            writer.close()

    def kill(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Middle"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.forward.set()
            self.kill()
            await server.wait_closed()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"


@pytest_asyncio.fixture(loop_scope="session")
async def middle(redis_url: str) -> AsyncGenerator[Middle]:
    async with Middle(redis_url).running() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def nothing_left_behind() -> AsyncGenerator[None]:
    """No future with an error that nobody looked at, no task that died alone."""
    loop = asyncio.get_running_loop()
    seen: list[dict[str, Any]] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: seen.append(context))
    try:
        yield
        await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)
    assert seen == []


@asynccontextmanager
async def hot(url: str, *, wait: bool = True) -> AsyncGenerator[Scripts]:
    async with scripts(*connector(url)) as made:
        if wait:
            await until(lambda: made.connected)
        yield made


async def until(true: Callable[[], bool], seconds: float = 3) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


async def refused(made: Scripts) -> tuple[str, float]:
    """The reason, and how long it took to say so."""
    begin = time.monotonic()
    with pytest.raises(RedisGone) as caught:
        await made.run(RENEW, P, NOTHING)
    return str(caught.value), time.monotonic() - begin


async def test_all_scripts_are_loaded_when_it_connects(redis_url: str) -> None:
    with blocking.Redis.from_url(redis_url) as client:
        client.script_flush()
        async with hot(redis_url) as made:
            assert client.script_exists(*(script.sha.decode() for script in ALL)) == [True] * len(ALL)
            assert made.reason == ""
            assert await made.call(RENEW, P, NOTHING) == 0


async def test_the_calls_of_a_tick_leave_in_one_write_and_come_back_in_order(redis_url: str) -> None:
    connect, greeting = connector(redis_url)
    written: list[bytes] = []

    class Seen:
        def __init__(self, transport: asyncio.Transport) -> None:
            self._transport = transport

        def write(self, data: bytes) -> None:
            written.append(data)
            self._transport.write(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transport, name)

    async def seen(factory: Callable[[], asyncio.Protocol]) -> Any:
        transport, protocol = await connect(factory)
        protocol.transport = Seen(transport)
        return transport, protocol

    async with scripts(seen, greeting) as made:
        written.clear()
        echoes = [made.command(b"ECHO", n) for n in range(300)]
        runs = [made.call(RENEW, P, NOTHING) for _ in range(50)]
        assert [int(answer) for answer in await asyncio.gather(*echoes)] == list(range(300))
        assert await asyncio.gather(*runs) == [0] * 50
        assert len(written) == 1
        await made.run(RENEW, P, NOTHING)
        assert len(written) == 2


async def test_a_big_argument_goes_through(redis_url: str) -> None:
    async with hot(redis_url) as made:
        big = bytes(range(256)) * 16_000
        assert await made.command(b"ECHO", big) == big


async def test_a_forgotten_script_is_sent_whole(redis_url: str) -> None:
    async with hot(redis_url) as made:
        with blocking.Redis.from_url(redis_url) as client:
            client.script_flush()
        with pytest.raises(hiredis.ReplyError, match="NOSCRIPT"):
            await made.call(RENEW, P, NOTHING)
        assert await asyncio.gather(*(made.run(RENEW, P, NOTHING) for _ in range(20))) == [0] * 20
        assert await made.call(RENEW, P, NOTHING) == 0  # EVAL made Redis remember
        assert made.connected


async def test_silence_is_death_after_250_ms(middle: Middle) -> None:
    async with hot(middle.url) as made:
        told: list[float] = []
        made.reconnected = lambda: told.append(time.monotonic())
        middle.deaf = True
        first = asyncio.gather(*(refused(made) for _ in range(20)))
        await asyncio.sleep(0.1)
        second = asyncio.gather(*(refused(made) for _ in range(20)))
        for reason, took in await first:
            assert reason == "Redis did not answer within 250 ms"
            assert DEADLINE <= took < DEADLINE + 0.06
        for reason, took in await second:  # go with the connection
            assert reason == "Redis did not answer within 250 ms"
            assert took < DEADLINE
        assert not made.connected
        assert made.failures == 1
        for _ in range(50):
            reason, took = await refused(made)
            assert took < 0.01
        with pytest.raises(RedisGone):
            made.command(b"PING")
        middle.deaf = False
        await until(lambda: made.connected)
        assert len(told) == 1
        assert await made.run(RENEW, P, NOTHING) == 0


async def test_slow_answers_below_the_deadline_are_waited_for(middle: Middle) -> None:
    async with hot(middle.url) as made:
        middle.delay = 0.15
        begin = time.monotonic()
        assert await made.run(RENEW, P, NOTHING) == 0
        assert time.monotonic() - begin > 0.14
        assert made.failures == 0


async def test_slow_answers_above_it_are_not(middle: Middle) -> None:
    async with hot(middle.url) as made:
        middle.delay = 0.4
        _, took = await refused(made)
        assert took < DEADLINE + 0.06
        await asyncio.sleep(0.3)  # the late answer comes to a connection that is gone
        middle.delay = 0
        await until(lambda: made.connected)
        assert await made.command(b"ECHO", "mine") == b"mine"


async def test_a_process_that_stood_still_does_not_blame_redis(redis_url: str) -> None:
    async with hot(redis_url) as made:
        calls = [made.run(RENEW, P, NOTHING) for _ in range(10)]
        running = asyncio.gather(*calls)
        await asyncio.sleep(0)
        time.sleep(2 * DEADLINE)
        assert await running == [0] * 10
        await asyncio.sleep(0.1)
        assert made.failures == 0
        assert made.connected


async def test_a_closed_connection_is_made_again(middle: Middle) -> None:
    async with hot(middle.url) as made:
        for times in range(1, 4):
            middle.forward.clear()
            waiting = asyncio.gather(*(refused(made) for _ in range(5)))
            await asyncio.sleep(0.02)
            middle.kill()
            for reason, took in await waiting:
                assert reason == "Redis closed the connection"
                assert took < 0.2
            assert not made.connected
            assert made.reason == "Redis closed the connection"
            middle.forward.set()
            await until(lambda: made.connected)
            assert made.failures == times
            assert await made.run(RENEW, P, NOTHING) == 0


async def test_redis_that_comes_later(redis_url: str) -> None:
    late = Middle(redis_url)
    async with late.running():
        pass  # the port is known, nobody listens
    async with hot(late.url, wait=False) as made:
        assert not made.connected
        assert made.failures == 1
        assert (await refused(made))[1] < 0.01
        await asyncio.sleep(0.05)
        assert "cannot be reached" in made.reason
        async with late.running():
            await until(lambda: made.connected)
            assert await made.run(RENEW, P, NOTHING) == 0


async def test_a_redis_that_accepts_and_says_nothing(middle: Middle) -> None:
    middle.deaf = True
    begin = time.monotonic()
    async with hot(middle.url, wait=False) as made:
        assert time.monotonic() - begin < 4 * DEADLINE + 0.3
        assert (await refused(made))[1] < 0.01
        middle.deaf = False
        await until(lambda: made.connected)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01", b"+OK\r\n" * 100, b""])
async def test_something_else_at_the_address(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with hot(url, wait=False) as made:
            await asyncio.sleep(0.1)
            assert (await refused(made))[1] < 0.35
            assert not made.connected


@pytest.fixture
def acl(redis_url: str):
    """Users with rules; `url(rules)` gives the address of one, `set(rules)` changes the last."""
    address = parse(redis_url)
    with blocking.Redis.from_url(redis_url) as client:

        class Users:
            url = (
                f"unix://guest:secret@{address.path}"
                if address.path
                else f"redis://guest:secret@{address.hosts[0][0]}:{address.hosts[0][1]}"
            )

            def set(self, *rules: str) -> None:
                client.execute_command("ACL", "SETUSER", "guest", "reset", "on", ">secret", "~*", "&*", *rules)

        yield Users()
        client.execute_command("ACL", "DELUSER", "guest")


async def test_a_redis_that_refuses_scripts_from_the_start(acl) -> None:
    acl.set("+@all", "-@scripting")
    async with hot(acl.url, wait=False) as made:
        assert not made.connected
        assert (await refused(made))[1] < 0.01
        acl.set("+@all")
        await until(lambda: made.connected)
        assert await made.run(RENEW, P, NOTHING) == 0


async def test_a_redis_that_begins_to_refuse_scripts(acl) -> None:
    acl.set("+@all")
    async with hot(acl.url) as made:
        times: list[int] = []
        made.reconnected = lambda: times.append(1)
        acl.set("+@all", "-@scripting")
        answers = await asyncio.gather(*(refused(made) for _ in range(10)))
        assert {reason for reason, _ in answers} <= {"Redis refused: NOPERM"}
        assert not made.connected
        acl.set("+@all")
        await until(lambda: made.connected)
        assert times == [1]
        assert await made.run(RENEW, P, NOTHING) == 0


async def test_a_redis_that_refuses_to_run_them_is_not_asked_all_the_time(acl) -> None:
    acl.set("+@all", "-evalsha", "-eval")
    async with hot(acl.url) as made:
        times: list[int] = []
        made.reconnected = lambda: times.append(1)
        begin = time.monotonic()
        while time.monotonic() - begin < 1.2:
            await refused(made)
            await asyncio.sleep(0.01)
        assert len(times) <= 2


async def test_a_wrong_password(acl) -> None:
    acl.set("+@all")
    async with hot(acl.url.replace("secret", "wrong"), wait=False) as made:
        assert not made.connected
        assert "secret" not in made.reason


async def test_a_script_that_fails_is_a_redis_that_is_gone(redis_url: str) -> None:
    async with hot(redis_url) as made:
        await made.command(b"SET", P + "u", "not a stream")
        await made.command(b"SET", P + "epoch", "1")
        await made.command(b"SET", P + "s:a", "not a set")
        arguments = ["r", 1000, "{}", "", 1, "", "busy", "1", 0, 1, "a", 0, 1, ""]
        with pytest.raises(RedisGone, match="Redis refused"):
            await made.run(ADMIT, P, arguments)
        await until(lambda: made.connected)
        await made.command(b"DEL", P + "u", P + "epoch", P + "s:a")


async def test_a_caller_that_is_cancelled_leaves_the_others_in_order(middle: Middle) -> None:
    async with hot(middle.url) as made:
        middle.forward.clear()
        loop = asyncio.get_running_loop()
        asked = [loop.create_task(echo(made, n)) for n in range(30)]
        await asyncio.sleep(0.02)
        for task in asked[::3]:
            task.cancel()
        await asyncio.sleep(0)
        middle.forward.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for n, answer in enumerate(answers):
            assert isinstance(answer, asyncio.CancelledError) if n % 3 == 0 else answer == b"%d" % n


async def echo(made: Scripts, n: int) -> bytes:
    return await made.command(b"ECHO", n)


async def test_calls_that_nobody_waits_for_may_fail(middle: Middle) -> None:
    async with hot(middle.url) as made:
        for _ in range(10):
            made.call(RENEW, P, ["not a number", "a", 1, "b"])
        await asyncio.sleep(0.05)
        middle.deaf = True
        for _ in range(10):
            made.call(RENEW, P, NOTHING)
        await until(lambda: not made.connected)


async def test_the_end_of_the_context_ends_all(middle: Middle) -> None:
    async with hot(middle.url) as made:
        middle.forward.clear()
        waiting = asyncio.gather(*(refused(made) for _ in range(5)))
        await asyncio.sleep(0.02)
    assert {reason for reason, _ in await waiting} == {"poolgate is stopping"}
    assert not made.connected
    with pytest.raises(RedisGone):
        made.command(b"PING")


async def test_a_connection_that_is_lost_again_and_again_must_prove_itself(middle: Middle) -> None:
    """Two losses cost nothing more; then it answers for half a second, one, two… before anybody waits for it."""
    async with hot(middle.url) as made:
        took: list[float] = []
        for times in range(1, 5):
            middle.kill()
            begin = time.monotonic()
            await until(lambda times=times: made.failures == times and made.connected)
            took.append(time.monotonic() - begin)
        assert made.losses == 4
        assert max(took[:2]) < 0.4
        assert 0.5 <= took[2] < 0.9
        assert 1.0 <= took[3] < 1.5


async def test_what_flaps_faster_than_it_is_proved_is_left_alone(middle: Middle) -> None:
    async with hot(middle.url) as made:
        made.losses = 3
        told: list[float] = []
        made.reconnected = lambda: told.append(time.monotonic())
        for _ in range(4):
            middle.kill()
            middle.deaf = True
            await asyncio.sleep(0.3)
            middle.deaf = False
            await asyncio.sleep(0.3)
            assert not made.connected
            assert (await refused(made))[1] < 0.01
        assert not told
        assert made.losses == 4
        await until(lambda: made.connected)
        assert await made.run(RENEW, P, NOTHING) == 0


async def test_a_quiet_minute_forgives(middle: Middle, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hot(middle.url) as made:
        made.losses = 9
        monkeypatch.setattr("gateway.core.scripts._QUIET", 0.1)
        await asyncio.sleep(0.15)
        middle.kill()
        begin = time.monotonic()
        await until(lambda: made.failures == 1 and made.connected)
        assert time.monotonic() - begin < 0.4
        assert made.losses == 1
