"""The upstream's bytes become the client's, however they are cut; a fault of ours ends one answer and says so."""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.protocols.codec import Problem
from gateway.relay import convert
from gateway.relay.convert import BodyConverter, StreamConverter, WholeConverter
from gateway.translation import SPEECHES
from gateway.translation.compat import Finder
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Opened
from gateway.translation.prompt import Prompt, Text, Tool, Turn
from gateway.translation.speech import Asking

TOOL = Tool("look", "", {"type": "object", "properties": {"at": {"type": "string"}}})
PROMPT = Prompt("m", (Turn("user", (Text("hi"),)),), stream=True, tools=(TOOL,))
ASKING = Asking("m", "req_01a1fbe9af53720da0f878a9fa293a4a", 1_790_000_000, PROMPT)
SAID = [Begun(), Opened(0, "text"), Delta(0, "é "), Delta(0, "b"), Closed(0), Ended("end")]
CALLED = [
    Begun(),
    Opened(0, "text"),
    Delta(0, '<pg:call name="look"><pg:arg name="at">x</pg:arg></pg:call>'),
    Closed(0),
]
PROBLEM = Problem(504, "upstream_timeout", "The upstream stopped sending.", request_id=ASKING.request_id)


def upstream(protocol: str, events: Sequence[Event]) -> bytes:
    writer = SPEECHES[protocol].writer(ASKING)
    return b"".join(map(writer.write, events))


def stream(upstream: str = "anthropic", client: str = "openai_chat", finder: Finder | None = None) -> StreamConverter:
    return StreamConverter(SPEECHES[upstream].reader(True), finder, SPEECHES[client].writer(ASKING))


@pytest.mark.parametrize("client", SPEECHES)
@pytest.mark.parametrize("protocol", SPEECHES)
def test_the_same_bytes_however_they_are_cut(protocol: str, client: str) -> None:
    data = upstream(protocol, SAID)
    whole = stream(protocol, client)
    expected = whole.feed(data) + whole.close()
    assert expected
    single = stream(protocol, client)
    assert b"".join(single.feed(data[at : at + 1]) for at in range(len(data))) + single.close() == expected
    assert (whole.failed, single.failed) == (None, None)
    assert single.content_type == SPEECHES[client].writer(ASKING).content_type


def test_a_failure_of_the_upstream_is_said_once_and_is_the_last() -> None:
    converter = stream()
    data = upstream("anthropic", [*SAID[:3], Failed(529, "too busy", "overloaded_error")])
    said = converter.feed(data)
    assert said.count(b"too busy") == 1
    assert converter.failed == Failed(529, "too busy", "overloaded_error")
    assert converter.feed(upstream("anthropic", SAID)) + converter.close() == b""


def test_a_stream_that_is_cut_off_has_no_normal_end() -> None:
    converter = stream()
    said = converter.feed(upstream("anthropic", SAID[:3])) + converter.close()
    assert b"error" in said
    assert b"[DONE]" not in said
    assert converter.failed is not None


def test_what_the_relay_has_to_say_is_the_last_word() -> None:
    converter = stream()
    converter.feed(upstream("anthropic", SAID[:3]))
    assert b"stopped sending" in converter.fail(PROBLEM)
    assert converter.close() == b""


def test_calls_that_a_text_holds_are_found() -> None:
    converter = stream(finder=Finder([TOOL], lambda: "call_1"))
    said = converter.feed(upstream("anthropic", [*CALLED, Ended("end")])) + converter.close()
    assert b'"call_1"' in said
    assert b"pg:call" not in said
    assert b'"finish_reason":"tool_calls"' in said


@pytest.mark.parametrize("where", ["feed", "close"])
def test_a_fault_of_ours_ends_the_stream_in_the_clients_words(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    converter = stream()

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(converter, "_reader", SimpleNamespace(feed=broken, close=broken))
    said = converter.feed(b"data") if where == "feed" else converter.close()
    assert json.loads(said.removeprefix(b"data: "))["error"]["code"] == "internal"
    assert converter.failed == Failed(500, "The answer could not be translated.", "internal")


def test_an_answer_in_one_piece() -> None:
    whole = SPEECHES["anthropic"].whole(ASKING, SAID)
    for size in (1, 7, len(whole)):
        converter = WholeConverter(SPEECHES["anthropic"].reader(False), None, SPEECHES["openai_chat"], ASKING)
        assert all(converter.feed(whole[at : at + size]) == b"" for at in range(0, len(whole), size))
        assert json.loads(converter.close())["choices"][0]["message"]["content"] == "é b"
    assert (converter.ping(), converter.fail(PROBLEM)) == (b"", b"")


def test_half_an_answer_in_one_piece_says_nothing() -> None:
    whole = SPEECHES["anthropic"].whole(ASKING, SAID)
    converter = WholeConverter(SPEECHES["anthropic"].reader(False), None, SPEECHES["openai_chat"], ASKING)
    assert converter.feed(whole[:-9]) + converter.close() == b""
    assert converter.failed is not None


def test_a_fault_of_ours_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    converter = WholeConverter(SPEECHES["anthropic"].reader(False), None, SPEECHES["openai_chat"], ASKING)
    converter.feed(SPEECHES["anthropic"].whole(ASKING, SAID))
    monkeypatch.setattr(converter, "_client", None)
    assert converter.close() == b""
    assert converter.failed is not None
    assert converter.failed.code == "internal"


def test_a_body_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    converter = BodyConverter(lambda body: body.upper())
    assert (converter.feed(b"a"), converter.feed(b"b"), converter.close(), converter.failed) == (b"", b"", b"AB", None)
    monkeypatch.setattr(convert, "MAX_ANSWER", 3)
    converter = BodyConverter(lambda body: body)
    assert converter.feed(b"abcd") + converter.close() == b""
    assert converter.failed is not None

    def unreadable(_: bytes) -> bytes:
        raise ValueError

    converter = BodyConverter(unreadable)
    assert converter.close() == b""
    assert converter.failed is not None
    assert converter.failed.status == 502
