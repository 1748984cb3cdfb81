"""The second factor: sealed for its user, confirmed by a code, and no code twice."""

import pytest

from admin import secondfactor, totp
from admin.resources import Resources
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.sealing import SealBroken

NOW = 2_000_000_000.0
STEP = int(NOW) // totp.STEP


@pytest.fixture
def user() -> m.User:
    return m.User(id=new_id("usr"), email="x@example.com")


async def test_a_secret_counts_once_a_code_confirmed_it(resources: Resources, user: m.User):
    assert await secondfactor.confirmed(resources, user, "000000", NOW) is None, "nothing was started"
    assert await secondfactor.accepts(resources, user, "000000", NOW) is False
    secret = await secondfactor.start(resources, user)
    right = totp.code(secret, STEP)
    assert await secondfactor.confirmed(resources, user, totp.code(secret, STEP + 2), NOW) is None
    sealed = await secondfactor.confirmed(resources, user, right, NOW)
    assert sealed is not None and secret not in sealed
    assert await secondfactor.confirmed(resources, user, totp.code(secret, STEP + 1), NOW) is None, "it is done"
    user.totp_secret = sealed
    assert await secondfactor.accepts(resources, user, right, NOW) is False, "the code that confirmed is used"
    following = totp.code(secret, STEP + 1)
    assert await secondfactor.accepts(resources, user, following, NOW) is True
    assert await secondfactor.accepts(resources, user, following, NOW) is False


async def test_the_last_start_counts(resources: Resources, user: m.User):
    first = await secondfactor.start(resources, user)
    second = await secondfactor.start(resources, user)
    assert await secondfactor.confirmed(resources, user, totp.code(first, STEP), NOW) is None
    assert await secondfactor.confirmed(resources, user, totp.code(second, STEP), NOW) is not None


async def test_what_waits_in_redis_is_sealed_and_ends(resources: Resources, user: m.User):
    secret = await secondfactor.start(resources, user)
    (name,) = [name async for name in resources.redis.scan_iter(f"*{user.id}*")]
    assert 0 < await resources.redis.ttl(name) <= 600
    assert secret.hex() not in str(await resources.redis.get(name))


async def test_it_opens_for_its_own_user_only(resources: Resources, user: m.User):
    """Copied to another row, it is worth nothing."""
    secret = await secondfactor.start(resources, user)
    sealed = await secondfactor.confirmed(resources, user, totp.code(secret, STEP), NOW)
    other = m.User(id=new_id("usr"), email="y@example.com", totp_secret=sealed)
    with pytest.raises(SealBroken):
        await secondfactor.accepts(resources, other, totp.code(secret, STEP + 1), NOW)
