"""Adds what gateways have counted of refusals, in the transaction that notes how far their journals are committed."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from gateway.core.ids import uuid_of
from gateway.core.refusals import Refused, decode

# Sorted, and one row a name: a statement may touch a row only once.
_ADD = """
INSERT INTO refusals AS r (hour, tenant_id, key_id, code, status, count)
SELECT to_timestamp(hour * 3600), tenant_id, key_id, code, status, sum(count)
FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::text[], $5::smallint[], $6::bigint[])
    AS f (hour, tenant_id, key_id, code, status, count)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (hour, tenant_id, key_id, code, status) DO UPDATE SET count = r.count + EXCLUDED.count
"""
Record = tuple[int, UUID, UUID, str, int, int]


def read(line: str) -> list[Record] | None:
    """The counts of a stream's entry; None of an entry that is a row. Raises MsgspecError or
    ValueError when it cannot be read."""
    found = decode(line)
    return None if found is None else [_record(one) for one in found]


def _record(one: Refused) -> Record:
    return one.hour, uuid_of(one.tenant_id, "ten"), uuid_of(one.key_id, "key"), one.code, one.status, one.count


async def add(connection: asyncpg.Connection, counts: Sequence[Record]) -> None:
    """Within the caller's transaction. Only what comes for the first time: nothing here would notice a second."""
    if counts:
        await connection.execute(_ADD, *map(list, zip(*counts, strict=True)))
