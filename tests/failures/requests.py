"""What the tests of this folder ask for, and what they look at afterwards."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import redis
from sqlalchemy import select

from gateway.core import models as m
from tests.support.installation import Site


def body(model: str = "sandbox-echo", **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello there"}], **more}


async def post(site: Site, key: str, model: str = "sandbox-echo", **more: Any) -> httpx.Response:
    return await site.http.post("/v1/messages", headers={"x-api-key": key}, json=body(model, **more))


@asynccontextmanager
async def streaming(site: Site, key: str, model: str) -> AsyncGenerator[httpx.Response]:
    """A stream whose head is in."""
    headers = {"x-api-key": key}
    async with site.http.stream("POST", "/v1/messages", headers=headers, json=body(model, stream=True)) as answer:
        yield answer


async def timed(site: Site, key: str) -> tuple[float, httpx.Response]:
    began = time.monotonic()
    answer = await post(site, key)
    return time.monotonic() - began, answer


async def reasons(site: Site) -> tuple[int, str]:
    """What /readyz says."""
    answer = await site.http.get("/readyz")
    return answer.status_code, " ".join(answer.json().get("reasons", []))


async def rows(site: Site) -> dict[str, m.Request]:
    async with site.sessions() as session:
        found = (await session.execute(select(m.Request))).scalars().all()
    return {row.request_id: row for row in found}


async def ledger_has(site: Site, ids: list[str], seconds: float = 15) -> dict[str, m.Request]:
    """Waits until every request has its row, and no journal waits; fails on a row that says gateway_lost."""
    async with asyncio.timeout(seconds):
        while True:
            found = await rows(site)
            if set(ids) <= set(found) and not any(one.gate.journal.waiting for one in site.gateways):
                break
            await asyncio.sleep(0.1)
    assert not [row for row in found.values() if row.ending == "gateway_lost"]
    return found


def leases(url: str) -> list[str]:
    """Slots, concurrency leases, running requests and reservations, as they are in Redis itself."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        names = [name for sign in ("s:*", "c:*", "l") for name in client.scan_iter(f"{{pg:*}}:{sign}")]
        held = [f"{name} {member}" for name in names for member in client.zrange(name, 0, -1)]
        return held + [f"{name} {field}" for name in client.scan_iter("{pg:*}:r") for field in client.hkeys(name)]
