"""Rounds of calls and their results. Upstreams refuse a result that does not stand right after its call, or cannot
tell what it is of; some clients' protocols take it anywhere, or without a call. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from gateway.translation.prompt import Call, Part, Result, Text, Turn

BEGINNING = "(The conversation begins with the assistant's message.)"
"""What the user says first where an upstream wants that, and a client has cut off the beginning."""


def settled(turns: Sequence[Turn], unanswered: str | None = None) -> Sequence[Turn]:
    """Turns in which all results stand between their calls and the assistant's next turn, one for each call; what a
    result of no call says is the user's own. The same object where they do already.

    `unanswered`: what a call is answered by that has no result; then all results of a round stand before what the user
    says, in the order of the calls.
    """
    if _is_settled(turns, whole=unanswered is not None):
        return turns
    waiting: dict[str, list[Result]] = {}
    for turn in reversed(turns):
        for part in reversed(turn.parts):
            if isinstance(part, Result):
                waiting.setdefault(part.call_id, []).append(part)
    found: list[Turn] = []
    owed: list[Result] = []
    taken: set[int] = set()
    for spoken, run in groupby(turns, key=_is_spoken):
        if spoken:
            said = [*run]
            found += said
            owed = [*_results(said, waiting, unanswered)]
            taken.update(map(id, owed))
        else:
            others = [
                Turn(turn.role, tuple(each for part in turn.parts for each in _own(part, taken, waiting)))
                for turn in run
            ]
            found += [Turn("user", tuple(owed)), *others] if owed else others
            owed = []
    return [*found, Turn("user", tuple(owed))] if owed else found


def _is_spoken(turn: Turn) -> bool:
    return turn.role == "assistant"


def _is_settled(turns: Iterable[Turn], *, whole: bool) -> bool:
    """`whole`: all calls have their results, in order and before all others."""
    asked: list[str] = []
    for spoken, run in groupby(turns, key=_is_spoken):
        parts = [part for turn in run for part in turn.parts]
        if spoken:
            asked = [part.id for part in parts if isinstance(part, Call)]
            continue
        given = [part.call_id for part in parts if isinstance(part, Result)]
        if whole and not (given == asked and all(isinstance(part, Result) for part in parts[: len(given)])):
            return False
        for call_id in given:
            if call_id not in asked:
                return False
            asked.remove(call_id)
        asked = []
    return not (whole and asked)


def _results(turns: Sequence[Turn], waiting: Mapping[str, list[Result]], unanswered: str | None) -> Iterator[Result]:
    for call in (part for turn in turns for part in turn.parts if isinstance(part, Call)):
        if found := waiting.get(call.id):
            yield found.pop()
        elif unanswered is not None:
            yield Result(call.id, (Text(unanswered),), call.name, error=True)


def _own(part: Part, taken: set[int], waiting: Mapping[str, list[Result]]) -> Iterable[Part]:
    """What is left of a part where it stands. A result that nobody has asked for is none of a later call's."""
    if not isinstance(part, Result):
        return (part,)
    if id(part) in taken:
        return ()
    waiting[part.call_id].pop()
    return part.content
