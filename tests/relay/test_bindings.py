"""Responses and encrypted reasoning: bound to the account that made them, for the key that got them."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from gateway.core.domain import Account
from gateway.core.names import reasoning_name, response_name
from gateway.relay.bindings import organisation
from tests.relay.test_breaker import until
from tests.relay.world import Raw, World, answer, drop

ONE, TWO, THREE = "sk-bound-0001", "sk-bound-0002", "sk-bound-0003"
RESPONSES = "/v1/responses"
MODEL = "gpt-bound"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.relay.send.random.uniform", lambda low, high: 0.01)


def sealed(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text}


def response(number: int, *output: Any, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    return {
        "id": f"resp_{number}",
        "object": "response",
        "status": "completed",
        "output": output,
        "usage": usage,
    } | more


def sse(number: int, *output: Any, **more: Any) -> bytes:
    events = [{"type": "response.created", "response": response(number, status="in_progress", usage=None, **more)}]
    events += [{"type": "response.output_item.done", "item": item} for item in output]
    events.append({"type": "response.completed", "response": response(number, *output, **more)})
    data = b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events)
    return answer(200, data, content_type="text/event-stream")


async def ask(world: World, key: str, given: Any = "hi", *, url: str = "", **more: Any) -> httpx.Response:
    asked = {"model": MODEL, "input": given, **more}
    return await world.site.http.post(url + RESPONSES, headers={"x-api-key": key}, json=asked)


async def two(world: World, raw: Raw, **fields: Any) -> tuple[str, str]:
    return (
        await world.account("openai", secret=ONE, base_url=raw.url, priority=1, **fields),
        await world.account("openai", secret=TWO, base_url=raw.url, priority=2, **fields),
    )


async def bound(world: World, key_id: str, number: int) -> tuple[str | None, int]:
    gate = world.site.gate
    name = gate.prefix_of(world.tenant_id) + response_name(world.tenant_id, key_id, f"resp_{number}")
    return await gate.redis.get(name), await gate.redis.ttl(name)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_response_is_bound_before_its_id_can_be_read(world: World, raw: Raw, stream: bool) -> None:
    first, _ = await two(world, raw)
    key_id, key = await world.new_key()
    begun, go_on = asyncio.Event(), asyncio.Event()
    said = sse(1) if stream else answer(200, response(1))
    half = said.index(b"response.completed") if stream else len(said) - 4

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said[:half])
        begun.set()
        await go_on.wait()
        writer.write(said[half:])

    raw.say(ONE, slowly)
    asking = asyncio.ensure_future(ask(world, key, stream=stream))
    await begun.wait()

    async def known() -> bool:
        return (await bound(world, key_id, 1))[0] == first

    await until(known)
    assert not asking.done()
    go_on.set()
    assert (await asking).status_code == 200
    assert 30 * 86_400 - 60 < (await bound(world, key_id, 1))[1] <= 30 * 86_400


async def test_a_response_is_asked_for_where_it_is_known(world: World, raw: Raw) -> None:
    first, second = await two(world, raw)
    key_id, key = await world.new_key(debug=True)
    raw.say(ONE, answer(500), answer(200, response(3)))
    raw.say(TWO, answer(200, response(2, odd=1)), answer(200, response(4)))
    assert (await ask(world, key)).headers["x-poolgate-account"] == second
    assert (await bound(world, key_id, 2))[0] == second
    assert (await ask(world, key)).headers["x-poolgate-account"] == first
    again = await ask(world, key, previous_response_id="resp_2")
    assert (again.status_code, again.headers["x-poolgate-account"]) == (200, second)
    stranger = await ask(world, await world.key(), previous_response_id="resp_2")
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (400, "previous_response_not_found")
    raw.say(TWO, answer(500))
    assert (await ask(world, key, previous_response_id="resp_2")).status_code == 502
    assert raw.asked[-1].credential == TWO, "never elsewhere"


async def test_what_the_upstream_does_not_keep_is_not_bound(world: World, raw: Raw) -> None:
    await two(world, raw)
    key_id, key = await world.new_key()
    raw.say(ONE, sse(5, store=False))
    assert (await ask(world, key, stream=True)).status_code == 200
    assert (await bound(world, key_id, 5))[0] is None


async def made(world: World, raw: Raw, key: str, text: str, *, stream: bool = False) -> None:
    """The first account has given this key a piece of reasoning."""
    raw.say(ONE, sse(1, sealed(text)) if stream else answer(200, response(1, sealed(text))))
    assert (await ask(world, key, stream=stream)).status_code == 200
    raw.say(ONE, answer(200, response(1)))
    raw.say(TWO, answer(200, response(2)))
    raw.say(THREE, answer(200, response(3)))
    await asyncio.sleep(0.02)


GIVEN = [{"role": "user", "content": "é"}, sealed("gA1"), {"role": "assistant", "content": "b"}, sealed("gA2")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_reasoning_stays_with_the_account_that_made_it(world: World, raw: Raw, stream: bool) -> None:
    first, _ = await two(world, raw)
    key = await world.key(debug=True)
    await made(world, raw, key, "gA2", stream=stream)
    await world.account("openai", secret=THREE, base_url=raw.url, priority=1, name="before")
    for _ in range(4):
        got = await ask(world, key, GIVEN)
        assert got.headers["x-poolgate-account"] == first
        assert "x-poolgate-adjusted" not in got.headers
    assert json.loads(raw.asked[-1].body)["input"] == GIVEN


async def test_another_account_gets_it_once_without_those_items(world: World, raw: Raw) -> None:
    await two(world, raw)
    await world.account("openai", secret=THREE, base_url=raw.url, priority=3)
    key = await world.key(debug=True)
    await made(world, raw, key, "gA2")
    raw.say(ONE, answer(500))
    raw.asked.clear()
    got = await ask(world, key, GIVEN, metadata={"a": "1"})
    assert (got.status_code, got.headers["x-poolgate-adjusted"]) == (200, "encrypted_content")
    assert [one.credential for one in raw.asked] == [ONE, TWO]
    assert json.loads(raw.asked[0].body)["input"] == GIVEN
    sent = {"model": MODEL, "input": [GIVEN[0], GIVEN[2]], "metadata": {"a": "1"}}
    assert json.loads(raw.asked[1].body) == sent
    raw.say(TWO, answer(500))
    raw.asked.clear()
    failed = await ask(world, key, GIVEN)
    assert failed.status_code == 502
    assert {one.credential for one in raw.asked} == {ONE, TWO}, "another account once"


async def test_a_reader_that_is_out_leaves_it_to_its_organisation(world: World, raw: Raw) -> None:
    same = {"options": {"organization": "org-same"}}
    first = await world.account("openai", secret=ONE, base_url=raw.url, priority=1, **same)
    await world.account("openai", secret=TWO, base_url=raw.url, priority=2)
    third = await world.account("openai", secret=THREE, base_url=raw.url, priority=3, **same)
    key = await world.key(debug=True)
    await made(world, raw, key, "gA2")
    raw.say(ONE, answer(503))
    got = await ask(world, key, GIVEN)  # on the way
    assert got.headers["x-poolgate-account"] == third
    assert "x-poolgate-adjusted" not in got.headers
    assert [one["reason"] for one in (await world.state(first))["cooldowns"]] == ["overloaded"]
    got = await ask(world, key, GIVEN)  # from the beginning
    assert (got.headers["x-poolgate-account"], "x-poolgate-adjusted" in got.headers) == (third, False)
    assert json.loads(raw.asked[-1].body)["input"] == GIVEN
    raw.say(THREE, answer(503))
    got = await ask(world, key, GIVEN)
    assert (got.status_code, got.headers["x-poolgate-adjusted"]) == (200, "encrypted_content")
    got = await ask(world, key, GIVEN)
    assert (got.status_code, got.headers["x-poolgate-adjusted"]) == (200, "encrypted_content")
    assert await world.slots(first) == await world.slots(third) == 0


async def test_reasoning_that_nobody_made_here_goes_anywhere_as_it_is(world: World, raw: Raw) -> None:
    first, _ = await two(world, raw)
    key = await world.key(debug=True)
    raw.say(ONE, answer(200, response(1)))
    got = await ask(world, key, GIVEN)
    assert (got.headers["x-poolgate-account"], "x-poolgate-adjusted" in got.headers) == (first, False)
    assert json.loads(raw.asked[-1].body)["input"] == GIVEN


async def test_a_broken_connection_never_moves_a_whole_answer_even_so(world: World, raw: Raw) -> None:
    await two(world, raw)
    key = await world.key()
    raw.say(ONE, drop)
    raw.say(TWO, answer(200, response(2)))
    assert (await ask(world, key, GIVEN)).status_code == 502
    assert [one.credential for one in raw.asked] == [ONE]


async def test_reasoning_is_bound_for_the_key_that_got_it(world: World, raw: Raw) -> None:
    first, second = await two(world, raw)
    key, other = await world.key(debug=True), await world.key(debug=True)
    await made(world, raw, key, "gA2")
    raw.say(ONE, answer(503))
    got = await ask(world, other, GIVEN)
    assert got.headers["x-poolgate-account"] == second
    raw.say(ONE, answer(200, response(1)))
    await world.heal()
    raw.say(TWO, answer(200, response(2, sealed("gA2"))))
    await world.site.gate.redis.delete(world.site.gate.prefix_of(world.tenant_id) + "idle")
    assert (await ask(world, key, GIVEN)).headers["x-poolgate-account"] == first
    names = {reasoning_name(*parts) for parts in (("t", "k", "d"), ("t", "l", "d"), ("u", "k", "d"), ("t", "k", "e"))}
    assert len(names) == 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "acct_1"),
        ({"organization": "org-1", "project": "p"}, "org-1"),
        ({"account_id": "chat-1"}, "chat-1"),
        ({"organization": "", "account_id": None}, "acct_1"),
    ],
)
def test_whose_reasoning_an_account_reads(options: dict[str, Any], expected: str) -> None:
    account = Account(
        id="acct_1", tenant_id="t", name="a", platform="openai", base_url="", credentials={}, options=options
    )
    assert organisation(account) == expected
