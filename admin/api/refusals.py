"""Refusals: requests that have no row in the ledger, counted."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from litestar import Controller, get
from litestar.params import FromQuery, QueryParameter

from admin.deps import Database, Within
from admin.schemas.page import at, moment
from admin.schemas.refusals import RefusalsView, refusal_group
from gateway.core.services import refusals

DEFAULT_SPAN = timedelta(days=30)


class RefusalController(Controller):
    path = "/usage/refusals"
    tags = ("usage",)

    @get(opt={"permission": "usage:read"})
    async def refused(
        self,
        session: Database,
        reach: Within,
        group_by: FromQuery[str] = "code",
        since: Annotated[str | None, QueryParameter(name="from")] = None,
        until: Annotated[str | None, QueryParameter(name="to")] = None,
        tenant_id: FromQuery[str | None] = None,
        key_id: FromQuery[str | None] = None,
        code: FromQuery[str | None] = None,
        status: FromQuery[int | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000,
    ) -> RefusalsView:
        """Requests that were refused before they were admitted, with 400, 401, 403, 404, 413 or 429. `group_by`: a
        comma list of tenant, key, code, status, hour, day. Days are UTC. `from` is inside, `to` is not; by default the
        last 30 days."""
        end = moment(until, "to") or datetime.now(UTC)
        asked = refusals.RefusalFilter(
            since=moment(since, "from") or end - DEFAULT_SPAN,
            until=end,
            tenant_id=tenant_id,
            key_id=key_id,
            code=code,
            status=status,
        )
        groups = await refusals.counts(session, reach, asked, refusals.dimensions(group_by), limit + 1)
        return RefusalsView(
            since=at(asked.since),
            until=at(asked.until),
            data=[refusal_group(one) for one in groups[:limit]],
            has_more=len(groups) > limit,
        )
