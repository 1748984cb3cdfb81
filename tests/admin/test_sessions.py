"""Sessions: an opaque cookie that is kept nowhere, for twelve hours from the log-in."""

from admin.resources import Resources
from admin.sessions import LIFETIME, Sessions, fingerprint


async def test_a_session_from_its_beginning_to_its_end(resources: Resources):
    sessions = Sessions(resources.redis)
    cookie, opened = await sessions.open("usr_x", "hash")
    assert (opened.user_id, opened.fingerprint) == ("usr_x", fingerprint("hash"))
    assert len(cookie) >= 43 and len(opened.csrf) >= 43 and opened.csrf != cookie
    assert await sessions.read(cookie) == opened
    for other in ("", cookie[:-1], cookie.swapcase(), opened.name, opened.csrf):
        assert await sessions.read(other) is None
    await sessions.close(opened)
    assert await sessions.read(cookie) is None


async def test_it_goes_on_under_a_new_password_but_not_longer(resources: Resources):
    sessions = Sessions(resources.redis)
    cookie, opened = await sessions.open("usr_x", "old")
    await resources.redis.expire(opened.name, 100)
    await sessions.renew(opened, "new")
    renewed = await sessions.read(cookie)
    assert renewed is not None and renewed.fingerprint == fingerprint("new") and renewed.csrf == opened.csrf
    assert 0 < await resources.redis.ttl(opened.name) <= 100
    await sessions.close(opened)
    await sessions.renew(opened, "newer")
    assert await sessions.read(cookie) is None, "one that was ended stays ended"


async def test_redis_holds_no_cookie(resources: Resources):
    sessions = Sessions(resources.redis)
    cookies = [(await sessions.open(f"usr_{at}", "hash"))[0] for at in range(3)]
    assert len(set(cookies)) == 3
    names = [name async for name in resources.redis.scan_iter("pg:session:*")]
    assert len(names) >= 3
    for name in names:
        held = str(await resources.redis.get(name))
        assert not any(cookie in str(name) or cookie in held for cookie in cookies)
        assert 0 < await resources.redis.ttl(name) <= LIFETIME == 12 * 3600
