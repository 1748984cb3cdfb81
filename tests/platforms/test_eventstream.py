"""Bedrock's event streams as server-sent events: at random cuts, damaged and cut off, beside botocore."""

import json
import os
import random
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from gateway.local.sandbox.bedrock import frame
from gateway.platforms.eventstream import AnthropicFraming, ConverseFraming
from gateway.translation import converse
from gateway.translation.events import Ended, Failed
from tests.protocols.cuts import needs_fixtures
from tests.translation.converse.recorded import aws_events, aws_message, reframed, rows

_CHUNK = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
FIXTURES = Path(os.environ.get("POOLGATE_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures"))


def _chunk(event: bytes) -> bytes:
    return frame(_CHUNK, json.dumps({"bytes": b64encode(event).decode(), "p": "abc"}).encode())


def _exception(kind: str, message: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def _fed(data: bytes, cuts: list[int], kind: type[AnthropicFraming | ConverseFraming] = AnthropicFraming) -> bytes:
    framing = kind()
    said = b""
    for low, high in zip([0, *cuts], [*cuts, len(data)], strict=True):
        said += framing.feed(data[low:high])
    return said + framing.close()


def _error(said: bytes) -> tuple[str, str]:
    name, data, *rest = said.rstrip(b"\n").split(b"\n")
    assert (name, rest) == (b"event: error", []), said
    error = json.loads(data.removeprefix(b"data: "))
    assert error["type"] == "error"
    return error["error"]["type"], error["error"]["message"]


_EVENTS = [
    b'{"type":"message_start","message":{"id":"m", "usage":{"input_tokens":3}}}',
    b'{"type": "content_block_delta", "delta":{"type":"text_delta","text":"\xc3\xa9 \\ud83d\\ude00"}}',
    b'{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":1}}',
]
_STREAM = b"".join(map(_chunk, _EVENTS))
_SSE = b"".join(b"event: %b\ndata: %b\n\n" % (json.loads(event)["type"].encode(), event) for event in _EVENTS)


def test_events_pass_as_they_were_sent_whole_and_byte_by_byte() -> None:
    assert _fed(_STREAM, []) == _SSE
    assert _fed(_STREAM, list(range(1, len(_STREAM)))) == _SSE
    assert AnthropicFraming.content_type.startswith(b"text/event-stream")


_headers = st.dictionaries(st.sampled_from(["a", "b", ":x"]), st.text(max_size=8), max_size=2)
_event = st.builds(
    lambda kind, text: json.dumps({"type": kind, "text": text}, ensure_ascii=False).encode(),
    st.sampled_from(["message_start", "ping", "content_block_delta"]), st.text(max_size=40),
)  # fmt: skip


@given(st.lists(st.tuples(_event, _headers), max_size=6), st.data())
def test_the_same_events_as_botocore_at_random_cuts(events: list[tuple[bytes, dict[str, str]]], data) -> None:
    stream = b"".join(
        frame(_CHUNK | more, json.dumps({"bytes": b64encode(event).decode()}).encode()) for event, more in events
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    theirs = [b64decode(json.loads(message.payload)["bytes"]) for message in buffer]
    ours = [part.split(b"\ndata: ", 1)[1] for part in _fed(stream, cuts).split(b"\n\n") if part]
    assert ours == theirs == [event for event, _ in events]


def test_an_event_over_several_lines_is_one_event() -> None:
    said = _fed(_chunk(b'{\r\n "type": "ping",\n "a": 1\n}'), [])
    assert said == b'event: ping\ndata: {\ndata:  "type": "ping",\ndata:  "a": 1\ndata: }\n\n'


def test_a_message_without_an_event_says_nothing() -> None:
    assert _fed(frame({":message-type": "event", ":event-type": "initial-response"}, b"{}") + _STREAM, []) == _SSE


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("throttlingException", "rate_limit_error"),
        ("ThrottlingException", "rate_limit_error"),
        ("modelStreamErrorException", "api_error"),
        ("internalServerException", "api_error"),
        ("validationException", "invalid_request_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("modelTimeoutException", "timeout_error"),
        ("modelErrorException", "api_error"),
        ("modelNotReadyException", "overloaded_error"),
        ("serviceQuotaExceededException", "rate_limit_error"),
        ("accessDeniedException", "permission_error"),
        ("resourceNotFoundException", "not_found_error"),
        ("somethingNewException", "api_error"),
    ],
)
def test_an_exception_is_an_error_and_the_end(kind: str, expected: str) -> None:
    said = _fed(_STREAM + _exception(kind, 'no "more"') + _STREAM, [40, 41, len(_STREAM) + 3])
    assert said.startswith(_SSE)
    assert _error(said.removeprefix(_SSE)) == (expected, 'no "more"')


def test_an_error_of_the_transport_of_events() -> None:
    said = _fed(frame({":message-type": "error", ":error-code": "InternalError", ":error-message": "gone"}, b""), [])
    assert _error(said) == ("api_error", "gone")


def test_an_exception_that_says_nothing() -> None:
    assert _error(_fed(frame({":message-type": "exception"}, b"not json"), [])) == ("api_error", "The upstream failed.")


@pytest.mark.parametrize("end", [1, 11, 12, 40, len(_chunk(_EVENTS[0])) - 1])
def test_a_cut_message_is_an_error_never_an_end(end: int) -> None:
    said = _fed(_STREAM + _chunk(_EVENTS[0])[:end], [])
    assert said.startswith(_SSE)
    assert _error(said.removeprefix(_SSE))[0] == "api_error"


@pytest.mark.parametrize("at", [0, 5, 9, 14, 60, len(_chunk(_EVENTS[1])) - 2])
def test_a_damaged_byte_is_an_error_and_nothing_of_it_passes(at: int) -> None:
    damaged = bytearray(_chunk(_EVENTS[1]))
    damaged[at] ^= 0x40
    said = _fed(_chunk(_EVENTS[0]) + bytes(damaged) + _chunk(_EVENTS[2]), [])
    first = _fed(_chunk(_EVENTS[0]), [])
    assert said.startswith(first)
    assert _error(said.removeprefix(first))[0] == "api_error"
    assert b"text_delta" not in said and b"message_stop" not in said


@pytest.mark.parametrize(
    "message",
    [
        frame(_CHUNK, b"[]"),
        frame(_CHUNK, b'{"bytes":"%%%"}'),
        frame(_CHUNK, b'{"bytes":"bm90IGpzb24="}'),
        frame({":message-type": "other"}, b"{}"),
        frame({}, b""),
    ],
)
def test_what_cannot_be_read_is_an_error(message: bytes) -> None:
    assert _error(_fed(message, []))[0] == "api_error"


def test_a_length_beyond_the_bound_is_refused_at_once() -> None:
    from binascii import crc32
    from struct import pack

    for total, headers in ((1 << 30, 0), (15, 0), (1 << 20, 1 << 19)):
        prelude = pack(">II", total, headers)
        framing = AnthropicFraming()
        assert _error(framing.feed(prelude + pack(">I", crc32(prelude))))[0] == "api_error"
        assert framing.feed(_STREAM) == b"" == framing.close()


@given(st.binary(max_size=200))
def test_nothing_raises(data: bytes) -> None:
    said = _fed(data, [])
    assert said == b"" if not data else said.startswith(b"event: error\n")


def test_recorded_answers_of_anthropic_pass_through_the_frames_unchanged() -> None:
    source = FIXTURES / "anthropic.messages.jsonl"
    if not source.exists():
        pytest.skip("the recorded answers are not here")
    seen = 0
    for line in source.read_bytes().splitlines():
        row = json.loads(line)
        if not row["stream"] or row.get("status") not in (None, 200):
            continue
        lines = row["response"].encode().replace(b"\r\n", b"\n").split(b"\n")
        events = [text.removeprefix(b"data: ") for text in lines if text.startswith(b"data: ")]
        said = _fed(b"".join(map(_chunk, events)), [997, 1999])
        assert [text[6:] for text in said.split(b"\n") if text.startswith(b"data: ")] == events
        seen += len(events)
    assert seen > 100


def test_recorded_frames_of_bedrock_are_read_as_botocore_reads_them() -> None:
    source = FIXTURES / "bedrock.converse-stream.jsonl"
    if not source.exists():
        pytest.skip("the recorded answers are not here")
    for line in source.read_bytes().splitlines():
        data = b64decode(json.loads(line)["response_b64"])
        # Converse has events of its own, without `bytes`: nothing is said of them, and no frame is damaged.
        assert _fed(data, list(range(1, len(data), 7))) == b""


# ---------------------------------------------------------------- Converse


def _event_of(kind: str, payload: bytes, more: dict[str, str] | None = None) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers | (more or {}), payload)


def _conversed(data: bytes, cuts: list[int]) -> bytes:
    return _fed(data, cuts, ConverseFraming)


def _read(said: bytes) -> list[tuple[str, Any]]:
    """The events as (name, JSON), each on two lines and a blank one."""
    found = []
    for block in said.split(b"\n\n")[:-1]:
        name, data = block.split(b"\n")
        found.append((name.removeprefix(b"event: ").decode(), json.loads(data.removeprefix(b"data: "))))
    assert said == b"" or said.endswith(b"\n\n")
    return found


_SAID: list[tuple[str, Any]] = [
    ("messageStart", {"role": "assistant", "p": "ab"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "é \ud83d\ude00"}}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}, "metrics": {"latencyMs": 1}}),
]
_BROKEN = "contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"broken"}}'
_CONVERSE = b"".join(_event_of(kind, json.dumps(said).encode()) for kind, said in _SAID)


def test_events_of_converse_pass_by_name_and_payload() -> None:
    expected = b"".join(b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps(said).encode()) for kind, said in _SAID)
    assert _conversed(_CONVERSE, []) == expected == reframed(_CONVERSE)
    assert _conversed(_CONVERSE, list(range(1, len(_CONVERSE)))) == expected
    assert ConverseFraming.content_type.startswith(b"text/event-stream")


_names = st.sampled_from([kind for kind, _ in _SAID] + ["contentBlockStart", "contentBlockStop", "new"])
_payload = st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(), max_size=3)


@given(st.lists(st.tuples(_names, _payload, _headers), max_size=6), st.data())
def test_events_of_converse_are_botocores_at_random_cuts(events, data) -> None:
    stream = b"".join(
        _event_of(kind, json.dumps(payload, ensure_ascii=False).encode(), more) for kind, payload, more in events
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    theirs = [(message.headers[":event-type"], json.loads(message.payload)) for message in buffer]
    assert _read(_conversed(stream, cuts)) == theirs == [(kind, payload) for kind, payload, _ in events]


@needs_fixtures
def test_recorded_streams_of_converse_at_random_cuts() -> None:
    chance, seen = random.Random(11), 0
    for row in rows("bedrock.converse-stream"):
        data = b64decode(row["response_b64"])
        said = _conversed(data, [])
        assert said == reframed(data) == _conversed(data, list(range(1, len(data))))
        for _ in range(10):
            cuts = sorted(chance.randrange(len(data)) for _ in range(chance.randrange(1, 30)))
            assert _conversed(data, cuts) == said
        theirs: list[tuple[str, Any]] = [pair for event in aws_events(row) for pair in event.items()]
        assert [name for name, _ in _read(said)] == [name for name, _ in theirs]
        reader = converse.reader(True)
        *_, last = [*reader.feed(said), *reader.close()]
        assert isinstance(last, Ended)
        usage = aws_message(aws_events(row)).get("usage")
        assert (last.usage and last.usage.output_tokens) == (usage and usage["outputTokens"])
        seen += 1
    assert seen == 9


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("throttlingException", 429),
        ("ThrottlingException", 429),
        ("modelStreamErrorException", 502),
        ("internalServerException", 500),
        ("validationException", 400),
        ("serviceUnavailableException", 503),
        ("somethingNewException", 502),
    ],
)
def test_an_exception_of_converse_keeps_its_name_and_is_the_end(kind: str, status: int) -> None:
    said = _conversed(_CONVERSE + _exception(kind, 'no "more"') + _CONVERSE, [40, 41, len(_CONVERSE) + 3])
    before = _conversed(_CONVERSE, [])
    assert said.startswith(before)
    assert _read(said.removeprefix(before)) == [(kind, {"message": 'no "more"'})]
    assert _failed(said.removeprefix(before)) == (status, 'no "more"')


def _failed(said: bytes) -> tuple[int, str]:
    """What the reader of Converse makes of an error that is all of a stream."""
    reader = converse.reader(True)
    [event] = [*reader.feed(said), *reader.close()]
    assert isinstance(event, Failed), event
    return event.status, event.message


_ERROR = {":message-type": "error"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (frame(_ERROR | {":error-code": "InternalError", ":error-message": "gone"}, b""), (502, "gone")),
        (frame(_ERROR | {":error-code": "Throttling", ":error-message": "slow"}, b""), (429, "slow")),
        (frame(_ERROR, b""), (502, "The upstream failed.")),
        (frame({":message-type": "exception"}, b"not json"), (502, "The upstream failed.")),
        (_exception("throttlingException", ""), (429, "The upstream failed.")),
    ],
)  # fmt: skip
def test_errors_of_converse_that_say_little(message: bytes, expected: tuple[int, str]) -> None:
    assert _failed(_conversed(message + _CONVERSE, [])) == expected
    assert _failed(_conversed(message, list(range(1, len(message))))) == expected


@pytest.mark.parametrize("end", [1, 11, 12, 40, len(_event_of(*_BROKEN)) - 1])
def test_a_cut_message_of_converse_is_an_error(end: int) -> None:
    before = _conversed(_CONVERSE, [])
    said = _conversed(_CONVERSE + _event_of(*_BROKEN)[:end], [])
    assert said.startswith(before)
    assert _failed(said.removeprefix(before)) == (500, "The upstream's event stream was cut off inside an event.")


def test_a_stream_of_converse_that_ends_between_messages_says_no_more() -> None:
    start = _event_of("messageStart", b'{"role":"assistant"}')
    assert [name for name, _ in _read(_conversed(start, []))] == ["messageStart"]  # the reader misses the stop


@pytest.mark.parametrize("at", [0, 5, 9, 14, 60, len(_event_of(*_BROKEN)) - 2])
def test_a_damaged_byte_is_an_error_of_converse(at: int) -> None:
    damaged = bytearray(_event_of(*_BROKEN))
    damaged[at] ^= 0x40
    before = _conversed(_CONVERSE, [])
    said = _conversed(_CONVERSE + bytes(damaged) + _CONVERSE, [])
    assert said.startswith(before)
    assert _failed(said.removeprefix(before))[0] == 500
    assert b"broken" not in said.removeprefix(before)


def test_line_ends_in_names_and_payloads_do_not_end_an_event() -> None:
    said = _conversed(_event_of("message\nStop\r", b'{\r\n "stopReason":\n\n"end_turn"\r}\n'), [])
    assert _read(said) == [("message Stop", {"stopReason": "end_turn"})]
    assert _read(_conversed(_exception("a\nb", "x\ny"), [])) == [("a bException", {"message": "x\ny"})]


@given(st.binary(max_size=200))
def test_nothing_raises_of_converse(data: bytes) -> None:
    said = _conversed(data, [])
    assert said == b"" if not data else _failed(said)[0] == 500
