"""JSON bodies, looked at before anything is made of them: how deep they go, and whether their text can be stored."""

import json
from collections.abc import Iterable
from typing import Any, cast

from litestar import Request
from litestar.exceptions import SerializationException

from admin.problem import FieldError, Problem

DEPTH = 64
"""Levels of objects and arrays within a field, such as `metadata`, `options`, `params_default`."""
_TOO_DEEP = "nested too deeply"
#: Where a value stands: the place of what holds it, and its name or position there.
Place = tuple["Place", str | int] | None


class Received(Request[Any, Any, Any]):
    """The request of every handler."""

    async def json(self) -> Any:
        """Raises Problem naming the field."""
        content = await self.body()
        try:
            body = await super().json()
        except RecursionError:
            raise Problem(400, "invalid_request", f"the body is {_TOO_DEEP}") from None
        except SerializationException:
            fault = _unpaired(content)
            raise _refused(fault) if fault else Problem(400, "invalid_request", "the body is not JSON") from None
        # Both are counts of what could be wrong: a usual body is not walked through.
        if content.count(b"[") + content.count(b"{") > DEPTH or b"\\u0000" in content:
            fault = found_fault(body)
            if fault is not None:
                raise _refused(fault)
        return body


def found_fault(body: Any) -> FieldError | None:
    """The first of what is too deep or is text that nothing can store; iterative, since depth is what it looks for."""
    waiting: list[tuple[Place, Any, int]] = [(None, body, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        if isinstance(value, str):
            fault = _unfit(value)
            if fault:
                return FieldError(_written(place), fault)
            continue
        held: Iterable[tuple[str | int, Any]]
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            fault = next(filter(None, map(_unfit, members)), None)
            if fault:
                return FieldError(_written(place), f"the name of a member: {fault}")
            held = members.items()
        elif isinstance(value, list):
            held = enumerate(cast("list[Any]", value))
        else:
            continue
        if depth > DEPTH:
            return FieldError(_written(_beginning(place)), _TOO_DEEP)
        waiting.extend(((place, step), inner, depth + 1) for step, inner in held)
    return None


def _unpaired(content: bytes) -> FieldError | None:
    """Of what msgspec refuses: half of a surrogate pair (RFC 8259, 8.2), which Python's own decoder lets pass."""
    try:
        return found_fault(json.loads(content))
    except (ValueError, RecursionError):
        return None


def _unfit(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character cannot be stored"
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        return "half of a surrogate pair is not a character"
    return None


def _refused(fault: FieldError) -> Problem:
    detail = f"the body is {_TOO_DEEP}" if fault.message == _TOO_DEEP else "the request is not valid"
    return Problem(400, "invalid_request", detail, errors=[fault])


def _beginning(place: Place) -> Place:
    """The field of the body that holds the place, and its member."""
    while place is not None and place[0] is not None and place[0][0] is not None:
        place = place[0]
    return place


def _written(place: Place) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return "".join(reversed(steps)).removeprefix(".")
