"""What is removed before it is written down; that nothing is ever changed or deleted."""

from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from gateway.core import db
from gateway.core import models as m
from gateway.core.services import audit
from gateway.core.services.audit import REMOVED, Actor


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"name": "x", "password": "p"}, {"name": "x", "password": REMOVED}),
        ({"credentials": {"api_key": "k"}}, {"credentials": REMOVED}),
        ({"options": {"client_secret": "s", "region": "r"}}, {"options": {"client_secret": REMOVED, "region": "r"}}),
        ({"list": [{"access_token": "t"}]}, {"list": [{"access_token": REMOVED}]}),
        ({"credential_fields": ["api_key"], "input_tokens": 5}, {"credential_fields": ["api_key"], "input_tokens": 5}),
        ({"secret": None, "totp": True, "must_change_password": False},) * 2,
    ],
)
def test_without_secrets(value: Any, written: Any):
    assert audit.without_secrets(value) == written


async def test_the_log_is_append_only(database_url: str):
    async with db.engine(database_url) as engine:
        sessions = db.sessions(engine)
        async with sessions.begin() as session:
            assert not await audit.happened(session, "a.b")
            await audit.record(session, Actor("system"), "a.b", "x", after={"password": "p"})
        for change in (update(m.Audit).values(actor="me"), delete(m.Audit)):
            with pytest.raises(DBAPIError, match="append-only"):
                async with sessions.begin() as session:
                    await session.execute(change)
        async with sessions() as session:
            assert await audit.happened(session, "a.b")
