"""Whose fault an attempt without an answer was: the account's, its proxy's, or nobody's."""

import asyncio
import time

import pytest

from gateway.core.inspection import read_state
from gateway.core.state import State
from gateway.platforms.network import NetworkFault
from gateway.relay.blame import fault_of
from gateway.upstream import BadAnswer, ConnectionBroken, DialFailed, Failure, TimedOut, Truncated
from tests.relay.test_proxied import change, way
from tests.relay.world import OK, Raw, Said, World, code_of
from tests.support.outbound import outbound

ONE, TWO = "sk-blame-0001", "sk-blame-0002"
SONNET, OPUS = "claude-sonnet-x", "claude-opus-x"


@pytest.mark.parametrize(
    ("failure", "fault"),
    [
        (TimedOut("x", phase="first_event"), NetworkFault.SLOW),
        (TimedOut("x", phase="total"), NetworkFault.SLOW),
        (DialFailed("x", reason="request"), NetworkFault.UNSENDABLE),
        (DialFailed("x", reason="proxy"), NetworkFault.PROXY),
        (DialFailed("x", reason="tls"), NetworkFault.TLS),
        (DialFailed("x", reason="dns"), NetworkFault.CONNECT),
        (DialFailed("x", reason="refused"), NetworkFault.CONNECT),
        (DialFailed("x", reason="egress"), NetworkFault.CONNECT),
        (DialFailed("x", reason="timeout"), NetworkFault.CONNECT),
        (BadAnswer("x", phase="head"), NetworkFault.GARBLED),
        (ConnectionBroken("x", stale=True), NetworkFault.RESET),
        (Truncated("x"), NetworkFault.RESET),
    ],
)
def test_faults(failure: Failure, fault: NetworkFault) -> None:
    assert fault_of(failure) is fault


async def test_a_dead_proxy_is_out_for_its_accounts_and_back_for_all(world: World, raw: Raw) -> None:
    proxy_id = await way(world, "http://127.0.0.1:1")
    first = await world.account(secret=ONE, base_url=raw.url, proxy_id=proxy_id)
    second = await world.account(secret=TWO, base_url=raw.url, proxy_id=proxy_id)
    raw.say(ONE, OK)
    raw.say(TWO, OK)
    key = await world.key()
    # The second failure in a row is at the other account: it is the proxy that both have met.
    assert (await world.ask(key, SONNET)).status_code == 502
    held = world.site.gate.states.scopes(proxy_id)["account"]
    assert (held.reason, held.until - time.time() <= 30) == ("proxy", True)
    for account in (first, second):
        assert (await world.state(account))["cooldowns"] == []
        state = await read_state(world.site.gate.redis, world.tenant_id, account, proxy_id)
        assert (state["usable"], state["reason"]) == (False, "proxy")
    refused = await world.ask(key, OPUS)
    assert (refused.status_code, code_of(refused)) == (503, "no_account")
    async with outbound("http") as alive:
        await change(world, proxy_id, url=f"http://127.0.0.1:{alive.port}")
        world.site.gate.states.set(proxy_id, "account", State("proxy", time.time() - 1, held.since))
        assert (await world.ask(key, SONNET)).status_code == 200
    assert "account" not in world.site.gate.states.scopes(proxy_id)
    assert raw.asked


async def test_an_account_without_the_proxy_goes_on(world: World, raw: Raw) -> None:
    proxy_id = await way(world, "http://127.0.0.1:1")
    await world.account(secret=ONE, base_url=raw.url, proxy_id=proxy_id, priority=1)
    direct = await world.account(secret=TWO, base_url=raw.url, priority=2)
    raw.say(TWO, OK)
    key = await world.key(debug=True)
    for _ in range(4):
        got = await world.ask(key, SONNET)
        assert (got.status_code, got.headers["x-poolgate-account"]) == (200, direct)
    row = await world.site.row(got.headers["x-request-id"])
    assert [one["account_id"] for one in row.attempts] == [direct]


async def _mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"no answer at all\r\n\r\n", "cannot be read"), (_mute, "could not be reached")],
)
async def test_what_the_client_is_told(world: World, raw: Raw, answer: Said, said: str) -> None:
    await world.account(secret=ONE, base_url=raw.url)
    raw.say(ONE, answer)
    refused = await world.ask(await world.key(), SONNET)
    assert (refused.status_code, code_of(refused)) == (502, "upstream_error")
    assert said in refused.text
