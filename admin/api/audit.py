"""The audit log. It is written by every change, and by nothing else."""

from typing import Annotated

from litestar import Controller, get
from litestar.params import FromQuery, QueryParameter

from admin.deps import Database, Part, Within
from admin.schemas.page import Page, moment, page
from admin.schemas.records import AuditView, audit_view
from gateway.core.services import audit


class AuditController(Controller):
    path = "/audit"
    tags = ("audit",)

    @get(opt={"permission": "audit:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
        tenant_id: FromQuery[str | None] = None,
        actor: FromQuery[str | None] = None,
        action: FromQuery[str | None] = None,
        target: FromQuery[str | None] = None,
        since: Annotated[str | None, QueryParameter(name="from")] = None,
        until: Annotated[str | None, QueryParameter(name="to")] = None,
    ) -> Page[AuditView]:
        """Newest first."""
        asked = audit.AuditFilter(
            tenant_id=tenant_id,
            actor=actor,
            action=action,
            target=target,
            since=moment(since, "from"),
            until=moment(until, "to"),
        )
        return page(await audit.listing(session, reach, window, asked), audit_view)
