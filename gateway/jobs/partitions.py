"""Partitions of the ledger, made ahead: this month and the next two, so that no row ever meets a missing one.

A month's rows that already stand in the default partition would block its making; they are moved in the same
transaction.
"""

import datetime as dt

import asyncpg

AHEAD = 3


def months(today: dt.date, count: int = AHEAD) -> list[tuple[str, dt.date, dt.date]]:
    """(table, first day, first day of the next month), from this month on."""
    found: list[tuple[str, dt.date, dt.date]] = []
    first = today.replace(day=1)
    for _ in range(count):
        following = (first + dt.timedelta(days=32)).replace(day=1)
        found.append((f"requests_{first:%Y_%m}", first, following))
        first = following
    return found


async def make_ahead(connection: asyncpg.Connection, today: dt.date) -> list[str]:
    """Makes what is missing. Returns the names of the new partitions."""
    made: list[str] = []
    for table, first, following in months(today):
        if await connection.fetchval("SELECT to_regclass($1)", table) is not None:
            continue
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            await connection.execute(f"CREATE TABLE {table} (LIKE requests INCLUDING DEFAULTS INCLUDING INDEXES)")
            await connection.execute(
                f"WITH moved AS (DELETE FROM requests_default WHERE received_at >= '{first}' "  # noqa: S608
                f"AND received_at < '{following}' RETURNING *) INSERT INTO {table} SELECT * FROM moved"
            )
            await connection.execute(
                f"ALTER TABLE requests ATTACH PARTITION {table} FOR VALUES FROM ('{first}') TO ('{following}')"
            )
        made.append(table)
    return made
