"""Captured prompts and answers: written by the gateways, read by owners, gone when their time is over."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.services import rows
from gateway.core.services.failures import Conflict
from gateway.core.services.reach import Reach


class Side(Struct, frozen=True):
    """What one side said, redacted. `bytes` is what there was of it before."""

    text: str
    bytes: int
    truncated: bool


class Content(Struct, frozen=True):
    """`answer` is None when no upstream gave one."""

    request: Side
    answer: Side | None


def sealed(content: Content, sealer: Sealer, request_id: str) -> bytes:
    return sealer.seal(msgspec.json.encode(content), _context(request_id))


def opened(capture: m.Capture, sealer: Sealer) -> Content:
    """Raises Conflict when it cannot be opened."""
    try:
        return msgspec.json.decode(sealer.open(capture.content, _context(capture.request_id)), type=Content)
    except SealBroken as error:
        raise Conflict(f"the capture cannot be opened: {error}") from None


def _context(request_id: str) -> str:
    """What it is bound to: it does not open in another request's row."""
    return f"captures/{request_id}/content"


async def store(session: AsyncSession, captures: Sequence[dict[str, Any]]) -> None:
    await session.execute(insert(m.Capture).on_conflict_do_nothing(), captures)


async def find(session: AsyncSession, reach: Reach, request_id: str) -> m.Capture:
    """Raises Missing, also for one whose time is over and that still stands there."""
    identifier = rows.identity(request_id, "req", "capture")
    found = select(m.Capture).where(
        reach.over(m.Capture.tenant_id), m.Capture.request_id == identifier, m.Capture.expires_at > datetime.now(UTC)
    )
    return await rows.one(session, found, "capture")


async def expire(session: AsyncSession, limit: int) -> int:
    """Deletes some whose time is over. Returns how many."""
    over = select(m.Capture.request_id).where(m.Capture.expires_at <= datetime.now(UTC)).limit(limit)
    gone = await session.execute(
        delete(m.Capture).where(m.Capture.request_id.in_(over)).returning(m.Capture.request_id)
    )
    return len(gone.all())
