"""Changes as they are written down: as shown, without secrets and without what is only counted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin import trail
from admin.caller import Caller
from admin.resources import Resources
from admin.schemas.people import TenantView
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.services.audit import REMOVED, Actor

CALLER = Caller(Actor("tok_x", "192.0.2.1", "req_x"), "usr_x")


@pytest.fixture
async def session(resources: Resources) -> AsyncIterator[AsyncSession]:
    """Rolled back."""
    async with resources.database() as opened:
        yield opened


async def noted(session: AsyncSession, target: str) -> m.Audit:
    await session.flush()
    return (await session.execute(select(m.Audit).where(m.Audit.target == target))).scalar_one()


async def test_who_did_what_from_where_in_which_request(session: AsyncSession):
    tenant = new_id("ten")
    await trail.note(session, CALLER, "tenants.delete", tenant)
    row = await noted(session, tenant)
    assert (row.actor, row.address, row.request_id) == ("tok_x", "192.0.2.1", "req_x")
    assert (row.action, row.tenant_id, row.before, row.after) == ("tenants.delete", None, None, None)


async def test_a_resource_is_written_as_it_is_shown(session: AsyncSession):
    named: dict[str, Any] = {
        "enabled": True,
        "public_lists": False,
        "capture": None,
        "price_multiplier": "1",
        "ollama_key_id": None,
        "created_at": "a",
        "updated_at": "b",
    }
    before = TenantView(id="ten_x", name="before", limits=[], **named)
    after = TenantView(id="ten_x", name="after", limits=[{"type": "concurrency", "max": 3}], **named)
    target = new_id("ten")
    await trail.note(session, CALLER, "tenants.change", target, before=before, after=after)
    row = await noted(session, target)
    assert row.before is not None and row.before == {"id": "ten_x", "name": "before", "limits": [], **named}
    assert row.after == {**row.before, "name": "after", "limits": [{"type": "concurrency", "max": 3}]}


async def test_a_secret_that_came_along_is_not_written(session: AsyncSession):
    target = new_id("acct")
    await trail.note(session, CALLER, "accounts.x", target, after={"lifted": 1, "credentials": {"api_key": "k"}})
    assert (await noted(session, target)).after == {"lifted": 1, "credentials": REMOVED}
