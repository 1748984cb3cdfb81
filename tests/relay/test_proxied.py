"""Accounts behind an outbound proxy, through a whole gateway: answers, kept tunnels, changes, dead proxies."""

import os
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from gateway.core.sealing import Sealer
from gateway.core.services import proxies, rows
from gateway.core.services.reach import Reach
from tests.relay.world import World
from tests.support.installation import Site
from tests.support.outbound import Outbound, outbound

ROOT = Reach(everything=True)


@pytest_asyncio.fixture(loop_scope="session")
async def out() -> AsyncGenerator[Outbound]:
    async with outbound("socks5h", credentials=("some", "secret")) as made:
        yield made


async def way(world: World, url: str) -> str:
    sealer = Sealer(world.site.settings.master_key_bytes)
    async with world.site.sessions.begin() as session:
        values = {"name": os.urandom(4).hex(), "url": url}
        return (await proxies.create(session, sealer, world.tenant_id, values)).id


async def change(world: World, proxy_id: str, **values: Any) -> None:
    async with world.site.sessions.begin() as session:
        proxy = await proxies.find(session, ROOT, proxy_id, lock=True)
        await proxies.change(session, Sealer(world.site.settings.master_key_bytes), proxy, values)
    await world.site.reload()


def url_of(out: Outbound, password: str = "secret") -> str:
    return f"socks5h://some:{password}@127.0.0.1:{out.port}"


def target(site: Site) -> tuple[str, int]:
    host, _, port = site.sandbox.url.removeprefix("http://").partition(":")
    return host, int(port)


async def test_answers_and_streams_over_one_kept_tunnel(world: World, out: Outbound) -> None:
    key = await world.key()
    await world.account(proxy_id=await way(world, url_of(out)))
    dials = world.site.gate.upstream.dials
    for stream in (False, True, False, True):
        answer = await world.ask(key, stream=stream)
        assert answer.status_code == 200
        assert ("event: message_stop" in answer.text) is stream
    assert out.asked == [target(world.site)]
    assert world.site.gate.upstream.dials == dials + 1


async def test_a_change_of_the_proxy_holds_for_the_next_request(world: World, out: Outbound) -> None:
    key = await world.key()
    proxy_id = await way(world, url_of(out))
    await world.account(proxy_id=proxy_id)
    assert (await world.ask(key)).status_code == 200
    async with outbound("http") as other:
        await change(world, proxy_id, url=f"http://127.0.0.1:{other.port}")
        assert (await world.ask(key)).status_code == 200
        assert (len(out.asked), other.asked) == (1, [target(world.site)])


async def test_a_direct_account_takes_no_detour(world: World, out: Outbound) -> None:
    key = await world.key()
    await world.account()
    await way(world, url_of(out))
    assert (await world.ask(key)).status_code == 200
    assert out.asked == []


@pytest.mark.parametrize("fault", ["dead", "wrong password", "cannot be read"])
async def test_an_account_never_goes_out_past_its_proxy(world: World, out: Outbound, fault: str) -> None:
    """Another account takes the request; without one it fails."""
    key = await world.key()
    url = "http://127.0.0.1:1" if fault == "dead" else url_of(out, "wrong" if fault == "wrong password" else "secret")
    proxy_id = await way(world, url)
    await world.account(proxy_id=proxy_id, priority=1, secret="sk-behind-the-proxy")
    if fault == "cannot be read":
        async with world.site.sessions.begin() as session:
            (await proxies.find(session, ROOT, proxy_id)).url = b"nothing"
            await rows.announce(session, "proxy", proxy_id)
        await world.site.reload()
    dials = world.site.gate.upstream.dials
    assert (await world.ask(key)).status_code == (404 if fault == "cannot be read" else 502)
    assert (out.asked, world.site.gate.upstream.dials - dials) == ([], 0 if fault == "cannot be read" else 1)
    healthy = await world.account(priority=2)
    answer = await world.ask(key)
    assert answer.status_code == 200
    row = await world.site.row(answer.headers["x-request-id"])
    assert row.account_id == healthy
