"""The machine's own AWS role, for the `bedrock` accounts that hold no credentials.

botocore's chain finds it (environment, profile, web identity, container, instance metadata) and renews it; what it
gives is stored beside those accounts, where the gateways read it at once. Only jobs ask: no gateway reaches for
metadata.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from sqlalchemy import func, select

from gateway.core import models as m
from gateway.core.db import Sessions
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.services import accounts
from gateway.platforms.bedrock import AccessKey

PLATFORM = "bedrock"
EVERY = 30.0
"""Seconds. botocore renews what it holds 10 to 15 minutes before the end."""

Find = Callable[[], Mapping[str, Any] | None]
"""Blocks; None when the machine has no role."""
log = structlog.get_logger()


class Chain:
    """botocore's chain, kept so that it renews in its own time. Its credentials as the platform signs with them.

    Called, it raises what the chain raises, and ValidationError for what no request could be signed with.
    """

    def __init__(self) -> None:
        self._found: Any = None
        logging.getLogger("botocore.credentials").addFilter(_without_traceback)

    def __call__(self) -> Mapping[str, Any] | None:
        # Kept only while it works: what an endpoint's nonsense has spoilt never renews itself again.
        found, self._found = self._found or _first(), None
        if found is None:
            return None
        keys: Any = found.get_frozen_credentials()
        # botocore keeps the end to itself; lasting credentials have none.
        end: Any = getattr(found, "_expiry_time", None)
        held: dict[str, str | None] = {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "session_token": keys.token,
            "expires_at": None if end is None else str(int(end.timestamp())),
        }
        given = {name: value for name, value in held.items() if value}
        msgspec.convert({name: value for name, value in given.items() if name != "expires_at"}, AccessKey)
        self._found = found
        return given


def _first() -> Any:
    from botocore.session import Session  # a tenth of a second that only such accounts need

    session: Any = Session()
    return session.get_credentials()


def _without_traceback(record: logging.LogRecord) -> bool:
    """botocore logs a renewal that failed with what the endpoint answered; no body goes to a log."""
    record.exc_info = None
    return True


async def resolve(sessions: Sessions, sealer: Sealer, find: Find) -> int:
    """Stores what the machine's role gives now beside each account without credentials. Returns how many changed."""
    wanting = select(m.Account).where(
        m.Account.platform == PLATFORM,
        m.Account.deleted_at.is_(None),
        m.Account.enabled,
        func.cardinality(m.Account.credential_fields) == 0,
    )
    async with sessions() as session:
        if not (await session.execute(wanting.limit(1))).first():
            return 0
    held = await asyncio.to_thread(_found, find)
    if held is None:
        return 0
    changed = 0
    async with sessions.begin() as session:
        for account in (await session.execute(wanting.with_for_update())).scalars():
            if _held(account, sealer) != held:
                await accounts.keep_renewed(session, sealer, account, held)
                changed += 1
    if changed:
        log.info("the machine's role was resolved", accounts=changed, ends=held.get("expires_at"))
    return changed


def _found(find: Find) -> Mapping[str, Any] | None:
    try:
        held = find()
    except Exception as error:  # whatever the chain meets: a profile that cannot be read, metadata that fails
        log.warning("the machine's role could not be resolved", reason=type(error).__name__)
        return None
    if held is None:
        log.warning("accounts without credentials wait for a role, and this machine has none")
    return held


def _held(account: m.Account, sealer: Sealer) -> Mapping[str, Any]:
    try:
        return {name: value.reveal() for name, value in sealer.open_renewed(account.renewed, account.id).items()}
    except SealBroken:
        return {}
