"""What must be equal in two protocols, and by which rows of the loss tables it may not be."""

from collections.abc import Callable, Mapping

from tests.conformance.matrix.said import Figures, Protocol, Said

Change = Callable[[Said], Said]


def _stops(**names: str) -> Change:
    return lambda said: said._replace(stop=names.get(said.stop, said.stop))


def _without_sequence(said: Said) -> Said:
    return said._replace(sequence=None)


def _free(said: Said) -> Said:
    """A free-form call is a function's with one text."""
    return said._replace(
        calls=tuple(
            call._replace(arguments={"input": call.arguments}, free=False) if call.free else call for call in said.calls
        )
    )


def _objects(said: Said) -> Said:
    """Arguments that are no object are the text in one."""
    calls = [
        call if isinstance(call.arguments, dict) or call.free else call._replace(arguments={"input": call.arguments})
        for call in said.calls
    ]
    return said._replace(calls=tuple(calls))


def _unwritten(said: Said) -> Said:
    """What was written to caches was asked."""
    found = said.figures
    return said if found is None else said._replace(figures=found._replace(asked=found.asked + found.wrote, wrote=0))


def _two_counts(said: Said) -> Said:
    found = said.figures
    return said if found is None else said._replace(figures=Figures(sum(found[:3]), output=found.output))


#: Of each client's protocol the rows that change what its clients are told, and how.
LOST: Mapping[Protocol, Mapping[str, Change]] = {
    "anthropic": {"answer.arguments": lambda said: _objects(_free(said))},
    "openai_chat": {"answer.stop": lambda said: _without_sequence(_stops(stop_sequence="end", pause="end")(said))},
    "openai_responses": {
        "stop reason stop_sequence": lambda said: _without_sequence(_stops(stop_sequence="end")(said)),
        "stop reason pause": _stops(pause="end"),
    },
    "gemini": {
        "answer.stop_sequence": lambda said: _without_sequence(_stops(stop_sequence="end")(said)),
        "answer.pause": _stops(pause="end"),
        "answer.usage.cache_writes": _unwritten,
        "answer.arguments": lambda said: _objects(_free(said)),
    },
    "ollama": {
        "answer.stop": lambda said: _without_sequence(_stops(stop_sequence="end", pause="end", refusal="end")(said)),
        "answer.usage": _two_counts,
        "answer.arguments": lambda said: _objects(_free(said)),
    },
}

#: Whose clients know a call by its being there.
CALLING = frozenset({"openai_responses", "gemini", "ollama"})
#: Whose clients demand figures, so that none are zeros.
COUNTED = frozenset({"anthropic", "openai_responses", "ollama"})


def told(said: Said, client: Protocol) -> Said:
    """What this client reads of an answer in which another's client has read this."""
    for change in LOST[client].values():
        said = change(said)
    if client in CALLING and said.calls and said.stop == "end":
        said = said._replace(stop="tool_use")
    if said.figures is None and client in COUNTED:
        said = said._replace(figures=Figures())
    return said
