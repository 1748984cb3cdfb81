"""Usage, summed."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from litestar import Controller, get
from litestar.params import FromQuery, QueryParameter

from admin.deps import Database, Within
from admin.schemas.page import at, moment
from admin.schemas.usage import CURRENCY, UsageView, group
from gateway.core.services import usage

DEFAULT_SPAN = timedelta(days=30)


class UsageController(Controller):
    path = "/usage"
    tags = ("usage",)

    @get(opt={"permission": "usage:read"})
    async def sums(
        self,
        session: Database,
        reach: Within,
        group_by: FromQuery[str] = "day",
        since: Annotated[str | None, QueryParameter(name="from")] = None,
        until: Annotated[str | None, QueryParameter(name="to")] = None,
        tenant_id: FromQuery[str | None] = None,
        user_id: FromQuery[str | None] = None,
        key_id: FromQuery[str | None] = None,
        account_id: FromQuery[str | None] = None,
        platform: FromQuery[str | None] = None,
        model: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000,
    ) -> UsageView:
        """`group_by`: a comma list of tenant, user, key, account, platform, model, hour, day, month. Days are UTC.
        `from` is inside, `to` is not; by default the last 30 days."""
        end = moment(until, "to") or datetime.now(UTC)
        asked = usage.UsageFilter(
            since=moment(since, "from") or end - DEFAULT_SPAN,
            until=end,
            tenant_id=tenant_id,
            user_id=user_id,
            key_id=key_id,
            account_id=account_id,
            platform=platform,
            model=model,
        )
        groups = await usage.sums(session, reach, asked, usage.dimensions(group_by), limit + 1)
        return UsageView(
            since=at(asked.since),
            until=at(asked.until),
            currency=CURRENCY,
            data=[group(sums) for sums in groups[:limit]],
            has_more=len(groups) > limit,
        )
