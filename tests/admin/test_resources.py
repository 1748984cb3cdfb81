"""What the process holds is open while it runs, and closed whatever happened."""

import pytest
from sqlalchemy import text

from admin.resources import open_resources
from gateway.core.settings import Settings
from gateway.upstream.request import Origin


async def test_all_of_it_works_and_all_of_it_ends(settings: Settings):
    with pytest.raises(ZeroDivisionError):
        async with open_resources(settings) as resources:
            async with resources.database() as session:
                assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
            assert await resources.redis.ping()
            assert resources.sealer.open(resources.sealer.seal(b"x", "here"), "here") == b"x"
            assert resources.peppers.digest("x") == settings.peppers.digest("x")
            cookie, session_ = await resources.sessions.open("usr_x", "hash")
            assert await resources.sessions.read(cookie) == session_
            await resources.sessions.close(session_)
            raise ZeroDivisionError
    with pytest.raises(RuntimeError, match="shutdown"):
        await resources.passwords.hash("x")


async def test_an_account_test_cannot_reach_our_own_ports(settings: Settings):
    """Although the setting allows the address."""
    async with open_resources(settings) as resources:
        assert Origin
        assert resources.upstream
