"""Parameters put where the client gave none, or in place of its own, and its temperature scaled: one walk for all.

Objects merge, each member by the same rule, unless they name different `type`s: half of one kind of thinking is none of
another. The client's own temperature is scaled, never what a rule puts; and an override is the last word.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from gateway.core.groups import is_param
from gateway.protocols.codec import InvalidBody, Span
from gateway.protocols.edits import changes
from gateway.protocols.requests import value
from gateway.protocols.spans import Edit, Members, inner, splice
from gateway.rules.dialect import Names, is_null, there

Params = Mapping[str, Any]
_KIND = "type"


def allowed(params: Params) -> Params:
    """Those that a group may write."""
    return {name: each for name, each in params.items() if is_param(name)}


class Wanted(Struct, frozen=True):
    """What is wanted of the members of one object."""

    default: Params
    override: Params
    spelled: Callable[[str], Names]
    temperature: Names = ()
    """The way to the temperature, none when it is left as it is."""
    ratio: float = 1.0
    hottest: float = 2.0

    @property
    def idle(self) -> bool:
        return not (self.default or self.override or self.temperature)

    @property
    def names(self) -> list[Names]:
        """Each member once, the spelling of the default first."""
        found: dict[str, Names] = {}
        for name in (*self.default, *self.override, *self.temperature[:1]):
            spellings = self.spelled(name)
            found.setdefault(spellings[0], tuple(dict.fromkeys((name, *spellings))))
        return list(found.values())

    @property
    def watched(self) -> Collection[str]:
        return {each for names in self.names for each in names}

    def under(self, names: Names) -> "Wanted":
        """What is wanted of the members of this member."""
        way = self.temperature[1:] if self.temperature and self.temperature[0] in names else ()
        default, override = _of(self.default, names), _of(self.override, names)
        return msgspec.structs.replace(
            self,
            default=cast(Params, default) if isinstance(default, Mapping) else {},
            override=cast(Params, override) if isinstance(override, Mapping) else {},
            temperature=way,
        )

    def without(self, names: Collection[str]) -> "Wanted":
        """Less these parameters."""
        kept = [{name: each for name, each in of.items() if name not in names} for of in (self.default, self.override)]
        return msgspec.structs.replace(self, default=kept[0], override=kept[1])


def merged(body: bytes, found: Members, wanted: Wanted) -> tuple[dict[str, bytes], list[Edit]]:
    """The members to put into an object, and the edits inside those that are there. Raises InvalidBody."""
    put: dict[str, bytes] = {}
    edits: list[Edit] = []
    for names in wanted.names:
        name = there(found, names)
        override = _of(wanted.override, names)
        if name is None:
            text = _absent(_of(wanted.default, names), override, names, wanted)
            if text is not None:
                put[names[0]] = text
        elif override is not _NOTHING and not (isinstance(override, Mapping) and _is_object(body, found, name)):
            put[name] = msgspec.json.encode(override)
        elif _is_object(body, found, name) and not _is_temperature(wanted, names):
            edits += _object(body, found.spans[name], name, wanted.under(names))
        elif wanted.temperature and wanted.temperature[0] in names and not is_null(found, name):
            edits += _scaled(found, name, wanted)
    return put, edits


def _object(body: bytes, span: Span, name: str, wanted: Wanted) -> list[Edit]:
    found = inner(body, span, wanted.watched, name)
    kind = value(found.raw, _KIND) if _KIND in wanted.watched else None
    if kind is not None and wanted.default.get(_KIND, kind) != kind:
        wanted = msgspec.structs.replace(wanted, default={})
    kind = wanted.default.get(_KIND) if kind is None else kind
    if kind is not None and wanted.override.get(_KIND, kind) != kind:
        return [(*span, msgspec.json.encode(wanted.override))]
    put, edits = merged(body, found, wanted)
    return [*edits, *changes(body, found, put)]


def _absent(default: Any, override: Any, names: Names, wanted: Wanted) -> bytes | None:
    """The text of a member that the client did not give."""
    if override is not _NOTHING and not (isinstance(override, Mapping) and isinstance(default, Mapping)):
        return msgspec.json.encode(override)
    if default is _NOTHING:
        return None
    text = msgspec.json.encode(default)
    if override is _NOTHING:
        return text
    over = msgspec.structs.replace(wanted.under(names), default={}, temperature=())
    return splice(text, _object(text, (0, len(text)), names[0], over))


def _scaled(found: Members, name: str, wanted: Wanted) -> list[Edit]:
    if not _is_temperature(wanted, (name,)):
        raise InvalidBody(f"{name} must be an object", name)
    given = value(found.raw, name)
    if type(given) not in (int, float):
        raise InvalidBody(f"{name} must be a number", name)
    # The bound is for whole numbers that no float can hold.
    hot = round(float(min(min(max(given, 0.0), 1e300) * wanted.ratio, wanted.hottest)), 6)
    if hot == given:
        return []
    return [(*found.spans[name], msgspec.json.encode(int(hot) if hot.is_integer() else hot))]


def _is_temperature(wanted: Wanted, names: Names) -> bool:
    return len(wanted.temperature) == 1 and wanted.temperature[0] in names


def _is_object(body: bytes, found: Members, name: str) -> bool:
    return body[found.spans[name][0]] == ord("{")


_NOTHING = object()


def _of(params: Params, names: Names) -> Any:
    return next((params[name] for name in names if name in params), _NOTHING)
