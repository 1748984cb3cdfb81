"""One admitted request from its admission to its row: however it ends, everything is given back once."""

import asyncio
import random
import time
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select

from gateway.core import models as m
from gateway.core.errors import Unauthenticated
from gateway.local.sandbox import Rule
from gateway.relay import exchange as module
from tests.relay.world import MESSAGES, Raw, World, answer, body, code_of
from tests.support.installation import Site


class Client:
    """A bare connection, so that it can be left at any moment."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def asking(cls, site: Site, key: str, asked: dict[str, Any], url: str = "") -> "Client":
        host, port = (url or site.url).removeprefix("http://").split(":")
        made = cls(*await asyncio.open_connection(host, int(port)))
        data = site.http.build_request("POST", MESSAGES, json=asked).content
        made.writer.write(
            f"POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: {len(data)}\r\n\r\n".encode()
            + data
        )
        return made

    async def head(self) -> dict[str, str]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}

    def leave(self) -> None:
        self.writer.transport.abort()


async def newest(world: World, seconds: float = 8) -> m.Request:
    async with asyncio.timeout(seconds):
        while True:
            async with world.site.sessions() as session:
                asked = select(m.Request).where(m.Request.tenant_id == world.tenant_id)
                found = (
                    await session.execute(asked.order_by(m.Request.received_at.desc()).limit(1))
                ).scalar_one_or_none()
            if found is not None and found.ending != "gateway_lost":
                return found
            await asyncio.sleep(0.05)


async def empty(world: World, account: str) -> None:
    """Nothing is held any more, anywhere."""
    await world.site.settled()
    for gateway in world.site.gateways:
        gate = gateway.gate
        assert gate.exchanges == {}
        assert gate.states.in_flight == {}
        assert gate.body_bytes == 0
        assert gate.upstream.running == 0
    assert await world.slots(account) == 0
    prefix = world.site.gate.prefix_of(world.tenant_id)
    redis = world.site.gate.redis
    assert [await redis.zcard(prefix + "l"), await redis.hlen(prefix + "r")] == [0, 0]


#: policy, when the client leaves ("sending": before the upstream has said a thing), stream, ending, outcome in the bill
LEAVING = [
    (None, "sending", True, "client_abort_cut", "client_gone"),
    (None, "flowing", True, "client_abort_cut", "client_gone"),
    ("abort", "flowing", True, "client_abort_cut", "client_gone"),
    ("drain", "sending", True, "client_abort_drained", "complete"),
    ("drain", "flowing", True, "client_abort_drained", "complete"),
    (None, "sending", False, "client_abort_drained", "complete"),
    ("abort", "sending", False, "client_abort_drained", "complete"),
]


@pytest.mark.parametrize(("policy", "when", "stream", "ending", "outcome"), LEAVING)
async def test_a_client_that_leaves(
    world: World, policy: str | None, when: str, stream: bool, ending: str, outcome: str
) -> None:
    account = await world.account()
    fields = {"on_disconnect": policy} if policy else {}
    key = await world.key(limits=[{"type": "concurrency", "max": 1}], **fields)
    model = "sandbox-stall-500ms-tokens-20" if when == "sending" else "sandbox-tokens-20-gap-30"
    world.site.sandbox.bill().clear()
    client = await Client.asking(world.site, key, body(model, stream=stream))
    if when == "flowing":
        await client.head()
    await asyncio.sleep(0.2)
    client.leave()
    row = await newest(world)
    assert (row.ending, row.stream) == (ending, stream)
    for _ in range(40):
        if world.site.sandbox.bill().rows:
            break
        await asyncio.sleep(0.05)
    billed = world.site.sandbox.bill().rows[-1]
    assert billed.outcome == outcome
    if ending == "client_abort_drained":
        assert (row.usage_source, row.output_tokens) == ("provider", billed.output_tokens)
    elif when == "flowing":
        assert row.usage_source == "estimated"
        assert row.input_tokens == billed.input_tokens
    await empty(world, account)
    assert (await world.key_state(key))[0]["used"] == 0


@pytest.mark.parametrize("bound", ["time", "bytes"])
@pytest.mark.parametrize("when", ["sending", "flowing"])
async def test_a_drain_is_bounded(world: World, bound: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if bound == "time":
        monkeypatch.setattr(module, "DRAIN_SECONDS", 0.4)
    else:
        monkeypatch.setattr(module, "DRAIN_BYTES", 2000)
    account = await world.account()
    key = await world.key(on_disconnect="drain")
    first = "stall-400ms-" if when == "sending" else ""
    client = await Client.asking(world.site, key, body(f"sandbox-{first}tokens-400-gap-20", stream=True))
    if when == "flowing":
        await client.head()
    await asyncio.sleep(0.15)
    left = time.monotonic()
    client.leave()
    row = await newest(world)
    assert time.monotonic() - left < 4
    assert (row.ending, row.usage_source) == ("client_abort_cut", "estimated")
    await empty(world, account)


async def test_an_upstream_that_breaks_while_nobody_listens(world: World) -> None:
    account = await world.account()
    key = await world.key(on_disconnect="drain")
    client = await Client.asking(world.site, key, body("sandbox-tokens-100-gap-20-cut-20", stream=True))
    await client.head()
    client.leave()
    assert (await newest(world)).ending == "client_abort_cut"
    await empty(world, account)


@pytest.mark.parametrize(
    ("script", "ending", "code"),
    [
        ("cut-6", "upstream_error", "upstream_error"),
        ("stall-after-6-30", "stalled", "upstream_timeout"),
        ("late-error-529", "upstream_error", None),
    ],
)
async def test_what_ends_a_stream_is_said_as_its_protocol_says_it(
    world: World, script: str, ending: str, code: str | None
) -> None:
    account = await world.account(timeouts={"connect": 5, "first_event": 5, "stream_idle": 0.4, "total": 5})
    got = await world.ask(await world.key(), f"sandbox-tokens-50-{script}", stream=True)
    assert got.status_code == 200
    last = got.text.strip().rsplit("\n\n", 1)[-1]
    assert last.startswith("event: error")
    assert "message_stop" not in got.text
    if code:
        assert f'"{code}"' in last
    row = await world.site.row(got.headers["x-request-id"])
    assert (row.ending, row.error_code, row.status) == (ending, code, 200)
    await empty(world, account)


async def test_a_broken_json_array_ends_with_the_error_as_its_last_element(world: World) -> None:
    await world.account("gemini")
    path = "/v1beta/models/sandbox-tokens-50-gap-10-cut-6:streamGenerateContent"
    asked = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    got = await world.site.http.post(path, headers={"x-api-key": await world.key()}, json=asked)
    elements = got.json()
    assert len(elements) == 7 and all("candidates" in element for element in elements[:-1])
    assert elements[-1]["error"]["status"] == "UNAVAILABLE"
    row = await world.site.row(got.headers["x-request-id"])
    assert (row.ending, row.status, row.error_code) == ("upstream_error", 200, "upstream_error")


async def test_a_whole_answer_that_is_cut_is_cut_for_the_client_too(world: World, raw: Raw) -> None:
    account = await world.account(secret="sk-raw-0001", base_url=raw.url)

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, b"x" * 1000)[:-500])
        await writer.drain()
        await asyncio.sleep(0.1)
        raise ConnectionResetError

    raw.say("sk-raw-0001", half)
    client = await Client.asking(world.site, await world.key(), body("claude-x"))
    head = await client.head()
    assert head["content-length"] == "1000"
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.reader.readexactly(1000)
    client.leave()
    assert (await newest(world)).ending == "upstream_error"
    await empty(world, account)


async def test_a_cut_before_the_first_byte_is_an_error_answer(world: World) -> None:
    account = await world.account()
    key_id, key = await world.new_key()
    asking = asyncio.ensure_future(world.ask(key, "sandbox-stall-5", stream=True))
    await asyncio.sleep(0.3)
    world.site.gate.cut(key_id, Unauthenticated("The key was cut off.", code="key_disabled"))
    async with asyncio.timeout(1):
        no = await asking
    assert (no.status_code, code_of(no)) == (401, "key_disabled")
    row = await world.site.row(no.headers["x-request-id"])
    assert (row.status, row.error_code) == (401, "key_disabled")
    assert (row.usage_source, row.input_tokens > 0) == ("estimated", True), "the upstream had the prompt"
    await empty(world, account)


async def test_a_client_that_left_while_redis_was_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await world.account()
    key = await world.key()
    admission = world.site.gate.admission
    admit = admission.admit

    async def slow(*arguments: Any) -> Any:
        lease = await admit(*arguments)
        await asyncio.sleep(0.3)
        return lease

    monkeypatch.setattr(admission, "admit", slow)
    sent = len(world.site.sandbox.requests())
    client = await Client.asking(world.site, key, body("sandbox-tokens-100-gap-20", stream=True))
    await asyncio.sleep(0.1)
    client.leave()
    assert (await newest(world)).ending == "client_abort_cut"
    assert len(world.site.sandbox.requests()) == sent, "nobody would read the answer"
    await empty(world, account)


async def test_whatever_happens_each_request_has_one_row_and_nothing_is_held(site: Site) -> None:
    """Random clients: patient, leaving at any moment, cut off; random upstreams: whole, slow, broken, refusing."""
    world = await World.make(site)
    if len(site.gateways) < 2:
        await site.start_gateway()
    accounts = [
        await world.account(
            secret=f"sk-storm-000{at}", timeouts={"connect": 5, "first_event": 0.5, "stream_idle": 0.5, "total": 2}
        )
        for at in range(4)
    ]
    limits = [{"type": "concurrency", "max": 40}, {"type": "requests", "per": "hour", "max": 100_000}]
    made = [await world.new_key(limits=limits, on_disconnect=policy) for policy in (None, "abort", "drain")]
    scripts = ["echo", "tokens-30-gap-5", "stall-100ms", "stall-2", "cut-3", "drop", "error-500", "error-529", "error-400",  # noqa: E501
               "first-error-529", "stall-after-3-2", "error-401", "late-error-529"]  # fmt: skip
    chance = random.Random(4)
    site.sandbox.rules([Rule("error-529", credential="sk-storm-0001", times=5)])
    admitted: Counter[str] = Counter()
    for gateway in site.gateways:
        original = gateway.gate.admitted

        def counted(exchange: Any, kept: bytes, original: Any = original) -> None:
            admitted[exchange.call.request_id] += 1
            original(exchange, kept)

        gateway.gate.admitted = counted  # type: ignore[method-assign]

    async def one() -> None:
        await asyncio.sleep(chance.random() * 2)
        stream = chance.random() < 0.7
        asked = body(f"claude-{chance.choice('abcdef')}-sandbox-{chance.choice(scripts)}", stream=stream)
        client = await Client.asking(site, chance.choice(made)[1], asked, chance.choice(site.gateways).url)
        try:
            async with asyncio.timeout(chance.choice([0.0, 0.002, 0.01, 0.05, 0.2, 6])):
                head = await client.head()
                if "content-length" in head:
                    await client.reader.readexactly(int(head["content-length"]))
                else:
                    await client.reader.readuntil(b"0\r\n\r\n")
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass
        client.leave()

    async def cutter() -> None:
        for _ in range(12):
            await asyncio.sleep(0.15)
            await world.heal()
            for gateway in site.gateways:
                gateway.gate.cut(chance.choice(made)[0], Unauthenticated("Cut.", code="key_disabled"))

    async with asyncio.timeout(40):
        await asyncio.gather(cutter(), *(one() for _ in range(500)))
        await site.settled(15)
    for gateway in site.gateways:
        del gateway.gate.admitted
    site.sandbox.rules([])
    async with asyncio.timeout(10):
        while True:
            async with site.sessions() as session:
                mine = m.Request.tenant_id == world.tenant_id
                found = await session.execute(select(m.Request.request_id, m.Request.ending).where(mine))
                rows = {row[0]: row[1] for row in found}
                count = (await session.execute(select(func.count()).where(mine))).scalar_one()
            if len(rows) >= len(admitted):
                break
            await asyncio.sleep(0.1)
    assert len(admitted) > 150
    assert set(admitted.values()) == {1}
    assert count == len(rows)
    assert rows.keys() == admitted.keys()
    assert "gateway_lost" not in rows.values()
    assert {"complete", "client_abort_cut", "client_abort_drained", "upstream_error"} <= set(rows.values())
    for account in accounts:
        await empty(world, account)
    assert (await world.key_state(made[0][1]))[0]["used"] == 0
