"""Which limits apply to a key, and how long a deleted one can come back."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from gateway.core import db
from gateway.core import models as m
from gateway.core.keys import Peppers
from gateway.core.services import keys, tenants, users
from gateway.core.services.failures import Conflict

LIMIT = {"type": "requests", "per": "minute"}


async def test_the_limits_of_key_user_and_tenant_all_apply(database_url: str):
    async with db.engine(database_url) as engine, db.sessions(engine).begin() as session:
        tenant = await tenants.create(session, {"name": "t", "limits": [{**LIMIT, "max": 3}]})
        roles = [users.Role(tenant.id, "member")]
        user = await users.create(session, {"email": "a@b", "limits": [{**LIMIT, "max": 2}]}, roles, "-", one_time=True)
        values = {"platforms": [], "models": [], "limits": [{**LIMIT, "max": 1}]}
        mine, _ = await keys.issue(session, Peppers((b"p",)), tenant.id, {**values, "user_id": user.id})
        nobodys, _ = await keys.issue(session, Peppers((b"p",)), tenant.id, values)
        found = await keys.limits_of(session, mine)
        assert [(limit.scope, limit.owner, limit.max) for limit in found] == [
            ("key", mine.id, 1),
            ("user", f"{user.id}/{tenant.id}", 2),
            ("tenant", tenant.id, 3),
        ]
        assert [limit.scope for limit in await keys.limits_of(session, nobodys)] == ["key", "tenant"]


async def test_a_deleted_key_comes_back_for_thirty_days(database_url: str):
    async with db.engine(database_url) as engine, db.sessions(engine).begin() as session:
        default = (await session.execute(select(m.Tenant.id).where(m.Tenant.name == "default"))).scalar_one()
        key, _ = await keys.issue(session, Peppers((b"p",)), default, {"platforms": [], "models": []})
        for days, comes_back in ((29, True), (31, False)):
            key.deleted_at = datetime.now(UTC) - timedelta(days=days)
            if comes_back:
                await keys.restore(session, key)
                assert key.deleted_at is None
            else:
                with pytest.raises(Conflict):
                    await keys.restore(session, key)
