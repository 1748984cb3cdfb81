"""Reading a request's members: typed, in both spellings that Google's JSON parser takes, each known by its path.

null is absent, and one object stands for a list of one, as in Google's own examples (protobuf.dev/programming-guides/
json: parsers accept both `lowerCamelCase` and the original field name). Every method raises InvalidBody.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import msgspec

from gateway.protocols.codec import InvalidBody
from gateway.protocols.reading import mapping, sequence

_capital = re.compile(r"[A-Z]")
_underscored = re.compile(r"_([a-z])")


@cache
def _snake(name: str) -> str:
    return _capital.sub(lambda found: "_" + found[0].lower(), name)


def camel(name: str) -> str:
    """The member's name as the documentation has it."""
    return _underscored.sub(lambda found: found[1].upper(), name) if "_" in name else name


class Object:
    """A JSON object and its place in the body, such as `contents[3].parts[0]`; "" is the body itself."""

    __slots__ = ("members", "path")

    def __init__(self, members: dict[str, Any], path: str = "") -> None:
        self.members = members
        self.path = path

    def under(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def get(self, name: str) -> Any:
        found = self.members.get(name)
        return self.members.get(_snake(name)) if found is None else found

    def given(self) -> Iterator[str]:
        """The names of all members that are not null, as the documentation spells them."""
        return (camel(name) for name, value in self.members.items() if value is not None)

    def text(self, name: str) -> str | None:
        found = self.get(name)
        if found is None or isinstance(found, str):
            return found
        raise self.wrong(name, "a string")

    def needed(self, name: str) -> str:
        found = self.text(name)
        if found:
            return found
        raise self.wrong(name, "a non-empty string")

    def word(self, name: str) -> str | None:
        """An enum's value; its unspecified one (`…_UNSPECIFIED`) is absent."""
        found = self.text(name)
        return None if found is None or found.endswith("UNSPECIFIED") else found

    def flag(self, name: str) -> bool | None:
        found = self.get(name)
        if found is None or isinstance(found, bool):
            return found
        raise self.wrong(name, "true or false")

    def number(self, name: str) -> float | None:
        found = self.get(name)
        if found is None or type(found) in (int, float):
            return found
        raise self.wrong(name, "a number")

    def whole(self, name: str) -> int | None:
        """JSON's 64 is 64.0 too, and "64" in Protocol Buffers."""
        found = self.get(name)
        if isinstance(found, str) and found.removeprefix("-").isdecimal() and len(found) <= 20:
            return int(found)
        number = None if isinstance(found, str) else self.number(name)
        if found is not None and (number is None or number != number // 1):
            raise self.wrong(name, "a whole number")
        return None if number is None else int(number)

    def texts(self, name: str) -> tuple[str, ...]:
        found = self._all(name)
        for index, each in enumerate(found):
            if not isinstance(each, str):
                raise InvalidBody(f"{self.under(name)}[{index}] must be a string", f"{self.under(name)}[{index}]")
        return tuple(found)

    def object(self, name: str) -> "Object | None":
        found = self.get(name)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise self.wrong(name, "an object")
        return Object(mapping(found), self.under(name))

    def objects(self, name: str) -> list["Object"]:
        found = self.get(name)
        if isinstance(found, dict):
            return [Object(cast("dict[str, Any]", found), self.under(name))]
        return [self._element(name, index, each) for index, each in enumerate(self._all(name))]

    def _all(self, name: str) -> list[Any]:
        found = self.get(name)
        if found is not None and not isinstance(found, list):
            raise self.wrong(name, "an array")
        return sequence(found)

    def _element(self, name: str, index: int, found: Any) -> "Object":
        path = f"{self.under(name)}[{index}]"
        if not isinstance(found, dict):
            raise InvalidBody(f"{path} must be an object", path)
        return Object(mapping(found), path)

    def wrong(self, name: str, what: str) -> InvalidBody:
        return InvalidBody(f"{self.under(name)} must be {what}", self.under(name))


_body = msgspec.json.Decoder(dict[str, Any])


def read(body: bytes) -> Object:
    """The body as an object."""
    try:
        return Object(_body.decode(body))
    except msgspec.ValidationError:
        raise InvalidBody("the body must be a JSON object") from None
    except RecursionError:
        raise InvalidBody("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(f"the body is not valid JSON: {error}") from None
