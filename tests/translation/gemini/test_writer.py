"""Answers for Gemini's clients: a valid stream whatever comes in, and the same content out of it."""

import json
import re
import warnings
from base64 import b64encode
from typing import Any

import pytest
from google.genai import errors
from hypothesis import given
from msgspec.structs import replace

from gateway.protocols import gemini
from gateway.protocols.codec import Usage
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened, Sealing
from gateway.translation.gemini.reader import reader
from gateway.translation.gemini.writer import ArrayWriter, EventWriter, metadata, whole
from gateway.translation.prompt import Prompt, Reasoning, Sealed
from gateway.translation.speech import Asking
from tests.translation.gemini.asked import ASKING, read, served
from tests.translation.generate import answers, content
from tests.translation.grammar_gemini import check, check_one, objects

USAGE = Usage(input_tokens=6, cache_read_tokens=4, cache_write_5m_tokens=1, output_tokens=7, reasoning_tokens=2)
SEALED = Sealed("gemini", "c2ln")


def written(events: list[Event], writer: Any = EventWriter, asking: Asking = ASKING) -> bytes:
    found = writer(asking)
    return b"".join(map(found.write, events))


def parts(events: list[Event], asking: Asking = ASKING) -> list[Any]:
    """All parts of the stream, less the last one's empty text."""
    found = [
        part for each in objects(written(events, asking=asking)) for part in each["candidates"][0]["content"]["parts"]
    ]
    assert found.pop() == {"text": ""}
    return found


def test_a_stream_to_the_byte():
    events: list[Event] = [Begun("x", "y"), Opened(0, "text"), Delta(0, "é"), Closed(0), Ended("end", usage=USAGE)]
    about = b'"modelVersion":"gemini-test","responseId":"req_1"}'
    figures = (
        b'{"promptTokenCount":11,"candidatesTokenCount":5,"totalTokenCount":18,'
        b'"cachedContentTokenCount":4,"thoughtsTokenCount":2}'
    )
    one = b'{"candidates":[{"content":{"parts":[{"text":"\xc3\xa9"}],"role":"model"},"index":0}],' + about
    two = (
        b'{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],'
        b'"usageMetadata":%b,%b'
    )
    assert written(events) == b"data: %b\n\ndata: %b\n\n" % (one, two % (figures, about))
    assert written(events, ArrayWriter) == b"[%b,\r\n%b\n]" % (one, two % (figures, about))
    assert whole(ASKING, events) == one.replace(b'"index"', b'"finishReason":"STOP","index"').replace(
        about, b'"usageMetadata":%b,%b' % (figures, about)
    )


CALL = {"functionCall": {"id": "a", "name": "f", "args": {}}}

ROWS: dict[str, tuple[list[Event], list[Any]]] = {
    "text as it comes": (
        [Opened(0, "text"), Delta(0, "a"), Delta(0, ""), Delta(0, "b"), Closed(0)],
        [{"text": "a"}, {"text": "b"}],
    ),
    "thinking": ([Opened(0, "thinking"), Delta(0, "t"), Closed(0)], [{"text": "t", "thought": True}]),
    "sealed thinking": (
        [Opened(0, "thinking"), Delta(0, "t"), Sealing(0, SEALED), Closed(0)],
        [{"text": "t", "thought": True}, {"text": "", "thought": True, "thoughtSignature": "c2ln"}],
    ),
    "another's seal": (
        [Opened(0, "thinking"), Delta(0, "t"), Sealing(0, Sealed("anthropic", "x")), Closed(0)],
        [{"text": "t", "thought": True}],
    ),
    "redacted": ([Opened(0, "thinking", redacted=True), Sealing(0, Sealed("anthropic", "x")), Closed(0)], []),
    "a call is whole": (
        [Opened(0, "call", "a", "f"), Delta(0, '{"x"'), Delta(0, ": 1.0}"), Sealing(0, SEALED), Closed(0)],
        [{"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"}],
    ),
    "a call without arguments": ([Opened(0, "call", "a", "f"), Closed(0)], [CALL]),
    "arguments that are no JSON": (
        [Opened(0, "call", "a", "f"), Delta(0, "it's"), Closed(0)],
        [{"functionCall": {"id": "a", "name": "f", "args": {"input": "it's"}}}],
    ),
    "arguments in lines": (
        [Opened(0, "call", "a", "f"), Delta(0, '{\n"x": "\\n"\r\n}'), Closed(0)],
        [{"functionCall": {"id": "a", "name": "f", "args": {"x": "\n"}}}],
    ),
    "free text": (
        [Opened(0, "call", "a", "f", custom=True), Delta(0, '{"x": 1}'), Closed(0)],
        [{"functionCall": {"id": "a", "name": "f", "args": {"input": '{"x": 1}'}}}],
    ),
    "side by side": (
        [
            *(
                Opened(0, "text"),
                Opened(1, "call", "a", "f"),
                Opened(2, "text"),
                Delta(2, "c"),
                Delta(0, "a"),
                Closed(1),
            ),
            *(Delta(0, "b"), Closed(2), Closed(0)),
        ],
        [{"text": "a"}, {"text": "b"}, CALL, {"text": "c"}],
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_parts(row: str):
    events, expected = ROWS[row]
    assert parts([Begun(), *events, Ended("end")]) == expected
    assert not check(written([Begun(), *events, Ended("end")]))


def test_text_is_written_at_once():
    writer = EventWriter(ASKING)
    assert writer.write(Begun()) == b""
    assert writer.write(Opened(0, "text")) == b""
    assert b'"text":"a"' in writer.write(Delta(0, "a"))


@pytest.mark.parametrize(("shown", "thoughts"), [(None, 1), (True, 1), (False, 0)])
def test_a_client_that_wants_no_thoughts_gets_none(shown: bool | None, thoughts: int):
    asking = replace(ASKING, prompt=Prompt("m", (), reasoning=Reasoning(shown=shown)))
    events: list[Event] = [Begun(), Opened(0, "thinking"), Delta(0, "t"), Closed(0), Ended("end")]
    assert len(parts(events, asking)) == thoughts


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end", "STOP"),
        ("stop_sequence", "STOP"),
        ("tool_use", "STOP"),
        ("pause", "STOP"),
        ("length", "MAX_TOKENS"),
        ("refusal", "SAFETY"),
    ],
)
def test_why_it_ended(stop: Any, reason: str):
    events: list[Event] = [Begun(), Ended(stop)]
    for body in (objects(written(events))[-1], json.loads(whole(ASKING, events))):
        assert body["candidates"][0]["finishReason"] == reason


def test_figures():
    assert gemini.usage(metadata(USAGE)) == replace(USAGE, input_tokens=7, cache_write_5m_tokens=0)
    assert metadata(Usage()) == {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    begun: list[Event] = [Begun(usage=USAGE), Ended("end")]
    assert json.loads(whole(ASKING, begun))["usageMetadata"] == metadata(USAGE)
    assert objects(written(begun))[-1]["usageMetadata"] == metadata(USAGE)
    assert "usageMetadata" not in json.loads(whole(ASKING, [Begun(), Ended("end")]))


def test_log_probabilities_for_those_who_asked():
    token = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}
    events: list[Event] = [Begun(), Opened(0, "text"), Delta(0, "a"), Logprobs(0, (token,)), Closed(0), Ended("end")]
    asking = replace(ASKING, prompt=Prompt("m", (), logprobs=0))
    expected = {"topCandidates": [{"candidates": []}], "chosenCandidates": [{"token": "a", "logProbability": -1.0}]}
    assert json.loads(whole(asking, events))["candidates"][0]["logprobsResult"] == expected
    found = [each["candidates"][0].get("logprobsResult") for each in objects(written(events, asking=asking))]
    assert found == [None, expected, None]
    assert not check(written(events, asking=asking))
    assert "logprobs" not in written(events).decode()


def test_an_error_is_the_last_word():
    events: list[Event] = [Begun(), Opened(0, "text"), Delta(0, "a"), Failed(503, "gone", "overloaded"), Ended("end")]
    for writer in (EventWriter, ArrayWriter):
        data = written([*events, Failed(500, "again")], writer)
        assert not check(data)
        assert objects(data)[-1]["error"]["message"] == "gone"
        assert objects(data)[-1]["error"]["status"] == "UNAVAILABLE"
        assert not check(written([Failed(429, "no")], writer))


def test_a_ping_is_a_blank_line_that_no_reader_minds():
    """Google's Python SDK takes a comment for JSON, and fails."""
    events: list[Event] = [Begun(), Opened(0, "text"), Delta(0, "a"), Delta(0, "b"), Closed(0), Ended("end")]
    for writer in (EventWriter(ASKING), ArrayWriter(ASKING)):
        data = b"".join(writer.ping() + writer.write(event) for event in events) + writer.ping()
        assert [part["text"] for each in objects(data) for part in each["candidates"][0]["content"]["parts"]] == [
            "a",
            "b",
            "",
        ]
        assert writer.ping() == b""


def test_the_sdk_reads_streams_errors_and_pings():
    events: list[Event] = [Begun(), Opened(0, "text"), Delta(0, "a"), Closed(0), Opened(1, "call", "a", "f"), Closed(1)]
    writer = EventWriter(ASKING)
    data = b"".join(writer.ping() + writer.write(event) for event in [*events, Ended("tool_use", usage=USAGE)])
    with served() as upstream, warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read(upstream.stream(data))
        assert (found["text"], found["calls"], found["finish"]) == ("a", [("f", {})], "STOP")
        assert found["usage"] == {"prompt": 11, "cached": 4, "candidates": 5, "thoughts": 2}
        with pytest.raises(errors.ServerError) as caught:
            upstream.stream(written([*events, Failed(503, "gone")]))
        assert caught.value.message == "gone"


def signed(events: list[Event]) -> list[Event]:
    """Gemini's signatures are bytes."""
    return [_base64(event) if isinstance(event, Sealing) else event for event in events]


def _base64(event: Sealing) -> Sealing:
    return replace(event, sealed=replace(event.sealed, data=b64encode(event.sealed.data.encode()).decode()))


@given(answers().map(signed))
def test_whatever_comes_in_a_valid_stream_comes_out_with_the_same_content(events: list[Event]):
    for writer in (EventWriter, ArrayWriter):
        data = written(events, writer)
        assert not check(data)
        found = reader(writer is EventWriter)
        assert summary([*found.feed(data), *found.close()]) == summary(events)
    data = whole(ASKING, events)
    assert not check_one(data)
    found = reader(False)
    assert summary([*found.feed(data), *found.close()]) == summary(events)


@given(answers().map(signed))
def test_a_stream_that_breaks_off_is_valid_too(events: list[Event]):
    for cut in range(len(events)):
        assert not check(written([*events[:cut], Failed(502, "broken"), *events[cut:]]))


def summary(events: list[Event]) -> Any:
    """Texts of a kind that follow each other are one, as Gemini has them; of seals its own."""
    blocks: list[list[Any]] = []
    for each in content(events):
        seals = [seal.data for seal in each["sealed"] if seal.family == "gemini"]
        if each["kind"] == "call":
            blocks.append(["call", each["id"], each["name"], arguments(each["text"]), seals])
        elif blocks and blocks[-1][0] == each["kind"] and not blocks[-1][2]:
            blocks[-1][1:] = [blocks[-1][1] + each["text"], seals]
        elif each["text"] or seals:
            blocks.append([each["kind"], each["text"], seals])
    begun, ended = events[0], events[-1]
    assert isinstance(begun, Begun)
    assert isinstance(ended, Ended)
    usage = ended.usage or begun.usage
    stop = {"stop_sequence": "end", "pause": "end"}.get(ended.stop, ended.stop)
    return blocks, stop, None if usage in (None, Usage()) else metadata(usage)


def arguments(text: str) -> Any:
    """As JSON has them: broken ones as the text that they are."""
    try:
        found = json.loads(text, parse_int=float)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"input": text} if text.strip() else {}


def test_the_array_is_what_google_s_own_looks_like():
    data = written([Begun(), Opened(0, "text"), Delta(0, "a"), Closed(0), Ended("end")], ArrayWriter)
    assert re.fullmatch(rb"\[\{.*\},\r\n\{.*\}\n\]", data)
