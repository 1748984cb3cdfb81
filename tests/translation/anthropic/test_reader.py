import json
import random

import pytest
from hypothesis import given, settings

from gateway.protocols.anthropic import STATUS
from gateway.protocols.codec import Problem, Usage
from gateway.protocols.reading import MAX_ANSWER
from gateway.translation.anthropic.reader import StreamReader, failure, reader
from gateway.translation.events import Begun, Closed, Delta, Ended, Failed, Opened, Sealing
from gateway.translation.prompt import Sealed
from tests.protocols.cuts import at, pieces, places
from tests.translation.anthropic.sdk import read
from tests.translation.generate import faults


def event(kind: str, **members: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **members}).encode())


def start(index: int, kind: str, **members: object) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **members})


def delta(index: int, kind: str, **members: object) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **members})


def stop(index: int) -> bytes:
    return event("content_block_stop", index=index)


FIGURES = {"input_tokens": 7, "cache_read_input_tokens": 5, "output_tokens": 1}
BEGIN = event("message_start", message={"id": "msg_1", "model": "claude", "usage": FIGURES})
BEGUN = Begun("msg_1", "claude", Usage(7, 5, output_tokens=1))


def end(reason: str | None, sequence: str | None = None) -> bytes:
    said = {"stop_reason": reason, "stop_sequence": sequence}
    return event("message_delta", delta=said, usage={"output_tokens": 40}) + event("message_stop")


def ended(reason, sequence=None) -> Ended:
    return Ended(reason, sequence, Usage(7, 5, output_tokens=40))


STREAM = b"".join(
    [
        BEGIN,
        event("ping"),
        start(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm😀"),
        delta(0, "signature_delta", signature="c2ln"),
        stop(0),
        start(1, "redacted_thinking", data="ZGF0YQ"),
        stop(1),
        start(2, "server_tool_use", id="srv", name="web_search", input={}),
        delta(2, "input_json_delta", partial_json='{"query":"x"}'),
        stop(2),
        start(3, "text", text=""),
        delta(3, "text_delta", text="Hé"),
        delta(3, "citations_delta", citation={"type": "char_location"}),
        delta(3, "text_delta", text=" there\r\n"),
        stop(3),
        start(4, "tool_use", id="toolu_1", name="fs_u2e_read", input={}),
        delta(4, "input_json_delta", partial_json=""),
        delta(4, "input_json_delta", partial_json='{"a":'),
        delta(4, "input_json_delta", partial_json=' "ü"}'),
        stop(4),
        start(5, "tool_use", id="toolu_2", name="now", input={}),
        stop(5),
        end("tool_use"),
    ]
)
EVENTS = [
    BEGUN,
    Opened(0, "thinking"),
    Delta(0, "hm😀"),
    Sealing(0, Sealed("anthropic", "c2ln")),
    Closed(0),
    Opened(1, "thinking", redacted=True),
    Sealing(1, Sealed("anthropic", "ZGF0YQ")),
    Closed(1),
    Opened(2, "text"),
    Delta(2, "Hé"),
    Delta(2, " there\r\n"),
    Closed(2),
    Opened(3, "call", "toolu_1", "fs.read"),
    Delta(3, '{"a":'),
    Delta(3, ' "ü"}'),
    Closed(3),
    Opened(4, "call", "toolu_2", "now"),
    Delta(4, "{}"),
    Closed(4),
    ended("tool_use"),
]


def test_a_whole_stream():
    assert read([STREAM]) == EVENTS
    assert faults(EVENTS) == []


@pytest.mark.parametrize("data", [STREAM, STREAM.replace(b"\n", b"\r\n"), STREAM[:-2], b": a comment\n\n" + STREAM])
def test_a_stream_reads_the_same_however_it_is_cut(data):
    assert read([data]) == EVENTS
    assert read(list(pieces(data, 1))) == EVENTS
    for place in range(0, len(data), 7):
        assert read([data[:place], data[place:]]) == EVENTS
    chance = random.Random(3)
    for _ in range(50):
        assert read(at(data, [chance.randrange(len(data)) for _ in range(9)])) == EVENTS


@settings(max_examples=100, deadline=None)
@given(places)
def test_any_cut(cuts):
    assert read(at(STREAM, cuts)) == EVENTS


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("end_turn", "end"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_use"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("something_new", "end"),
        (None, "end"),
    ],
)
def test_stop_reasons_of_a_stream_and_of_an_answer_in_one_piece(reason, found):
    sequence = "END" if reason == "stop_sequence" else None
    assert read([BEGIN + end(reason, sequence)]) == [BEGUN, ended(found, sequence)]
    message = {"id": "msg_1", "model": "claude", "usage": FIGURES | {"output_tokens": 40}, "content": []}
    body = json.dumps(message | {"stop_reason": reason, "stop_sequence": sequence}).encode()
    assert read([body], stream=False)[-1] == ended(found, sequence)


def test_a_call_without_a_reason_is_one():
    call = start(0, "tool_use", id="i", name="t", input={}) + stop(0)
    assert read([BEGIN + call + end(None)])[-1] == ended("tool_use")


def test_input_that_a_start_holds_already():
    assert read([BEGIN + start(0, "tool_use", id="i", name="t", input={"a": 1}) + stop(0) + end("tool_use")])[
        2
    ] == Delta(0, '{"a":1}')


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"", []),
        (BEGIN, [BEGUN]),
        (
            BEGIN + start(0, "text", text="a") + delta(0, "text_delta", text="b"),
            [BEGUN, Opened(0, "text"), Delta(0, "a"), Delta(0, "b")],
        ),
        (BEGIN + event("message_delta", delta={"stop_reason": "end_turn"}), [BEGUN]),
    ],
)
def test_a_stream_that_is_cut_off_has_failed(data, events):
    found = read([data])
    assert found[:-1] == events
    assert isinstance(found[-1], Failed)
    assert found[-1].status == 502


@pytest.mark.parametrize(("kind", "status"), [*STATUS.items(), ("new_error", 500), (None, 500)])
@pytest.mark.parametrize("name", [b"event: error\n", b""])
def test_an_error_ends_all(kind, status, name):
    said = {"type": "error", "error": {"type": kind, "message": "no more"}}
    error = name + b"data: " + json.dumps(said).encode() + b"\n\n"
    failed = Failed(status, "no more", kind)
    assert read([BEGIN + start(0, "text", text="") + error + error + STREAM]) == [BEGUN, Opened(0, "text"), failed]
    assert read([error]) == [failed]
    assert read([json.dumps(said).encode()], stream=False) == [failed]


def test_odd_streams_give_valid_events():
    """Events of blocks that are not open, blocks that are never closed, two beginnings, nothing before a block."""
    odd = [
        start(0, "text", text="a"),
        BEGIN,
        delta(9, "text_delta", text="lost"),
        delta(0, "new_delta", text="lost"),
        delta(0, "text_delta", text=7),
        event("content_block_start", index="x", content_block={"type": "text"}),
        event("content_block_start", index=3, content_block=None),
        event("content_block_stop", index=None),
        event("content_block_delta"),
        b"data: no json\n\n",
        b"data: [1]\n\n",
        start(0, "text", text="b"),
        start(1, "tool_use", id="i"),
        end("end_turn"),
        STREAM,
    ]
    found = read(odd)
    assert faults(found) == []
    assert [each.text for each in found if isinstance(each, Delta)] == ["a", "b", "{}"]


def test_an_emoji_that_was_cut_in_two_is_whole_again():
    halves = [rb'"\ud83d"', rb'"\ude00!"', rb'"\ud83d"', rb'"x\ude00"', rb'"\ud83d"']
    told = b"".join(
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%b}}\n\n' % half
        for half in halves
    )
    found = read([BEGIN + start(0, "text", text="") + told + stop(0) + end("end_turn")])
    assert [each.text for each in found if isinstance(each, Delta)] == ["😀!", "\ufffdx\ufffd", "\ufffd"]


def test_figures_that_cannot_be_true_are_none():
    begin = event("message_start", message={"id": "m", "model": "c", "usage": {"input_tokens": -1}})
    assert read([begin + end("end_turn")]) == [Begun("m", "c"), Ended("end")]
    assert read([event("message_start", message={}) + event("message_stop")]) == [Begun(), Ended("end")]


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b'{"content":'])
def test_an_answer_that_cannot_be_read(data):
    assert read([data], stream=False) == [Failed(502, "The upstream's answer cannot be read.", "upstream_error")]


def test_an_answer_in_one_piece_is_bounded():
    found = reader(False)
    chunk = bytes(MAX_ANSWER // 4)
    assert [event for _ in range(5) for event in found.feed(chunk)] == []
    assert isinstance(found.close()[0], Failed)


def test_an_event_that_is_too_long_fails():
    found = StreamReader()
    chunk = b"data: " + bytes(1 << 20)
    events = [event for _ in range(20) for event in found.feed(chunk)]
    assert events == [Failed(502, "The upstream's answer cannot be read.", "upstream_error")]
    assert list(found.close()) == []


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}',
            "rate_limit_error",
            "slow down",
        ),
        (b'{"error":{"message":"m"}}', "upstream_error", "m"),
        (b'{"error":"m"}', "upstream_error", "The upstream answered with status 429."),
        (b"<html>", "upstream_error", "The upstream answered with status 429."),
    ],
)
def test_what_an_errors_body_says(body, code, message):
    assert failure(429, body) == Problem(429, code, message)
