"""Bringing the database to the revision that this code knows, and refusing to start on one it does not.

Only `poolgate migrate` (and `up`) migrates, under an advisory lock, with a short lock time limit that is retried: a
migration waits for running queries, never the other way round. Autovacuum leaves first: it may work on a month of the
ledger for long, and gives way only to who waits longer than that limit.

Start-up only checks: the newest known revision and the one before it are accepted, so that a rolling update works;
anything else is refused with one line.
"""

import asyncio
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_LOCK = 0x6D69_6772
_LOCK_TIMEOUT = "500ms"
_STATEMENT_TIMEOUT = "15min"
_TRIES = 10
_UNTIL_VACUUM_LEAVES = "5s"
"""Autovacuum gives way after PostgreSQL's `deadlock_timeout`, which is a second."""
_LOCK_ALL = """
DO $$
DECLARE
    tables text := (
        SELECT string_agg(oid::regclass::text, ', ') FROM pg_class
        WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = current_schema()::regnamespace
    );
BEGIN
    IF tables IS NOT NULL THEN EXECUTE 'LOCK TABLE ' || tables || ' IN SHARE UPDATE EXCLUSIVE MODE'; END IF;
END $$
"""
#: What a migration's transaction begins with. The lock that keeps autovacuum away hinders neither readers nor writers,
#: so waiting for it costs nobody anything; whoever waits for the locks that come after it makes all others wait.
BEGINNING = (
    f"SET LOCAL lock_timeout = '{_UNTIL_VACUUM_LEAVES}'",
    _LOCK_ALL,
    f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'",
)


class UnknownRevision(Exception):
    """The database stands on a revision that this version of poolgate does not know."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent.parent / "migrations"))
    return config


def known_revisions() -> list[str]:
    """All revisions of this version, newest first."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in scripts.walk_revisions()]


async def upgrade(url: str) -> None:
    """Migrates the database at `url`. Safe to run from several processes at once."""
    engine = create_async_engine(url, poolclass=pool.NullPool)
    try:
        for attempt in range(_TRIES):
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(_upgrade)
                return
            except DBAPIError as error:
                if not _lock_timed_out(error) or attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(0.5 * 2 ** min(attempt, 4))
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    connection.execute(text(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    for statement in BEGINNING:
        connection.exec_driver_sql(statement)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _lock_timed_out(error: DBAPIError) -> bool:
    original: Any = error.orig
    return getattr(original, "sqlstate", None) == "55P03"


async def check_revision(engine: AsyncEngine) -> None:
    """Raises UnknownRevision unless the database stands on the newest known revision or the one before."""
    accepted = known_revisions()[:2]
    async with engine.connect() as connection:
        exists = (await connection.execute(text("SELECT to_regclass('alembic_version')"))).scalar_one()
        found = (
            (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
            if exists
            else None
        )
    if found not in accepted:
        raise UnknownRevision(
            f"the database is at revision {found or 'none'}, this version needs {accepted[0]}: run `poolgate migrate`"
        )
