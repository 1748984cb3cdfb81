"""The fixtures themselves: what they give is real, fresh, and gone afterwards."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import asyncpg
import redis.asyncio
import uvloop

from tests.support.servers import Databases


async def test_the_loop_is_the_one_of_production():
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)


async def test_an_empty_database_is_empty_and_its_own(empty_database: str, postgres_url: str):
    assert empty_database != postgres_url
    connection = await asyncpg.connect(empty_database.replace("+asyncpg", ""))
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert tables == 0


async def test_a_database_is_dropped_even_while_in_use(databases: Databases):
    present = "SELECT datname FROM pg_database"
    with databases.empty() as url:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        assert urlsplit(url).path[1:] in databases.fetch(present)
    assert urlsplit(url).path[1:] not in databases.fetch(present)
    connection.terminate()


async def test_a_migrated_database_has_the_tables_and_each_clone_is_its_own(
    database_url: str, new_database: Callable[[], str]
):
    other = new_database()
    assert other != database_url
    for url in (database_url, other):
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        await connection.close()
        assert tables > 1


async def test_redis_is_emptied(clean_redis: str):
    async with redis.asyncio.Redis.from_url(clean_redis) as client:
        assert await client.dbsize() == 0
        await client.set("left", "over")


async def test_redis_is_emptied_again(clean_redis: str):
    async with redis.asyncio.Redis.from_url(clean_redis) as client:
        assert await client.dbsize() == 0
