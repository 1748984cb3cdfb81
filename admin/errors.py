"""Whatever is raised becomes a problem. What is not known here is `internal`, without its text, which may be secret."""

import re
from collections.abc import Mapping
from typing import Any, cast

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from admin import problem
from admin.problem import FieldError, Problem
from gateway.core.services import failures

log = structlog.get_logger()

_SERVICES: Mapping[type[failures.ServiceError], tuple[int, str]] = {
    failures.Invalid: (400, "invalid_request"),
    failures.Denied: (403, "forbidden"),
    failures.Missing: (404, "not_found"),
    failures.Conflict: (409, "conflict"),
}
_HTTP = {
    400: ("invalid_request", "the request cannot be read"),
    404: ("not_found", "no such path"),
    405: ("method_not_allowed", "this path does not know this method"),
    413: ("body_too_large", "the body is too large"),
    415: ("unsupported_media_type", "the body must be application/json"),
}
#: Fields behind the unique indexes of the database.
_UNIQUE = {
    "uq_accounts_tenant_id_name": "name",
    "uq_groups_tenant_id_name": "name",
    "uq_pools_tenant_id_name": "name",
    "uq_price_versions_version": "version",
    "uq_proxies_tenant_id_name": "name",
    "uq_teams_tenant_id_name": "name",
    "uq_tenants_name": "name",
    "uq_users_email": "email",
    "uq_webhooks_tenant_id_name": "name",
}
#: What the framework says when nothing was sent where a body is needed.
_NO_BODY = [{"message": "'data'", "key": "data", "source": "body"}]
_NAMED = re.compile(r"(?:unknown|required) field `([^`]+)`")
_PATH = re.compile(r" - at `\$\.?(.*)`$")


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of the app."""

    said = as_problem(error)
    request_id = str(request.scope["state"].get("request_id", ""))
    if said.status >= 500:
        log.error("request failed", code=said.code, kind=type(error).__name__, at=_place(error), request_id=request_id)
    return Response(
        problem.body(said, request_id),
        status_code=said.status,
        media_type=problem.MEDIA_TYPE,
        headers=dict(said.headers),
    )


def as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, failures.ServiceError):
        status, code = _SERVICES[type(error)]
        errors = [FieldError(error.field, error.message)] if error.field else []
        return Problem(status, code, error.message, errors=errors)
    if isinstance(error, ValidationException):
        if error.extra == _NO_BODY:
            return Problem(400, "invalid_request", "a JSON body is needed")
        return Problem(400, "invalid_request", "the request is not valid", errors=_fields(error.extra))
    if isinstance(error, UnicodeDecodeError):
        return Problem(400, "invalid_request", "the body is not UTF-8")
    if isinstance(error, RecursionError):
        # Only what comes from outside is nested without end: a body, or JSON text within one.
        return Problem(400, "invalid_request", "the request is nested too deeply")
    if isinstance(error, HTTPException) and error.status_code in _HTTP:
        code, detail = _HTTP[error.status_code]
        allow = (error.headers or {}).get("allow")
        return Problem(error.status_code, code, detail, headers={"Allow": allow} if allow else None)
    if isinstance(error, RedisError | PoolTimeout | OSError):
        return Problem(503, "unavailable", "the database or Redis does not answer")
    if isinstance(error, DBAPIError):
        return _database(error)
    return Problem(500, "internal", "an internal error occurred")


def _database(error: DBAPIError) -> Problem:
    """By the SQLSTATE (PostgreSQL, appendix A), never by the text: that repeats values."""
    original: Any = error.orig
    state = getattr(original, "sqlstate", None) or ""
    cause = getattr(original, "__cause__", None)
    if state == "23505":
        field = _UNIQUE.get(getattr(cause, "constraint_name", None) or "")
        errors = [FieldError(field, "already taken")] if field else []
        return Problem(409, "conflict", "something of this name exists already", errors=errors)
    if state == "23503":
        return Problem(409, "conflict", "something that is named here is gone, or still in use")
    if state.startswith("22") or type(cause).__name__ == "DataError":
        return Problem(400, "invalid_request", "a value cannot be stored")
    if isinstance(error, OperationalError | InterfaceError) or state[:2] in ("08", "57", "53", "40"):
        return Problem(503, "unavailable", "the database does not answer")
    return Problem(500, "internal", "an internal error occurred")


def _fields(extra: Any) -> list[FieldError]:
    found: list[FieldError] = []
    for entry in cast("list[dict[str, Any]]", extra or []):
        path = str(entry.get("key", ""))
        message = str(entry.get("message", "not valid"))
        named = _NAMED.search(message)
        parts = ["" if path == "data" else path, named[1] if named else ""]
        found.append(FieldError(".".join(part for part in parts if part), _PATH.sub("", message)))
    return found


def _place(error: BaseException) -> str:
    """Where it was raised: file and line. The text of the exception stays out of the log."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
