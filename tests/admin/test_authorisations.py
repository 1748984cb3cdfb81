"""What is remembered of an authorisation that was begun."""

import asyncio

from msgspec.structs import replace

from admin.authorisations import LIFETIME, Authorisations, Begun, fresh
from admin.resources import Resources
from gateway.core.sealing import Sealer

BEGUN = Begun("usr_1", "ten_1", "openai-responses", {"client_id": "c"}, None, "the-verifier")


def test_each_is_of_its_own() -> None:
    made = {fresh() for _ in range(100)}
    assert len(made) == 100 and all(len(one) == 43 for one in made)  # RFC 7636 §4.1: 43 at least


async def test_it_comes_back_to_who_began_it(resources: Resources) -> None:
    kept, state = Authorisations(resources.redis, resources.sealer), fresh()
    await kept.begin(state, BEGUN)
    assert await kept.read(state, "usr_1") == BEGUN
    assert await kept.read(state, "usr_2") is None
    assert await kept.read(fresh(), "usr_1") is None


async def test_it_is_spent_once(resources: Resources) -> None:
    kept, state = Authorisations(resources.redis, resources.sealer), fresh()
    await kept.begin(state, BEGUN)
    assert sorted(await asyncio.gather(*(kept.spend(state) for _ in range(5)))) == [False] * 4 + [True]
    assert await kept.read(state, "usr_1") is None


async def test_what_is_kept_tells_nothing(resources: Resources) -> None:
    kept, state = Authorisations(resources.redis, resources.sealer), fresh()
    before = {name async for name in resources.redis.scan_iter("pg:authorisation:*")}
    await kept.begin(state, BEGUN)
    (name,) = {name async for name in resources.redis.scan_iter("pg:authorisation:*")} - before
    held = await resources.redis.get(name)
    assert isinstance(held, str) and "verifier" not in held and state not in name + held
    assert 0 < await resources.redis.ttl(name) <= LIFETIME
    # Under another master key, or moved to another state's name, it does not open.
    assert await Authorisations(resources.redis, Sealer((b"k" * 32,))).read(state, "usr_1") is None
    other = fresh()
    await kept.begin(other, replace(BEGUN, actor="usr_2"))
    (theirs,) = {name async for name in resources.redis.scan_iter("pg:authorisation:*")} - before - {name}
    await resources.redis.set(theirs, held, keepttl=True)
    assert await kept.read(other, "usr_1") is None
