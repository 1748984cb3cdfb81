"""Reading a request's members: typed, in both spellings that Google's JSON parser takes, each known by its path.

null is absent, and one object stands for a list of one, as in Google's own examples (protobuf.dev/programming-guides/
json: parsers accept both `lowerCamelCase` and the original field name). Every method raises InvalidBody.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, cast

import msgspec

from gateway.protocols.codec import InvalidBody
from gateway.protocols.reading import mapping, sequence

_capital = re.compile(r"[A-Z]")
_underscored = re.compile(r"_([a-z])")


@cache
def _snake(name: str) -> str:
    """The other spelling; "" where there is no other."""
    other = _capital.sub(lambda found: "_" + found[0].lower(), name)
    return "" if other == name else other


@lru_cache(1024)
def camel(name: str) -> str:
    """The member's name as the documentation has it."""
    return _underscored.sub(lambda found: found[1].upper(), name)


class Object:
    """A JSON object and its place in the body, such as `contents[3].parts[0]`; "" is the body itself. The place is
    spelt out only for who asks: there are thousands of objects, and hardly ever a fault."""

    __slots__ = ("_holder", "_index", "_name", "members")

    def __init__(
        self, members: dict[str, Any], name: str = "", holder: "Object | None" = None, index: int = -1
    ) -> None:
        """`name`: of the member of `holder` that it is, or is in at this index; without a holder the whole place."""
        self.members = members
        self._name = name
        self._holder = holder
        self._index = index

    @property
    def path(self) -> str:
        place = self._name if self._holder is None else self._holder.under(self._name)
        return place if self._index < 0 else f"{place}[{self._index}]"

    def under(self, name: str) -> str:
        path = self.path
        return f"{path}.{name}" if path else name

    def get(self, name: str) -> Any:
        found = self.members.get(name)
        if found is None and (other := _snake(name)):
            return self.members.get(other)
        return found

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
        found = self.get(name)
        if found is not None and not isinstance(found, list):
            raise self.wrong(name, "an array")
        for index, each in enumerate(sequence(found)):
            if not isinstance(each, str):
                raise InvalidBody(f"{self.under(name)}[{index}] must be a string", f"{self.under(name)}[{index}]")
        return tuple(sequence(found))

    def object(self, name: str) -> "Object | None":
        found = self.get(name)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise self.wrong(name, "an object")
        return Object(mapping(found), name, self)

    def objects(self, name: str) -> list["Object"]:
        found = self.get(name)
        if isinstance(found, list):
            return [self._element(name, index, each) for index, each in enumerate(sequence(found))]
        if isinstance(found, dict):
            return [Object(cast("dict[str, Any]", found), name, self)]
        if found is None:
            return []
        raise self.wrong(name, "an array")

    def _element(self, name: str, index: int, found: Any) -> "Object":
        if isinstance(found, dict):
            return Object(cast("dict[str, Any]", found), name, self, index)
        path = f"{self.under(name)}[{index}]"
        raise InvalidBody(f"{path} must be an object", path)

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
