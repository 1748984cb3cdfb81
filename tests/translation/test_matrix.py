"""All directions: whatever an upstream says, in any client's protocol it obeys that protocol's grammar, and keeps what
was said. The recorded answers and the vendors' SDKs are each package's own tests; here the packages meet."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from gateway.protocols import CODECS
from gateway.translation import SPEECHES, UPSTREAMS
from gateway.translation.events import Event, Failed
from gateway.translation.prompt import Prompt, Text, Turn
from gateway.translation.speech import Asking, Limits, Speech
from tests.translation import (
    grammar_anthropic,
    grammar_gemini,
    grammar_ollama,
    grammar_openai_chat,
    grammar_openai_responses,
)
from tests.translation.generate import answers, content, faults

CHECKS: Mapping[str, Callable[[bytes], list[str]]] = {
    "anthropic": grammar_anthropic.check,
    "gemini": grammar_gemini.check,
    "ollama": grammar_ollama.check,
    "openai_chat": grammar_openai_chat.check,
    "openai_responses": grammar_openai_responses.check,
}
PROMPT = Prompt("m", (Turn("user", (Text("hi"),)),), stream=True, include_usage=True)
ASKING = Asking("m", "req_01a1fbe9af53720da0f878a9fa293a4a", 1_790_000_000, PROMPT)


def written(speech: Speech, events: list[Event]) -> bytes:
    writer = speech.writer(ASKING)
    return b"".join(writer.write(event) for event in events)


def heard(speech: Speech, data: bytes) -> list[Event]:
    reader = speech.reader(True)
    return [*reader.feed(data), *reader.close()]


def said(events: list[Event]) -> list[Any]:
    """Texts and calls, in the order of their kinds: protocols put thinking, text and calls in orders of their own."""
    found = content(events)
    texts = "".join(one["text"] for one in found if one["kind"] == "text")
    calls = [(one["name"], _object(one["text"])) for one in found if one["kind"] == "call"]
    return [texts, *calls]


def _object(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def test_every_package_is_in_its_table() -> None:
    folder = Path(__file__).parents[2] / "gateway" / "translation"
    packages = {path.parent.name for path in folder.glob("*/__init__.py")} - {"compat", "embeddings"}  # of no protocol
    assert packages == set(UPSTREAMS)
    assert set(SPEECHES) == set(CODECS)
    assert {name: speech.name for name, speech in UPSTREAMS.items()} == {name: name for name in UPSTREAMS}


@pytest.mark.parametrize("client", SPEECHES)
@pytest.mark.parametrize("upstream", SPEECHES)
@settings(max_examples=60)
@given(events=answers())
def test_what_an_upstream_says_obeys_the_clients_grammar(upstream: str, client: str, events: list[Event]) -> None:
    there = heard(SPEECHES[upstream], written(SPEECHES[upstream], events))
    assert faults(there) == []
    for_client = written(SPEECHES[client], there)
    assert CHECKS[client](for_client) == []
    back = heard(SPEECHES[client], for_client)
    assert faults(back) == []
    assert not any(isinstance(event, Failed) for event in back)
    assert said(back)[0] == said(there)[0]
    assert [name for name, _ in said(back)[1:]] == [name for name, _ in said(there)[1:]]


@pytest.mark.parametrize("client", SPEECHES)
@pytest.mark.parametrize("upstream", SPEECHES)
def test_a_failure_in_the_middle_is_said_and_nothing_after_it(upstream: str, client: str) -> None:
    speech = SPEECHES[client]
    failed = UPSTREAMS[upstream].failure(529, b'{"error":{"message":"too busy","type":"overloaded_error"}}')
    writer = speech.writer(ASKING)
    data = writer.write(Failed(failed.status, failed.message, failed.code))
    assert b"too busy" in data
    assert b"[DONE]" not in data
    assert b"message_stop" not in data


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_the_plainest_prompt_is_built_for_all(upstream: str) -> None:
    built = UPSTREAMS[upstream].build(PROMPT, Limits("m"))
    assert b"hi" in built.body
    assert json.loads(built.body)
