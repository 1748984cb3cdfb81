"""Usage, summed."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter, SkipValidation
from litestar.response import Stream

from admin import export
from admin.deps import Database, Holding, Within
from admin.export import Format
from admin.schemas.page import at, moment
from admin.schemas.usage import CURRENCY, UsageView, group
from gateway.core.services import usage
from gateway.core.services.failures import Invalid

DEFAULT_SPAN = timedelta(days=30)
"""From its midnight: the first day is a whole one too."""
_EARLIEST = 1970

Asked = NamedDependency[SkipValidation[usage.UsageFilter]]


def asked_for(
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
    tenant_id: FromQuery[str | None] = None,
    team_id: FromQuery[str | None] = None,
    user_id: FromQuery[str | None] = None,
    key_id: FromQuery[str | None] = None,
    account_id: FromQuery[str | None] = None,
    platform: FromQuery[str | None] = None,
    provider: FromQuery[str | None] = None,
    model: FromQuery[str | None] = None,
) -> usage.UsageFilter:
    end = moment(until, "to") or datetime.now(UTC)
    if end.year < _EARLIEST:
        raise Invalid(f"expected a time of the year {_EARLIEST} or later", "to")
    return usage.UsageFilter(
        since=moment(since, "from") or (end - DEFAULT_SPAN).replace(hour=0, minute=0, second=0, microsecond=0),
        until=end,
        tenant_id=tenant_id,
        team_id=team_id,
        user_id=user_id,
        key_id=key_id,
        account_id=account_id,
        platform=platform,
        provider=provider,
        model=model,
    )


class UsageController(Controller):
    path = "/usage"
    tags = ("usage",)
    dependencies = {"asked": Provide(asked_for, sync_to_thread=False)}  # noqa: RUF012  # the framework's own form

    @get(opt={"permission": "usage:read"})
    async def sums(
        self,
        session: Database,
        reach: Within,
        asked: Asked,
        group_by: FromQuery[str] = "day",
        sort: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000,
    ) -> UsageView:
        """`group_by`: a comma list of tenant, team, user, key, account, platform, provider, model, hour, day, month.
        Days are UTC. `from` is inside, `to` is not; by default today and the 30 days before it. A team is who is in it
        now. `sort`: a measure, such as cost: the largest groups come first."""
        by, largest = usage.dimensions(group_by), usage.measure(sort)
        groups = await usage.sums(session, reach, asked, by, limit + 1, largest)
        return UsageView(
            since=at(asked.since),
            until=at(asked.until),
            currency=CURRENCY,
            data=[group(sums) for sums in groups[:limit]],
            has_more=len(groups) > limit,
        )

    @get("/export", opt={"permission": "usage:read"})
    async def export(
        self,
        resources: Holding,
        reach: Within,
        asked: Asked,
        format: FromQuery[Format] = "csv",  # noqa: A002  # an error names it as it is asked
        group_by: FromQuery[str] = "day",
        sort: FromQuery[str | None] = None,
    ) -> Stream:
        """All groups of the same sums, one a line."""
        by = usage.dimensions(group_by)
        found = usage.query(reach, asked, by, usage.measure(sort))
        columns = [*(usage.DIMENSIONS[word] for word in by), *usage.MEASURES]
        pages = export.viewed(usage.export(resources.database, found), group)
        return await export.answer("usage", format, columns, pages)
