"""The sums follow whatever a statement changes, by the difference; tests/jobs/test_ledger.py has their histories."""

from collections.abc import AsyncGenerator

import pytest_asyncio

from gateway.core import models as m
from gateway.jobs import rollups
from tests.jobs.scene import MOMENT, Scene, row
from tests.jobs.scene import scene as make

DAY = 86_400_000
TABLES = ("usage_hours", "usage_days", "usage_months")


@pytest_asyncio.fixture(loop_scope="session")
async def scene(database_url: str, clean_redis: str) -> AsyncGenerator[Scene]:
    async with make(database_url, clean_redis) as made:
        yield made


async def test_another_statement_may_change_rows(scene: Scene) -> None:
    """A price that comes later: what it adds is the difference, in every table, and twice is once."""
    for n in range(4):
        await scene.put(0, row(MOMENT + n * 11 * DAY, cost=None, unpriced=True))
    await scene.drain()
    assert [sum(one[8] for one in await scene.usage(table)) for table in TABLES] == [4, 4, 4]
    priced = f"""
    WITH before AS (SELECT * FROM requests WHERE unpriced),
    after AS (UPDATE requests r SET cost = 2.5, unpriced = false FROM before b
        WHERE (r.request_id, r.received_at) = (b.request_id, b.received_at) RETURNING r.*),
    counted AS (SELECT *, 1 AS sign FROM after UNION ALL SELECT *, -1 FROM before), {rollups.CTES}
    SELECT count(*) FROM after
    """
    assert [await scene.connection.fetchval(priced) for _ in range(2)] == [4, 0]
    for table in TABLES:
        found = await scene.usage(table)
        assert found == await scene.recomputed(table)
        assert (sum(one[6] for one in found), sum(one[8] for one in found)) == (4, 0)
    assert len(await scene.usage("usage_months")) == 2


def test_the_tables_have_these_columns() -> None:
    for table, period in ((m.UsageHour, "hour"), (m.UsageDay, "day"), (m.UsageMonth, "month")):
        assert {column.name for column in table.__table__.columns} == {period, *rollups.DIMENSIONS, *rollups.MEASURES}
        keys = {column.name for column in table.__table__.primary_key}
        assert keys == {period, *rollups.DIMENSIONS}
