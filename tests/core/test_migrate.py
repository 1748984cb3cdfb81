"""Migrations: from nothing to the newest revision, from several processes at once, and refusals to start."""

import asyncio
from decimal import Decimal
from functools import partial

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.core import migrate
from gateway.core.ids import uuid7
from gateway.core.migrate import UnknownRevision, check_revision, known_revisions, upgrade


def engine(url: str):
    return create_async_engine(url, poolclass=NullPool)


async def revision(url: str) -> list[str]:
    async with engine(url).connect() as connection:
        return list((await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars())


async def test_from_nothing_and_again(empty_database: str) -> None:
    await upgrade(empty_database)
    assert await revision(empty_database) == known_revisions()[:1]
    await upgrade(empty_database)
    await check_revision(engine(empty_database))
    async with engine(empty_database).connect() as connection:
        assert (await connection.execute(text("SELECT name FROM tenants"))).scalars().all() == ["default"]
        assert (await connection.execute(text("SELECT version FROM configuration"))).scalars().all() == [0]


def _to(revision: str, connection: Connection) -> None:
    config = migrate._config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def test_what_an_older_installation_has_used_is_kept(empty_database: str) -> None:
    """Sums by day and month are made from those by hour; rows get what they did not have."""
    used = "INSERT INTO usage_hours (hour, tenant_id, key_id, user_id, account_id, platform, model, requests, cost) "
    tenant, key, nobody = (f"'{uuid7()}'" for _ in range(3))
    async with engine(empty_database).begin() as connection:
        await connection.run_sync(partial(_to, "0002"))
        for hour in ("2026-01-31T23:00Z", "2026-02-01T00:00Z", "2026-02-01T05:00Z"):
            values = f"VALUES ('{hour}', {tenant}, {key}, NULL, {nobody}, 'openai', 'm', 2, 0.5)"
            await connection.execute(text(used + values))
        row = "request_id, received_at, tenant_id, key_id, protocol, path, model_asked, stream, ending, usage_source"
        values = f"{nobody}, now(), {tenant}, {key}, 'openai_chat', '/', 'm', false, 'complete', 'provider'"
        await connection.execute(text(f"INSERT INTO requests ({row}) VALUES ({values})"))
    await upgrade(empty_database)
    async with engine(empty_database).connect() as connection:

        async def sums(table: str, period: str) -> list[tuple[str, int, Decimal]]:
            asked = f"SELECT {period}::text, requests, cost FROM {table} ORDER BY 1"
            return [tuple(one) for one in await connection.execute(text(asked))]

        days = await sums("usage_days", "day")
        months = await sums("usage_months", "month")
        kept = (await connection.execute(text("SELECT audio_tokens, server_tool_calls FROM requests"))).one()
    half = Decimal("0.5")
    assert days == [("2026-01-31", 2, half), ("2026-02-01", 4, 2 * half)]
    assert months == [("2026-01-01", 2, half), ("2026-02-01", 4, 2 * half)]
    assert tuple(kept) == (0, 0)


async def test_several_at_once(empty_database: str) -> None:
    await asyncio.gather(*(upgrade(empty_database) for _ in range(5)))
    assert await revision(empty_database) == known_revisions()[:1]


def quickly(statement: str) -> str:
    return "SET LOCAL lock_timeout = '100ms'" if "lock_timeout" in statement else statement


async def test_a_lock_that_is_held_is_tried_again(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "BEGINNING", tuple(quickly(one) for one in migrate.BEGINNING))
    async with engine(empty_database).connect() as blocking:
        await blocking.execute(text("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)"))
        await blocking.commit()
        await blocking.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        running = asyncio.get_running_loop().create_task(upgrade(empty_database))
        await asyncio.sleep(0.4)
        assert not running.done()
        await blocking.rollback()
        async with asyncio.timeout(5):
            await running
    assert await revision(empty_database) == known_revisions()[:1]


async def test_it_waits_for_vacuum_and_nobody_waits_for_it(empty_database: str) -> None:
    """Vacuum's lock on a month of the ledger is held for longer than a migration may make others wait."""
    newest, before, *_ = known_revisions()
    async with engine(empty_database).begin() as connection:
        await connection.run_sync(partial(_to, before))
        await connection.execute(text("CREATE TABLE ledger (at int) PARTITION BY RANGE (at)"))
        await connection.execute(text("CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES FROM (0) TO (9)"))
    async with engine(empty_database).connect() as vacuum, engine(empty_database).connect() as writer:
        await vacuum.execute(text("LOCK TABLE ledger_1 IN SHARE UPDATE EXCLUSIVE MODE"))
        running = asyncio.get_running_loop().create_task(upgrade(empty_database))
        for at in range(8):
            async with asyncio.timeout(0.5):
                await writer.execute(text(f"INSERT INTO ledger VALUES ({at})"))
                await writer.commit()
            await asyncio.sleep(0.2)
        assert not running.done()
        await vacuum.rollback()
        async with asyncio.timeout(5):
            await running
    assert await revision(empty_database) == [newest]


async def test_another_error_is_not_tried_again(empty_database: str) -> None:
    async with engine(empty_database).begin() as connection:
        await connection.execute(text("CREATE TABLE tenants (mine int)"))
    async with asyncio.timeout(3):
        with pytest.raises(Exception, match='"tenants" already exists'):
            await upgrade(empty_database)
    async with engine(empty_database).connect() as connection:  # nothing half done
        assert (await connection.execute(text("SELECT to_regclass('accounts')"))).scalar_one() is None


async def stand_on(connection: AsyncConnection, name: str) -> None:
    await connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)"))
    await connection.execute(text("INSERT INTO alembic_version VALUES (:name)"), {"name": name})


@pytest.mark.parametrize(
    ("known", "found", "accepted"),
    [
        (["3", "2", "1"], "3", True),
        (["3", "2", "1"], "2", True),
        (["3", "2", "1"], "1", False),
        (["3", "2", "1"], "4", False),
        (["1"], "1", True),
        (["1"], None, False),
    ],
)
async def test_what_it_starts_on(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, known: list[str], found: str | None, accepted: bool
) -> None:
    monkeypatch.setattr(migrate, "known_revisions", lambda: known)
    if found:
        async with engine(empty_database).begin() as connection:
            await stand_on(connection, found)
    if accepted:
        await check_revision(engine(empty_database))
        return
    with pytest.raises(UnknownRevision) as caught:
        await check_revision(engine(empty_database))
    assert str(caught.value) == (
        f"the database is at revision {found or 'none'}, this version needs {known[0]}: run `poolgate migrate`"
    )


async def test_the_audit_log_is_append_only(database_url: str) -> None:
    async with engine(database_url).begin() as connection:
        await connection.execute(
            text("INSERT INTO audit (id, actor, action, target) VALUES (gen_random_uuid(), 'system', 'a', 't')")
        )
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
        async with engine(database_url).connect() as connection:
            with pytest.raises(Exception, match="append-only"):
                await connection.execute(text(statement))
