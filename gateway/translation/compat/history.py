"""Turns with calls and results, as turns of text and media alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from gateway.translation.arguments import as_object
from gateway.translation.compat import syntax
from gateway.translation.compat.schema import Schema
from gateway.translation.compat.values import shown
from gateway.translation.prompt import Call, Document, Image, Part, Result, Text, Tool, Turn

_SHOWN = "It is shown next."
_UNANSWERED = "The call was cancelled or failed: it has no result."


def rewritten(turns: Sequence[Turn], tools: Sequence[Tool]) -> tuple[Turn, ...]:
    """Calls are written as models shall write them, by the schemas of the `tools` there are."""
    return tuple(_History(tools).turns(turns))


class _History:
    __slots__ = ("_called", "_tools")

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: Schema(tool) for tool in reversed(tools)}
        self._called: dict[str, Call] = {}
        """Calls by their ids, in their order: a text has no other way to say which one a result is of."""

    def turns(self, turns: Sequence[Turn]) -> Iterator[Turn]:
        """Turns of the user between which nothing stands are one where they bring results, the results first. A call
        that the user went on without has an error for a result."""
        answered = {part.call_id for turn in turns for part in turn.parts if isinstance(part, Result)}
        owed: list[Result] = []
        for role, group in groupby(turns, key=lambda turn: turn.role):
            found = list(group)
            if role == "user":
                yield from self._answered(found, owed)
                owed = []
            else:
                yield from (Turn(turn.role, tuple(self._told(turn.parts))) for turn in found)
                calls = [part for turn in found for part in turn.parts if isinstance(part, Call)]
                owed += [_failed(call) for call in calls if call.id not in answered]

    def _told(self, parts: Iterable[Part]) -> Iterator[Part]:
        for called, group in groupby(parts, key=lambda part: isinstance(part, Call)):
            if not called:
                yield from group
                continue
            calls = [part for part in group if isinstance(part, Call)]
            for call in calls:
                self._called.pop(call.id, None)
                self._called[call.id] = call
            yield Text("\n".join(map(self._call, calls)), _mark(calls))

    def _call(self, call: Call) -> str:
        schema = self._tools.get(call.name) or Schema(Tool(call.name, custom=call.custom))
        given = as_object(call.arguments, call.custom)
        try:
            values = [(name, shown(value, *schema.of(name))) for name, value in given.items()]
        except RecursionError:
            values = [("input", call.arguments)]
        return syntax.call(call.name, values)

    def _answered(self, turns: Sequence[Turn], owed: Iterable[Result]) -> Iterator[Turn]:
        results = [part for turn in turns for part in turn.parts if isinstance(part, Result)]
        results += owed
        if not results:
            yield from turns
            return
        order = {call_id: number for number, call_id in enumerate(self._called)}
        results.sort(key=lambda result: order.get(result.call_id, len(order)))
        rest = (part for turn in turns for part in turn.parts if not isinstance(part, Result))
        yield Turn("user", (*self._results(results), *rest))

    def _results(self, results: Sequence[Result]) -> Iterator[Part]:
        """Those that follow each other are one text; what one shows stands right after it."""
        waiting: list[Result] = []
        for result in results:
            waiting.append(result)
            if media := [part for part in result.content if _is_media(part)]:
                yield self._joined(waiting)
                yield from media
                waiting = []
        if waiting:
            yield self._joined(waiting)

    def _joined(self, results: Sequence[Result]) -> Text:
        return Text("\n".join(map(self._result, results)), _mark(results))

    def _result(self, result: Result) -> str:
        call = self._called.get(result.call_id)
        name = call.name if result.name is None and call is not None else result.name
        texts = [text for part in result.content if (text := _text(part)) is not None]
        said = "\n".join(texts) if texts or not result.content else _SHOWN
        return syntax.result(result.call_id, name, said, result.error)


def _failed(call: Call) -> Result:
    return Result(call.id, (Text(_UNANSWERED),), call.name, error=True)


def _is_media(part: Part) -> bool:
    return isinstance(part, Image) or (isinstance(part, Document) and part.text is None)


def _text(part: Part) -> str | None:
    """A document's plain text is a result's text too: outside of its tags it could pass for another result."""
    return part.text if isinstance(part, Text | Document) else None


def _mark(parts: Sequence[Call | Result]) -> Mapping[str, Any] | None:
    """Anthropic's mark for caching: the last of them, which holds for all before it."""
    return next((part.cache for part in reversed(parts) if part.cache is not None), None)
