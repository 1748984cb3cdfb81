"""Serving: not on an unknown database, and quietly."""

import asyncio
import os
import signal
import socket

import httpx
import pytest
from msgspec import structs

from admin.serve import config, serve
from gateway.core.migrate import UnknownRevision
from gateway.core.settings import Settings


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return bound.getsockname()[1]


async def test_a_database_of_another_revision_is_refused_before_anything_listens(
    settings: Settings, empty_database: str
):
    port = free_port()
    with pytest.raises(UnknownRevision):
        await serve(structs.replace(settings, database_url=empty_database, admin_port=port))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_it_serves_until_it_is_told_to_end(settings: Settings):
    port = free_port()
    # uvicorn raises the signal again when it has ended: here it has had its effect by then.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    running = asyncio.ensure_future(serve(structs.replace(settings, host="127.0.0.1", admin_port=port)))
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(500):
                assert not running.done()
                try:
                    answer = await client.get(f"http://127.0.0.1:{port}/health")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.01)
            else:
                raise AssertionError("it does not listen")
        assert answer.status_code == 200 and "server" not in answer.headers
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 10)
    finally:
        running.cancel()
        signal.signal(signal.SIGTERM, before)


def test_addresses_in_headers_are_not_read_by_the_server(settings: Settings):
    """The app reads them, from trusted proxies only."""
    made = config(structs.replace(settings, host="127.0.0.2", admin_port=1234))
    assert (made.host, made.port) == ("127.0.0.2", 1234)
    assert (made.proxy_headers, made.server_header, made.access_log) == (False, False, False)
