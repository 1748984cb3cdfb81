"""One row written and read again, in whichever server a URL names."""

import asyncpg
import redis

from tests.support.servers import run


def write(url: str, text: str) -> None:
    if not url.startswith("postgresql"):
        with redis.Redis.from_url(url) as client:
            client.set("row", text)
        return

    async def insert() -> None:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        await connection.execute("CREATE TABLE IF NOT EXISTS row (text text)")
        await connection.execute("INSERT INTO row VALUES ($1)", text)
        await connection.close()

    run(insert())


def read(url: str) -> str | None:
    if not url.startswith("postgresql"):
        with redis.Redis.from_url(url) as client:
            found = client.get("row")
            return found.decode() if isinstance(found, bytes) else found

    async def select() -> str | None:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        text = await connection.fetchval("SELECT text FROM row")
        await connection.close()
        return text

    return run(select())
