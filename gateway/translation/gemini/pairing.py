"""Which result is that of which call, where ids are missing: by id, else by name and order. Pure."""

from typing import Any

import msgspec

from gateway.protocols.reading import mapping, written
from gateway.translation.gemini import media
from gateway.translation.gemini.members import Object
from gateway.translation.prompt import Call, Document, Image, Result, Sealed, Text

_WRAPPERS = ("output", "result")
"""The one member of a `response` that is the whole of it; `error`, alone too, is a failed one's."""


class Open(msgspec.Struct, frozen=True):
    """A call that has no result yet. `given`: the client's id for it."""

    id: str
    name: str
    given: str | None


class Pairing:
    """Reads calls and results in the order of the history."""

    __slots__ = ("_asked", "_count", "_open", "_taken")

    def __init__(self) -> None:
        self._open: list[Open] = []
        self._taken: set[str] = set()
        self._count = 0
        self._asked = False

    def answered(self) -> None:
        """A user's turn begins: the next calls are those of another answer."""
        self._asked = False

    def call(self, part: Object, sealed: Sealed | None) -> Call:
        found = part.object("functionCall")
        assert found is not None
        if not self._asked:
            self._open, self._asked = [], True
        name, given = found.needed("name"), found.text("id") or None
        args = found.object("args")
        call = Call(self._new(given), name, written(args.members).decode() if args is not None else "{}", sealed=sealed)
        self._open.append(Open(call.id, name, given))
        return call

    def result(self, part: Object) -> Result:
        found = part.object("functionResponse")
        assert found is not None
        name, given = found.needed("name"), found.text("id") or None
        call = self._matching(given, name)
        response = found.object("response")
        error, text = _said({} if response is None else response.members)
        content: list[Text | Image | Document] = [Text(text)] if text else []
        content += [media.of_result(each) for each in found.objects("parts")]
        return Result(self._new(given) if call is None else call.id, tuple(content), name, error)

    def _matching(self, given: str | None, name: str) -> Open | None:
        by_id = (each for each in self._open if given is not None and each.given == given)
        by_name = (each for each in self._open if each.name == name)
        found = next(by_id, None) or next(by_name, None)
        if found is not None:
            self._open.remove(found)
        return found

    def _new(self, given: str | None) -> str:
        """The client's own id, if it is the first to have it."""
        found = given
        while found is None or found in self._taken:
            found, self._count = f"call_gemini_{self._count}", self._count + 1
        self._taken.add(found)
        return found


def _said(response: dict[str, Any]) -> tuple[bool, str]:
    """Whether it failed, and the text of it."""
    error = set(response) == {"error"}
    wrapper = "error" if error else next((name for name in _WRAPPERS if set(response) == {name}), None)
    value = response if wrapper is None else response[wrapper]
    if isinstance(value, str):
        return error, value
    return error, written(mapping(value) if isinstance(value, dict) else value).decode() if response else ""
