"""Every failure is a problem, and tells nothing that it should not."""

import asyncpg.exceptions
import pytest
from litestar.exceptions import HTTPException
from redis.exceptions import ConnectionError as RedisDown
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from admin.app import BODY_LIMIT
from admin.errors import as_problem
from admin.problem import Problem
from gateway.core.services.failures import Conflict, Denied, Invalid, Missing
from tests.admin.conftest import Api

CANARY = "sk-canary-in-an-exception"


class _Driver(Exception):
    """As SQLAlchemy's asyncpg dialect wraps the driver's errors."""

    def __init__(self, sqlstate: str | None, cause: Exception | None = None) -> None:
        super().__init__(CANARY)
        self.sqlstate = sqlstate
        self.__cause__ = cause


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Invalid("x", "f"), 400, "invalid_request"),
        (Denied("x"), 403, "forbidden"),
        (Missing("x"), 404, "not_found"),
        (Conflict("x"), 409, "conflict"),
        (Problem(421, "unknown_host", "x"), 421, "unknown_host"),
        (HTTPException(status_code=404, detail=CANARY), 404, "not_found"),
        (HTTPException(status_code=413, detail=CANARY), 413, "body_too_large"),
        (RedisDown(CANARY), 503, "unavailable"),
        (ConnectionRefusedError(CANARY), 503, "unavailable"),
        (TimeoutError(CANARY), 503, "unavailable"),
        (RuntimeError(CANARY), 500, "internal"),
        (RecursionError(CANARY), 400, "invalid_request"),
        (OperationalError(CANARY, {}, _Driver(None)), 503, "unavailable"),
        (DBAPIError(CANARY, {}, _Driver("57014")), 503, "unavailable"),
        (DBAPIError(CANARY, {}, _Driver("22021")), 400, "invalid_request"),
        (DBAPIError(CANARY, {}, _Driver(None, asyncpg.exceptions.DataError(CANARY))), 400, "invalid_request"),
        (DBAPIError(CANARY, {}, _Driver("42P01")), 500, "internal"),
        (IntegrityError(CANARY, {}, _Driver("23503")), 409, "conflict"),
        (IntegrityError(CANARY, {}, _Driver("23505")), 409, "conflict"),
    ],
)
def test_as_problem(error: Exception, status: int, code: str):
    problem = as_problem(error)
    assert (problem.status, problem.code) == (status, code)
    assert CANARY not in problem.detail


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("GET", "/nowhere", b"", 404, "not_found"),
        ("PUT", "/keys", b"{}", 405, "method_not_allowed"),
        ("POST", "/keys", b"{", 400, "invalid_request"),
        ("POST", "/keys", b"", 400, "invalid_request"),
        ("POST", "/keys", b"null", 400, "invalid_request"),
        ("POST", "/keys", b"[]", 400, "invalid_request"),
        ("POST", "/keys", b'{"platforms": "\xff"}', 400, "invalid_request"),
        ("POST", "/keys", b'{"platforms":["*"],"models":["*"],"name":"a\\u0000b"}', 400, "invalid_request"),
        ("POST", "/keys", b'{"platforms":["*"],"models":["*"],"metadata":{"a":"\\u0000"}}', 400, "invalid_request"),
        ("POST", "/keys", b'{"platforms":["*"],"models":["*"],"name":"\\ud800"}', 400, "invalid_request"),
        ("POST", "/keys", b'"' + b"x" * BODY_LIMIT + b'"', 413, "body_too_large"),
        ("GET", "/keys?q=%00", b"", 400, "invalid_request"),
        ("GET", "/keys?limit=many", b"", 400, "invalid_request"),
        ("GET", "/keys/key_nonsense", b"", 404, "not_found"),
        ("GET", "/keys/%00", b"", 404, "not_found"),
        ("GET", "/requests?status=99999999", b"", 400, "invalid_request"),
        ("GET", "/requests?from=yesterday", b"", 400, "invalid_request"),
        ("GET", "/usage?group_by=colour", b"", 400, "invalid_request"),
    ],
)
async def test_what_is_wrong_is_a_problem(root: Api, method: str, path: str, content: bytes, status: int, code: str):
    headers = {"content-type": "application/json"} if content else {}
    answer = await root.http.request(method, path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "code", "errors", "request_id"}
    assert (body["status"], body["code"], body["request_id"]) == (status, code, answer.headers["x-request-id"])


@pytest.mark.parametrize("act", ["POST /keys", "DELETE /me/totp", "POST /session", "POST /accounts/oauth/start"])
async def test_a_body_that_is_missing_is_asked_for(root: Api, act: str):
    problem = await root(act, expect=400)
    assert (problem["detail"], problem["errors"]) == ("a JSON body is needed", [])


async def test_a_wrong_method_is_told_the_right_ones(root: Api):
    for path, allowed in (("/keys", {"GET", "POST", "OPTIONS"}), ("/tenants/x", {"GET", "PATCH", "DELETE", "OPTIONS"})):
        answer = await root.http.request("PUT", path, json={})
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) == allowed
