"""What a gateway does beside its requests."""

import asyncio

from gateway.core.services import groups
from gateway.core.services.reach import Reach
from gateway.core.state import State, encode
from gateway.relay import background
from tests.relay.world import World


async def test_states_of_the_others_are_copied(world: World) -> None:
    account = await world.account()
    key = await world.key()
    gate = world.site.gate
    prefix = gate.prefix_of(world.tenant_id)
    await gate.redis.hset(prefix + "state", f"{account}|account", encode(State("rate_limited", 4e9)).decode())
    await background.copy_states(gate)
    no = await world.ask(key)
    assert no.status_code == 503
    await gate.redis.hdel(prefix + "state", f"{account}|account")
    async with asyncio.timeout(2):
        while (await world.ask(key)).status_code != 200:
            await asyncio.sleep(0.05)


async def test_leases_are_renewed_while_a_request_runs(world: World) -> None:
    account = await world.account()
    key_id, key = await world.new_key(limits=[{"type": "concurrency", "max": 2}])
    gate = world.site.gate
    prefix = gate.prefix_of(world.tenant_id)
    asking = asyncio.ensure_future(world.ask(key, "sandbox-stall-700ms"))
    await asyncio.sleep(0.3)
    (request_id,) = gate.exchanges
    names = [f"s:{account}", "l", *gate.exchanges[request_id].lease.names]
    assert len(names) == 3
    assert key_id in names[2]
    for name in names:
        await gate.redis.zadd(prefix + name, {request_id: 1})
    await background.renew(gate)
    ends = [await gate.redis.zscore(prefix + name, request_id) for name in names]
    assert len(set(ends)) == 1
    now = (await gate.redis.time())[0] * 1000
    assert 58_000 < ends[0] - now < 62_000
    assert (await asking).status_code == 200
    await world.site.settled()
    assert [await gate.redis.zscore(prefix + name, request_id) for name in names] == [None] * 3


async def test_a_lease_of_a_killed_gateway_ends_by_itself(world: World) -> None:
    """Slots and concurrency are counted by the ends of their leases: what is past is free."""
    account = await world.account(max_concurrency=1)
    key = await world.key()
    gate = world.site.gate
    prefix = gate.prefix_of(world.tenant_id)
    now = (await gate.redis.time())[0] * 1000
    await gate.redis.zadd(f"{prefix}s:{account}", {"req_dead": now + 1500})
    assert (await world.ask(key)).status_code == 503
    await asyncio.sleep(2.6)
    assert (await world.ask(key)).status_code == 200


async def test_the_settle_gives_back_what_a_stopped_move_took(world: World) -> None:
    """A request that is cut while Redis moves it to another account never hears which one."""
    account, other = await world.account(priority=1), await world.account(priority=2)
    key = await world.key()
    gate = world.site.gate
    prefix = gate.prefix_of(world.tenant_id)
    asking = asyncio.ensure_future(world.ask(key, "sandbox-stall-400ms"))
    await asyncio.sleep(0.2)
    (request_id,) = gate.exchanges
    kept = await gate.redis.hget(prefix + "r", request_id)
    assert kept.startswith(account + "\n")
    await gate.redis.hset(prefix + "r", request_id, other + "\n" + kept.partition("\n")[2])
    await gate.redis.zadd(f"{prefix}s:{other}", {request_id: 4e12})
    assert (await asking).status_code == 200
    await world.site.settled()
    assert [await world.slots(one) for one in (account, other)] == [0, 0]


async def test_groups_are_followed(world: World) -> None:
    """Made, activated and deleted: every gateway knows within two seconds."""
    gate, reach = world.site.gate, Reach(everything=True)

    async def known(name: str | None) -> None:
        async with asyncio.timeout(2):
            while gate.snapshot.active.get(world.tenant_id) != name:
                await asyncio.sleep(0.02)

    async with gate.sessions.begin() as session:
        group = await groups.create(session, world.tenant_id, {"name": "fast"})
        await groups.activate(session, group)
    await known("fast")
    assert gate.snapshot.group(world.tenant_id, "fast") == groups.opened(group)
    async with gate.sessions.begin() as session:
        await groups.delete(session, await groups.find(session, reach, group.id, lock=True))
    await known(None)
    assert gate.snapshot.group(world.tenant_id, "fast") is None
