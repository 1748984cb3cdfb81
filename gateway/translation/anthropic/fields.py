"""Members of a request by type: what is wrong is named by its path."""

from typing import Any, TypeVar, cast

from gateway.protocols.codec import InvalidBody

T = TypeVar("T")
Object = dict[str, Any]
OBJECT: type[Object] = dict
ARRAY: type[list[Any]] = list
_NOUNS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "an array",
}


def member(tree: Object, name: str, kind: type[T], path: str = "") -> T | None:
    """The member, None when it is absent or null. Raises InvalidBody when it is of another type."""
    found = tree.get(name)
    return None if found is None else of(found, kind, path + name)


def needed(tree: Object, name: str, kind: type[T], path: str = "") -> T:
    """As `member`, of one that must be there."""
    found = tree.get(name)
    if found is None:
        raise InvalidBody(f"{path}{name} is missing", path + name)
    return of(found, kind, path + name)


def of(found: Any, kind: type[T], path: str) -> T:
    """The value itself; a whole number may be written as 7.0, and any number is a float's."""
    if type(found) is kind:
        return found
    if kind is float and type(found) is int:
        return cast("T", found)
    if kind is int and type(found) is float and found.is_integer():
        return cast("T", int(found))
    raise InvalidBody(f"{path} must be {_NOUNS[kind]}", path)


def unknown(what: str, path: str, found: Any) -> InvalidBody:
    """For a word that is none of those that are known."""
    return InvalidBody(f"{path}: {what} {str(found)[:100]!r} cannot be translated", path)
