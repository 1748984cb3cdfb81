"""Tokens: kept as digests, found by what is presented, live until their end."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.keys import Peppers
from gateway.core.services import tokens, users
from gateway.core.services.failures import Missing
from gateway.core.services.rows import Window

OLD, BOTH = Peppers((b"old",)), Peppers((b"new", b"old"))


def values(**more: Any) -> dict[str, Any]:
    return {"name": "t", "scopes": ["*:*"], "expires_at": None, **more}


async def owner(database: AsyncSession, email: str = "a@x") -> str:
    return (await users.create(database, {"email": email}, [], "-", one_time=False)).id


async def test_a_token_is_found_by_its_text_and_kept_as_a_digest(database: AsyncSession):
    user_id = await owner(database)
    token, secret = await tokens.issue(database, OLD, user_id, values())
    text = secret.reveal()
    assert text.startswith("pgadm_") and (token.prefix, token.last_four) == (text[:10], text[-4:])
    assert token.digest == OLD.digest(text) and text.encode() not in token.digest
    for peppers in (OLD, BOTH):
        found = await tokens.presented(database, peppers, text)
        assert found is not None and (found[0].id, found[1].id) == (token.id, user_id)
    for peppers, other in ((Peppers((b"new",)), text), (OLD, text[:-1]), (OLD, text.upper()), (OLD, ""), (OLD, "\x00")):
        assert await tokens.presented(database, peppers, other) is None
    await tokens.delete(database, token)
    assert await tokens.presented(database, OLD, text) is None


@pytest.mark.parametrize(("seconds", "live"), [(60, True), (-1, False)])
async def test_it_ends_with_its_time(database: AsyncSession, seconds: int, live: bool):
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    _, secret = await tokens.issue(database, OLD, await owner(database), values(expires_at=ends))
    assert (await tokens.presented(database, OLD, secret.reveal()) is not None) is live


async def test_its_use_is_noted_once_a_minute(database: AsyncSession):
    token, secret = await tokens.issue(database, OLD, await owner(database), values())
    for age, noted in ((None, True), (timedelta(seconds=30), False), (timedelta(seconds=61), True)):
        before = None if age is None else datetime.now(UTC) - age
        await database.execute(update(m.Token).where(m.Token.id == token.id).values(last_used_at=before))
        await tokens.presented(database, OLD, secret.reveal())
        await database.refresh(token)
        assert (token.last_used_at != before) is noted


async def test_the_owner_is_told_even_when_disabled(database: AsyncSession):
    """Whoever asks decides what that means."""
    user_id = await owner(database)
    _, secret = await tokens.issue(database, OLD, user_id, values())
    await database.execute(update(m.User).where(m.User.id == user_id).values(enabled=False))
    found = await tokens.presented(database, OLD, secret.reveal())
    assert found is not None and found[1].enabled is False


async def test_whose_they_are(database: AsyncSession):
    mine, other = await owner(database, "a@x"), await owner(database, "b@x")
    first, _ = await tokens.issue(database, OLD, mine, values())
    await asyncio.sleep(0.002)  # ids sort by the millisecond
    second, _ = await tokens.issue(database, OLD, other, values())
    for user_id, found in ((mine, [first]), (other, [second]), (None, [second, first])):
        assert (await tokens.listing(database, user_id, Window())).rows == found
    assert await tokens.find(database, mine, first.id) is first
    assert await tokens.find(database, None, second.id) is second
    for user_id, named in ((mine, second.id), (None, "tok_x"), (None, first.id.replace("tok", "key"))):
        with pytest.raises(Missing):
            await tokens.find(database, user_id, named)
