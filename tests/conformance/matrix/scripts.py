"""Every kind of request, by any client to any account: one function each."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import httpx2
import pytest
from msgspec import Struct

from tests.conformance.matrix import answers, asked, judges, kept, wires
from tests.conformance.matrix.clients import Client, speaking
from tests.conformance.matrix.provider import Provider
from tests.conformance.matrix.said import PNG, WEATHER, Called, Protocol, Said, Talk

NAMES: dict[Protocol, str] = {
    "anthropic": "claude-sonnet-4-5",
    "openai_chat": "gpt-5.1",
    "openai_responses": "gpt-5.1",
    "gemini": "gemini-2.5-pro",
    "ollama": "qwen3:8b",
}
"""Of each upstream's protocol a model that does all that is asked for here."""


class Run(Struct):
    """One client at one upstream, whole or as a stream."""

    client: Client
    upstream: Protocol
    provider: Provider
    stream: bool

    @property
    def translated(self) -> bool:
        return self.client.protocol != self.upstream

    def scripted(self, script: str) -> str:
        return f"{NAMES[self.upstream]}-sandbox-{script}"

    def told(self, events: Callable[[Protocol], Any]) -> str:
        recording = answers.told(self.upstream, events(self.upstream), self.stream)
        return f"{NAMES[self.upstream]}-{self.provider.tell(recording)}"

    async def ask(self, talk: Talk) -> Said:
        """What came there and back is what the protocols say."""
        said = await self.client.ask(talk, self.stream)
        if self.translated:
            assert wires.faults(self.client.protocol, self.client.wire) == []
            assert judges.faults(self.upstream, self.provider.body) == []
        return said

    async def original(self, talk: Talk) -> Said:
        """What this client is to read, by the reading of the upstream's own."""
        strict = {"strict": False} if self.upstream.startswith("openai") else {}
        async with speaking(self.upstream, self.provider.url, **strict) as own:
            said = await own.ask(talk, self.stream)
        return kept.told(said, self.client.protocol) if self.translated else said

    async def refused(self, talk: Talk) -> Exception:
        """The error that the client raises: its own kind, in the form of its protocol."""
        # An answer that passes as it is breaks off as it does at its own upstream.
        broken = () if self.translated else (httpx.TransportError, httpx2.TransportError)
        with pytest.raises((self.client.fault, *broken)) as caught:
            await self.client.ask(talk, self.stream)
        wire = self.client.wire
        if self.translated or wire.status >= 400:
            assert wires.faults(self.client.protocol, wire) == []
        return caught.value


async def text(run: Run) -> None:
    said = await run.ask(Talk(run.scripted("echo"), "one two thrée 😀", system="Be brief."))
    assert (said.text, said.stop, said.calls) == ("one two thrée 😀", "end", ())
    row = run.provider.sandbox.bill.rows[-1]
    assert said.figures is not None
    assert sum(said.figures[:3]) == row.input_tokens + row.cache_read_tokens
    assert (said.figures.output, row.output_tokens) == (4, 4)
    sent = run.provider.requests[-1].body.decode()
    assert "Be brief." in sent
    assert "thrée 😀" in json.dumps(json.loads(sent), ensure_ascii=False)


async def tool(run: Run) -> None:
    """A call, and a second turn with its result."""
    talk = Talk(run.scripted("tool"), tools=("weather", "other"))
    said = await run.ask(talk)
    [call] = said.calls
    assert (call.name, set(call.arguments), said.stop) == ("weather", {"city", "days"}, "tool_use")
    again = await run.ask(Talk(talk.model, talk.text, tools=talk.tools, past=said, results=("sünny",)))
    assert again.text.startswith("The tool answered: ")
    assert "sünny" in again.text
    assert (again.stop, again.calls) == ("end", ())
    assert asked.answered(run.upstream, run.provider.body) == [("weather", call.arguments, "sünny")]


async def parallel_tools(run: Run) -> None:
    talk = Talk(run.told(answers.parallel), tools=("weather",))
    said = await run.ask(talk)
    assert said.differing(await run.original(talk)) == {}
    arguments = [{"city": city, "days": days} for days, city in enumerate(answers.CITIES)]
    assert said.calls == tuple(Called("weather", each) for each in arguments)
    await run.ask(Talk(talk.model, talk.text, tools=talk.tools, past=said, results=("sun", "rain")))
    found = asked.answered(run.upstream, run.provider.body)
    assert found == [("weather", arguments[0], "sun"), ("weather", arguments[1], "rain")]


async def image(run: Run) -> None:
    said = await run.ask(Talk(run.scripted("echo"), "what is it?", image=True))
    assert said.text == "what is it?"
    if run.translated:  # Google's own client writes base64 for URLs
        assert PNG in run.provider.requests[-1].body.decode()


async def thinking(run: Run) -> None:
    """Thoughts before a call, and what is made of them in the next turn: what a maker has sealed goes back to it."""
    talk = Talk(run.told(answers.thinking), tools=("weather",), think=True)
    said = await run.ask(talk)
    assert not run.translated or asked.thinks(run.upstream, run.provider.body)
    assert said.differing(await run.original(talk)) == {}
    assert said.thinking == "Whether it räins."
    await run.ask(Talk(talk.model, talk.text, tools=talk.tools, think=True, past=said, results=("dry",)))
    [one] = asked.answered(run.upstream, run.provider.body)
    assert (one.name, one.result) == ("weather", "dry")
    sealed = answers.SEAL in run.provider.requests[-1].body.decode()
    carries = run.client.protocol in ("openai_responses", run.upstream)
    assert sealed == (run.upstream in answers.FAMILIES and carries)


async def limited(run: Run) -> None:
    said = await run.ask(Talk(run.scripted("tokens-60"), max_tokens=20))
    assert (said.stop, len(said.text.split())) == ("length", 20)
    assert asked.limits(run.upstream, run.provider.body)[0] == 20


async def stop_sequence(run: Run) -> None:
    talk = Talk(run.told(answers.sequence), stop=("END", "FIN"))
    said = await run.ask(talk)
    assert asked.limits(run.upstream, run.provider.body)[1] == ["END", "FIN"]
    assert said.differing(await run.original(Talk(talk.model))) == {}
    assert said.text == "one two"


async def stop_sequence_refused(run: Run) -> None:
    """An account that has none says so before anything is sent."""
    before = len(run.provider.requests)
    error = await run.refused(Talk(run.scripted("echo"), stop=("END",)))
    assert run.client.wire.status == 400
    assert "stop" in str(error)
    assert len(run.provider.requests) == before


async def refusal(run: Run) -> None:
    """Prompts differ in length from protocol to protocol, and so do the figures."""
    said = await run.ask(Talk(run.scripted("refuse")))
    assert said.differing(await run.original(Talk(run.scripted("refuse")))).keys() <= {"figures"}


async def json_schema(run: Run) -> None:
    said = await run.ask(Talk(run.scripted("echo"), schema=WEATHER))
    found = json.loads(said.text)
    assert set(found) == {"city", "days"}
    assert isinstance(found["days"], int)


async def cut_off(run: Run) -> None:
    """The connection breaks in the middle."""
    await run.refused(Talk(run.scripted("tokens-30-cut-9")))


async def unended(run: Run) -> None:
    """The body is over before the answer is."""
    await run.refused(Talk(run.told(answers.unended)))


async def late_error(run: Run) -> None:
    """It fails in the middle of a stream, in the protocol's own words."""
    await run.refused(Talk(run.scripted("tokens-30-late-error-500")))


async def first_error(run: Run) -> None:
    """A stream whose first event is an error."""
    await run.refused(Talk(run.scripted("tokens-30-first-error-400")))


async def stalled(run: Run) -> None:
    await run.refused(Talk(run.scripted("tokens-30-stall-after-9-5")))


#: Status of the upstream's error → that of the client's, where this account is its only one.
STATUSES = {400: 400, 401: 502, 404: 404, 429: 503, 500: 502}


async def error(run: Run, status: int) -> None:
    raised: Any = await run.refused(Talk(run.scripted(f"error-{status}")))
    told = STATUSES[status]
    assert run.client.wire.status == told
    name = "code" if run.client.protocol == "gemini" else "status_code"
    assert getattr(raised, name) == told


class Script(Struct, frozen=True):
    """`feature`: the column of the matrix that it is of. `alone`: it spoils its account for others. `forms`: False for
    whole answers, True for streams. `foreign`: not for what passes as it is."""

    feature: str
    run: Callable[[Run], Awaitable[None]]
    alone: bool = False
    forms: tuple[bool, ...] = (False, True)
    clients: frozenset[str] = frozenset(NAMES)
    upstreams: frozenset[str] = frozenset(NAMES)
    foreign: bool = False
    quick: bool = False
    """Its account has little patience."""


_STOPPING = frozenset(NAMES) - {"openai_responses"}
_STREAMS = (True,)


def _error(status: int) -> Callable[[Run], Awaitable[None]]:
    return lambda run: error(run, status)


SCRIPTS: dict[str, Script] = {
    "text": Script("text", text),
    "limited": Script("text", limited),
    "stop_sequence": Script("text", stop_sequence, clients=_STOPPING, upstreams=_STOPPING),
    "stop_sequence_refused": Script(
        "text", stop_sequence_refused, clients=_STOPPING, upstreams=frozenset({"openai_responses"})
    ),
    "refusal": Script("text", refusal),
    "json_schema": Script("text", json_schema),
    "tool": Script("tools", tool),
    "parallel_tools": Script("tools", parallel_tools),
    "image": Script("images", image),
    "thinking": Script("thinking", thinking),
    **{f"error_{status}": Script("errors", _error(status), alone=True) for status in STATUSES},
    "first_error": Script("errors", first_error, alone=True, forms=_STREAMS),
    "late_error": Script("errors", late_error, alone=True, forms=_STREAMS),
    "cut_off": Script("errors", cut_off, alone=True),
    "unended": Script("errors", unended, alone=True, forms=_STREAMS, foreign=True),
    "stalled": Script("errors", stalled, alone=True, forms=_STREAMS, quick=True),
}
