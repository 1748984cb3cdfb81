"""Reading the ledger: newest first, whole at its edges, and nobody else's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import db
from gateway.core import models as m
from gateway.core.ids import new_id, uuid7
from gateway.core.services import requests
from gateway.core.services.failures import Invalid, Missing
from gateway.core.services.reach import Reach
from gateway.core.services.requests import RequestFilter
from gateway.core.services.rows import Window

ROOT = Reach(everything=True)
START = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
A, B, ME = new_id("ten"), new_id("ten"), new_id("usr")


def row(seconds: int, tenant_id: str = A, **more: Any) -> m.Request:
    identifier = f"req_{uuid7(int((START + timedelta(seconds=seconds)).timestamp() * 1000))}"
    values: dict[str, Any] = {
        "key_id": new_id("key"),
        "protocol": "anthropic",
        "path": "/v1/messages",
        "model_asked": "asked",
        "model_used": "used",
        "stream": True,
        "status": 200,
        "ending": "complete",
        "usage_source": "provider",
    }
    at = requests.received_at(identifier)
    return m.Request(request_id=identifier, received_at=at, tenant_id=tenant_id, **{**values, **more})


async def kept(database: AsyncSession, *rows: m.Request) -> list[str]:
    """Their ids, as they are listed."""
    database.add_all(rows)
    await database.flush()
    return sorted((one.request_id for one in rows), key=lambda one: (requests.received_at(one), one), reverse=True)


async def test_the_moment_is_inside_the_id():
    assert requests.received_at(f"req_{uuid7(1_772_359_200_123)}") == datetime(
        2026, 3, 1, 10, 0, 0, 123_000, tzinfo=UTC
    )


async def test_pages_are_whole_even_within_one_millisecond(database: AsyncSession):
    every = await kept(database, *(row(0) for _ in range(5)), *(row(1) for _ in range(3)), row(2))
    for limit in (1, 2, 4, 9, 10):
        seen: list[str] = []
        window = Window(limit=limit, exact=True)
        while True:
            part = await requests.listing(database, ROOT, window, RequestFilter(tenant_id=A))
            assert part.count == len(every), "of all, not of the rest"
            seen += [one.request_id for one in part.rows]
            if part.next_cursor is None:
                break
            assert part.next_cursor == seen[-1]
            window = Window(limit=limit, cursor=part.next_cursor, exact=True)
        assert seen == every


async def test_filters(database: AsyncSession):
    key, account = new_id("key"), new_id("acct")
    one = row(1, key_id=key, account_id=account, user_id=ME)
    two = row(2, status=529, ending="upstream_error", model_used=None, model_asked="other")
    foreign = row(3, B)
    await kept(database, one, two, foreign)
    for asked, found in (
        ({}, [foreign, two, one]),
        ({"tenant_id": A}, [two, one]),
        ({"key_id": key}, [one]),
        ({"account_id": account}, [one]),
        ({"user_id": ME}, [one]),
        ({"request_id": two.request_id}, [two]),
        ({"model": "used"}, [foreign, one]),
        ({"model": "asked"}, [foreign, one]),
        ({"model": "other"}, [two]),
        ({"status": 529}, [two]),
        ({"ending": "complete", "tenant_id": A}, [one]),
        ({"since": two.received_at}, [foreign, two]),
        ({"until": two.received_at}, [one]),
        ({"since": two.received_at, "until": two.received_at}, []),
    ):
        listed = await requests.listing(database, ROOT, Window(), RequestFilter(**asked))
        assert listed.rows == found, asked


async def test_nobody_elses(database: AsyncSession):
    mine, anothers, nobodys, foreign = row(1, user_id=ME), row(2, user_id=new_id("usr")), row(3), row(4, B)
    await kept(database, mine, anothers, nobodys, foreign)
    for reach, found in (
        (Reach(), []),
        (Reach(tenants=frozenset({B})), [foreign]),
        (Reach(own=frozenset({A}), user_id=ME), [mine]),
        (Reach(tenants=frozenset({B}), own=frozenset({A}), user_id=ME), [foreign, mine]),
    ):
        assert (await requests.listing(database, reach, Window(exact=True), RequestFilter())).rows == found
        for one in (mine, anothers, nobodys, foreign):
            if one in found:
                assert await requests.find(database, reach, one.request_id) is one
            else:
                with pytest.raises(Missing):
                    await requests.find(database, reach, one.request_id)


@pytest.mark.parametrize("field", ["tenant_id", "key_id", "account_id", "user_id", "request_id"])
async def test_what_is_no_id_is_refused_by_its_name(database: AsyncSession, field: str):
    with pytest.raises(Invalid) as raised:
        await requests.listing(database, ROOT, Window(), RequestFilter(**{field: "x"}))
    assert raised.value.field == field
    with pytest.raises(Missing):
        await requests.find(database, ROOT, "req_x")
    with pytest.raises(Invalid) as raised:
        await requests.listing(database, ROOT, Window(cursor=new_id("key")), RequestFilter())
    assert raised.value.field == "cursor"


async def test_an_export_pages_through_everything(services_url: str, monkeypatch: pytest.MonkeyPatch):
    """Also within one millisecond, and by either of the two orders."""
    monkeypatch.setattr(requests, "_PAGE", 3)
    tenant = new_id("ten")
    async with db.engine(services_url) as engine:
        opening = db.sessions(engine)
        written = [row(seconds, tenant) for seconds in (0, 0, 0, 0, 0, 1, 1, 2, 3)]
        later = row(int((datetime.now(UTC) - START).total_seconds()) + 3600, tenant)
        async with opening.begin() as session:
            session.add_all([*written, later])
        ids = sorted(one.request_id for one in written)
        for asked in (RequestFilter(tenant_id=tenant), RequestFilter(since=START)):
            pages = [page async for page in requests.export(opening, ROOT, asked)]
            assert [one.request_id for page in pages for one in page if one.tenant_id == tenant] == ids
            assert max(map(len, pages)) == 3
        async with opening.begin() as session:
            assert await requests.expected(session, ROOT, RequestFilter(tenant_id=tenant)) == 0
            assert await requests.expected(session, ROOT, RequestFilter(status=200)) is None
            await session.execute(delete(m.Request).where(m.Request.tenant_id == tenant))


async def test_the_order_of_the_ids_is_that_of_time(database: AsyncSession):
    every = await kept(database, *(row(seconds) for seconds in (5, 3, 3, 4, 0)))
    part = await requests.listing(database, ROOT, Window(), RequestFilter())
    assert [one.request_id for one in part.rows if one.request_id in every] == every
