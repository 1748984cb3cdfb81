"""Writing the audit log from handlers: resources as they are shown, without what is only counted."""

from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from admin.caller import Caller
from gateway.core.services import audit


async def note(
    session: AsyncSession,
    caller: Caller,
    action: str,
    target: str,
    *,
    tenant_id: str | None = None,
    before: Struct | None = None,
    after: Struct | dict[str, Any] | None = None,
) -> None:
    """`action` is `resource.verb`."""
    await audit.record(
        session,
        caller.actor,
        action,
        target,
        tenant_id=tenant_id,
        before=None if before is None else msgspec.to_builtins(before),
        after=None if after is None else msgspec.to_builtins(after),
    )
