"""Reading members of a request that may be anything: the value in the type that is meant, or InvalidBody with its path
(such as `input[3].content[0].text`). An absent member and null are the same."""

from typing import Any, cast

from gateway.protocols.codec import InvalidBody


def maybe_text(value: Any, path: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidBody(f"{path} must be a string", path)
    return value


def text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidBody(f"{path} must be a string", path)
    return value


def name(value: Any, path: str) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidBody(f"{path} must be a non-empty string", path)
    return value


def flag(value: Any, path: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise InvalidBody(f"{path} must be true or false", path)
    return value


def number(value: Any, path: str) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float):
        raise InvalidBody(f"{path} must be a number", path)
    return value


def whole(value: Any, path: str) -> int | None:
    """A whole number, not below 0."""
    if value is None:
        return None
    if type(value) not in (int, float) or value < 0 or value != value // 1:
        raise InvalidBody(f"{path} must be a whole number, not below 0", path)
    return int(value)


def array(value: Any, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidBody(f"{path} must be an array", path)
    return cast("list[Any]", value)


def maybe_record(value: Any, path: str) -> dict[str, Any] | None:
    return None if value is None else record(value, path)


def record(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidBody(f"{path} must be an object", path)
    return cast("dict[str, Any]", value)


def one_of(value: Any, path: str, allowed: tuple[str, ...]) -> str | None:
    if value is not None and value not in allowed:
        raise InvalidBody(f"{path} must be one of {', '.join(allowed)}", path)
    return cast("str | None", value)
