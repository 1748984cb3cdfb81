"""The arguments of a call in pieces, as Vertex streams them. Pure.

`partialArgs`: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc. Each has
a path (RFC 9535, of names and indexes only), and a value; texts that go on come in several.
"""

import re
from itertools import pairwise
from typing import Any, cast

_FURTHEST = 10_000
"""Elements of a list that a path may reach into."""
_step = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,5})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_escaped = re.compile(r"\\(.)")
_OTHERS = ("numberValue", "boolValue", "nullValue")


class Pieces:
    """An object that comes piece by piece."""

    __slots__ = ("_path", "_texts", "_value")

    def __init__(self) -> None:
        self._value: dict[str, Any] = {}
        self._path = ""
        self._texts: list[str] = []

    def add(self, piece: dict[str, Any]) -> None:
        """A piece whose path cannot be followed is passed over."""
        path, text = piece.get("jsonPath"), piece.get("stringValue")
        if not isinstance(path, str):
            return
        if path != self._path:
            self._settle()
            self._path = path
        if isinstance(text, str):
            self._texts.append(text)
        elif (name := next((each for each in _OTHERS if each in piece), None)) is not None:
            _put(self._value, _steps(path), _whole(piece[name]))

    def whole(self) -> dict[str, Any]:
        self._settle()
        return self._value

    def _settle(self) -> None:
        """A text is put in its place once, however many pieces it had."""
        if self._texts:
            _put(self._value, _steps(self._path), "".join(self._texts))
            self._texts = []


def _steps(path: str) -> list[str | int]:
    """None of them where the path cannot be read to its end."""
    found: list[str | int] = []
    position = 1 if path.startswith("$") else len(path) + 1
    while step := _step.match(path, position):
        name, index, single, double = step.groups()
        quoted = single if single is not None else double
        found.append(int(index) if index else name or _escaped.sub(r"\1", quoted))
        position = step.end()
    return found if position == len(path) else []


def _inside(place: Any, step: str | int, empty: Any) -> Any:
    """What is at this step; a new `empty` one where nothing was. None where it cannot be."""
    if isinstance(step, int):
        if not isinstance(place, list) or step > _FURTHEST:
            return None
        elements = cast("list[Any]", place)
        elements += [None] * (step + 1 - len(elements))
        if elements[step] is None:
            elements[step] = empty
        return elements[step]
    return cast("dict[str, Any]", place).setdefault(step, empty) if isinstance(place, dict) else None


def _put(root: dict[str, Any], steps: list[str | int], value: Any) -> None:
    place: Any = root
    for step, following in pairwise(steps):
        place = _inside(place, step, [] if isinstance(following, int) else {})
    if not steps:
        return
    before = _inside(place, steps[-1], value)
    if isinstance(place, list | dict) and before is not None:
        cast("dict[Any, Any]", place)[steps[-1]] = value


def _whole(value: Any) -> Any:
    """Protocol Buffers know only doubles; null is said as NULL_VALUE."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return None if isinstance(value, str) else value
