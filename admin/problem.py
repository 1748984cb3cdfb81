"""RFC 9457 problems: the one form of every failure of the admin API."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from msgspec import Struct

MEDIA_TYPE = "application/problem+json"


class FieldError(Struct, frozen=True):
    field: str
    message: str


class ProblemBody(Struct, frozen=True):
    """`code` is stable; `detail` is for people."""

    title: str
    status: int
    detail: str
    code: str
    errors: Sequence[FieldError] = ()
    request_id: str = ""
    type: str = "about:blank"


class Problem(Exception):
    """Raised anywhere in the admin API; `detail` is public."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers: Mapping[str, str] = headers or {}


def body(problem: Problem, request_id: str) -> bytes:
    return msgspec.json.encode(
        ProblemBody(
            title=HTTPStatus(problem.status).phrase,
            status=problem.status,
            detail=problem.detail,
            code=problem.code,
            errors=problem.errors,
            request_id=request_id,
        )
    )
