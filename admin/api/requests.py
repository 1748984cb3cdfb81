"""The ledger: what was asked, what it cost, how it ended."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter, SkipValidation
from litestar.response import Stream

from admin import export
from admin.deps import Database, Holding, Part, Within
from admin.export import Format
from admin.schemas.page import Page, moment, page
from admin.schemas.records import RequestView, request_view
from gateway.core.services import requests

Asked = NamedDependency[SkipValidation[requests.RequestFilter]]


def asked_for(
    tenant_id: FromQuery[str | None] = None,
    key_id: FromQuery[str | None] = None,
    account_id: FromQuery[str | None] = None,
    user_id: FromQuery[str | None] = None,
    model: FromQuery[str | None] = None,
    status: FromQuery[int | None] = None,
    ending: FromQuery[str | None] = None,
    request_id: FromQuery[str | None] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
) -> requests.RequestFilter:
    return requests.RequestFilter(
        tenant_id=tenant_id,
        key_id=key_id,
        account_id=account_id,
        user_id=user_id,
        model=model,
        status=status,
        ending=ending,
        request_id=request_id,
        since=moment(since, "from"),
        until=moment(until, "to"),
    )


class RequestController(Controller):
    path = "/requests"
    tags = ("requests",)
    dependencies = {"asked": Provide(asked_for, sync_to_thread=False)}  # noqa: RUF012  # the framework's own form

    @get(opt={"permission": "requests:read"})
    async def listing(self, session: Database, reach: Within, window: Part, asked: Asked) -> Page[RequestView]:
        """Newest first."""
        return page(await requests.listing(session, reach, window, asked), request_view)

    @get("/export", opt={"permission": "requests:read"})
    async def export(
        self,
        resources: Holding,
        reach: Within,
        asked: Asked,
        format: FromQuery[Format] = "csv",  # noqa: A002  # an error names it as it is asked
    ) -> Stream:
        """All rows, oldest first, one a line. Those that end while it runs are not in it."""
        pages = export.viewed(requests.export(resources.database, reach, asked), request_view)
        async with resources.database() as session:
            expected = await requests.expected(session, reach, asked)
        return await export.answer("requests", format, RequestView.__struct_fields__, pages, expected=expected)

    @get("/{request_id:str}", opt={"permission": "requests:read"})
    async def read(self, session: Database, reach: Within, request_id: FromPath[str]) -> RequestView:
        return request_view(await requests.find(session, reach, request_id))
