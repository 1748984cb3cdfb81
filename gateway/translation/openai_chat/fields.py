"""Members of a request, each with the type that it must have. Absent and null are the same: nothing was said.

Raises InvalidBody naming the member's path, such as `messages[3].content[0].type`.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeVar, cast

from gateway.protocols.codec import InvalidBody

T = TypeVar("T")
Kind = Callable[[Any, str], T]
"""(value, path) → the value as this type."""


def text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidBody(f"{path} must be a string", path)
    return value


def word(value: Any, path: str) -> str:
    """A string with something in it."""
    if not isinstance(value, str) or not value:
        raise InvalidBody(f"{path} must be a non-empty string", path)
    return value


def flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidBody(f"{path} must be true or false", path)
    return value


def whole(value: Any, path: str) -> int:
    """A whole number; 8.0 is one."""
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise InvalidBody(f"{path} must be a whole number", path)
    return value


def natural(value: Any, path: str) -> int:
    if (found := whole(value, path)) < 0:
        raise InvalidBody(f"{path} must not be negative", path)
    return found


def number(value: Any, path: str) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise InvalidBody(f"{path} must be a number", path)
    return value


def record(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidBody(f"{path} must be an object", path)
    return cast("dict[str, Any]", value)


def array(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidBody(f"{path} must be an array", path)
    return cast("list[Any]", value)


def maybe(found: Mapping[str, Any], name: str, kind: Kind[T], inside: str = "") -> T | None:
    """The member of an object that stands at `inside` (nothing: of the body)."""
    value = found.get(name)
    return None if value is None else kind(value, f"{inside}.{name}" if inside else name)


def needed(found: Mapping[str, Any], name: str, kind: Kind[T], inside: str = "") -> T:
    value = found.get(name)
    path = f"{inside}.{name}" if inside else name
    if value is None:
        raise InvalidBody(f"{path} is required", path)
    return kind(value, path)
