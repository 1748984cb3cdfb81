"""The ledger: what was asked, what it cost, how it ended."""

from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from admin.deps import Database, Part, Within
from admin.schemas.page import Page, moment, page
from admin.schemas.records import RequestView, request_view
from gateway.core.services import requests


class RequestController(Controller):
    path = "/requests"
    tags = ("requests",)

    @get(opt={"permission": "requests:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
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
    ) -> Page[RequestView]:
        """Newest first."""
        asked = requests.RequestFilter(
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
        return page(await requests.listing(session, reach, window, asked), request_view)

    @get("/{request_id:str}", opt={"permission": "requests:read"})
    async def read(self, session: Database, reach: Within, request_id: FromPath[str]) -> RequestView:
        return request_view(await requests.find(session, reach, request_id))
