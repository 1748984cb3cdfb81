"""Answers of Ollama's servers: streams and objects, however they are cut."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.codec import Problem, Usage
from gateway.translation import held
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened
from gateway.translation.ollama import SPEECH
from gateway.translation.ollama import reader as reading
from tests.protocols.cuts import at, pieces, places
from tests.protocols.test_ollama import CALL, CHAT, EXPECTED, FIGURES, GENERATE, HEAD, lines, message
from tests.translation.generate import content, faults


def read(parts, stream: bool = True) -> list[Event]:
    reader = SPEECH.reader(stream)
    events = [event for part in parts for event in reader.feed(part)]
    events += reader.close()
    assert faults(events) == []
    assert reader.feed(b'{"message":{"content":"more"}}\n') == [] or not stream
    assert list(reader.close()) == []
    return events


CALL_ID = read([lines(*CHAT)])[7].id
TOLD = [
    Begun(model="gemma3"),
    Opened(0, "thinking"),
    Delta(0, "Hm"),
    Closed(0),
    Opened(1, "text"),
    Delta(1, "Hé😀"),
    Closed(1),
    Opened(2, "call", CALL_ID, "f"),
    Delta(2, '{"a":1}'),
    Closed(2),
    Ended("tool_use", usage=EXPECTED),
]
GENERATED = [
    Begun(model="gemma3"),
    Opened(0, "thinking"),
    Delta(0, "Hm"),
    Closed(0),
    Opened(1, "text"),
    Delta(1, "Hé😀"),
    Closed(1),
    Ended("end", usage=EXPECTED),
]


@pytest.mark.parametrize(("said", "told"), [(CHAT, TOLD), (GENERATE, GENERATED)])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_a_stream(said, told, end):
    data = lines(*said, end=end)
    assert read([data]) == told
    assert read(pieces(data, 1)) == told
    assert read([data.rstrip()]) == told


@settings(max_examples=100, deadline=None)
@given(places)
def test_it_reads_the_same_however_it_is_cut(cuts):
    for said in (CHAT, GENERATE, [*CHAT[:2], {"error": "out"}], CHAT[:2], [*CHAT[:2], 7]):
        data = lines(*said)
        assert read(at(data, cuts)) == read([data])


def test_ids_differ_by_call_and_by_moment():
    twice = read([lines(message(tool_calls=[CALL, CALL]), message() | FIGURES)])
    again = read([lines(message(tool_calls=[CALL]) | {"created_at": "2026-11-20T12:00:00.2Z"}, message() | FIGURES)])
    ids = [event.id for event in (*twice, *again) if isinstance(event, Opened)]
    assert len(set(ids)) == len(ids) == 3
    own = read([lines(message(tool_calls=[CALL | {"id": "call_x"}]), message() | FIGURES)])
    assert own[1] == Opened(0, "call", "call_x", "f")


WHOLE = message(content="c", thinking="t", tool_calls=[CALL]) | FIGURES


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (WHOLE, [("thinking", "t"), ("text", "c"), ("call", '{"a":1}')]),
        (message(content="c") | FIGURES, [("text", "c")]),
        (message() | FIGURES, []),
        (HEAD | {"response": "c", "thinking": "t"} | FIGURES, [("thinking", "t"), ("text", "c")]),
        (HEAD | {"response": "", "tool_calls": [CALL]} | FIGURES, [("call", '{"a":1}')]),
        (message(tool_calls=[{"function": {"name": "f"}}]) | FIGURES, [("call", "{}")]),
        (message(tool_calls=[{"function": {"name": "f", "arguments": "{'a'"}}]) | FIGURES, [("call", "{'a'")]),
        (message(content=7, thinking=[], tool_calls={}) | FIGURES, []),
    ],
)
def test_an_answer_in_one_piece(said, expected):
    body = json.dumps(said, indent=1).encode()
    for size in (1, 7, 4096):
        events = read(pieces(body, size), stream=False)
        assert [(block["kind"], block["text"]) for block in content(events)] == expected
        assert events[-1] == Ended("tool_use" if "call" in dict(expected) else "end", usage=EXPECTED)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (FIGURES, Ended("end", usage=EXPECTED)),
        (FIGURES | {"done_reason": "length"}, Ended("length", usage=EXPECTED)),
        (FIGURES | {"done_reason": 7, "eval_count": None}, Ended("end", usage=Usage(20))),
        (FIGURES | {"prompt_eval_count": None}, Ended("end")),
        (FIGURES | {"eval_count": -1}, Ended("end")),
        ({"done": True, "done_reason": "load"}, Ended("end")),
        ({"done": 1}, reading._CUT_OFF),
        ({"error": "model is gone"}, Failed(500, "model is gone", "upstream_error")),
        (
            {"error": {"message": "slow down", "code": "rate_limit_exceeded"}},
            Failed(429, "slow down", "upstream_error"),
        ),
        ({"error": []}, Failed(500, "The upstream failed.", "upstream_error")),
        ({"message": {"tool_calls": [{}]}, "done": True}, reading._DAMAGED),
        ({"message": {"tool_calls": [{}, CALL]}, "done": True}, reading._DAMAGED),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_ends(last, expected, stream):
    assert read([lines(message() | last)], stream=stream)[-1] == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", reading._CUT_OFF),
        (b"{", reading._DAMAGED),
        (b"<html>", reading._DAMAGED),
        (b"[]", reading._DAMAGED),
        (b"7", reading._DAMAGED),
        (b'{"a":' * 100_000, reading._DAMAGED),
        (b"\xff", reading._DAMAGED),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_no_answer(data, expected, stream):
    assert read([data], stream=stream) == [expected]


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_without_end_is_bounded(stream, monkeypatch):
    monkeypatch.setattr(held, "MAX_ANSWER", 1 << 20)
    reader = SPEECH.reader(stream)
    events: list[Event] = []
    for _ in range(18):
        events += reader.feed(b"x" * (1 << 20))
    assert [*events, *reader.close()] == [reading._TOO_LONG]


def test_half_of_an_emoji_is_read():
    said = b'{"message":{"content":"\\ud83d","tool_calls":[{"function":{"name":"f","arguments":{"a":"\\ud83d"}}}]}}\n'
    blocks = content(read([said, lines(message() | FIGURES)]))
    assert [block["text"] for block in blocks] == ["\ud83d", '{"a": "\\ud83d"}']


def test_probabilities():
    token = {"token": "H", "logprob": -0.5, "top_logprobs": [{"token": "é", "logprob": -2, "bytes": [1]}]}
    events = read([lines(message(content="H") | {"logprobs": [token, 7, {}]}, message() | FIGURES)])
    top = {"token": "é", "logprob": -2, "bytes": [1]}
    assert events[3] == Logprobs(0, ({"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": [top]},))


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (404, b'{"error":"model \\"x\\" not found"}', "invalid_request", 'model "x" not found'),
        (400, b'{"error":{"message":"bad"}}', "invalid_request", "bad"),
        (500, b'{"error":"out of memory"}', "upstream_error", "out of memory"),
        (404, b"404 page not found\n", "invalid_request", "404 page not found"),
        (502, b"", "upstream_error", "The upstream failed."),
        (502, b"\xff", "upstream_error", "\ufffd"),
    ],
)
def test_failures(status, body, code, said):
    assert SPEECH.failure(status, body) == Problem(status, code, said)


@given(st.lists(st.sampled_from([*CHAT, *GENERATE, {}, 7, {"error": ""}, {"message": []}]), max_size=6))
def test_any_order_of_objects_gives_valid_events(said):
    events = read([lines(*said)])
    assert isinstance(events[-1], Ended | Failed)


def test_it_is_quick():
    data = lines(*[message(content="some words ")] * 1000, message() | FIGURES)
    start = time.perf_counter()
    events = read(pieces(data, 200))
    taken = (time.perf_counter() - start) / len(events)
    print(f"read: {taken * 1e6:.1f} µs an event")
    assert taken < 75e-6
