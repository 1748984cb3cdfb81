"""What the process holds is open while it runs, and closed whatever happened."""

import socket

import pytest
from msgspec import structs
from sqlalchemy import text

from admin.resources import open_resources
from gateway.core.domain import Timeouts
from gateway.core.settings import Settings
from gateway.platforms.platform import Outgoing
from gateway.upstream.failures import DialFailed, Failure


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
    """Although the setting allows the address: another port of it is dialled."""
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as another:
        port = ours.getsockname()[1]
        async with open_resources(structs.replace(settings, gateway_port=port)) as resources:
            for listening, dials in ((ours, 0), (another, 1)):
                target = f"http://127.0.0.1:{listening.getsockname()[1]}/"
                outgoing = Outgoing("GET", target, [], b"")
                timeouts = Timeouts(connect=2, first_event=0.1, total=0.1)
                with pytest.raises(Failure) as raised:
                    await resources.upstream.open(outgoing, pool_key="x", timeouts=timeouts, stream=False)
                assert resources.upstream.dials == dials
                assert isinstance(raised.value, DialFailed) is (dials == 0)
