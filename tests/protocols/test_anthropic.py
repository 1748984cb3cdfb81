"""Anthropic's streams, errors and figures."""

import json

import pytest
from hypothesis import given, settings

from gateway.protocols.anthropic import CODEC, STATUS
from gateway.protocols.codec import Failure, Problem, Usage
from tests.protocols.cuts import at, listen, pieces, places, state

GENERATE, COUNT = CODEC.endpoints


def event(kind: str, **members: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **members}).encode())


def read(*parts: bytes):
    return listen(CODEC.reader(GENERATE, True), list(parts))


START = event(
    "message_start",
    message={
        "id": "msg_1",
        "usage": {
            "input_tokens": 7,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 12},
            "output_tokens": 1,
        },
    },
)
DELTAS = b"".join(
    event("content_block_delta", index=0, delta=delta)
    for delta in (
        {"type": "text_delta", "text": "Hé😀"},
        {"type": "thinking_delta", "thinking": "hmm"},
        {"type": "signature_delta", "signature": "xxxxxxxx"},
        {"type": "input_json_delta", "partial_json": '{"a":'},
    )
)
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 40, "input_tokens": None})
STOP = event("message_stop")
OPENING = Usage(7, 5, 18, 12, 1, 0)


def test_a_whole_stream():
    reader = read(START, event("ping"), DELTAS, END, STOP)
    assert state(reader) == (True, None, True, Usage(7, 5, 18, 12, 40, 0), True, None, 11)


@settings(max_examples=100, deadline=None)
@given(places)
def test_a_stream_reads_the_same_however_it_is_cut(cuts):
    stream = START + DELTAS + END + STOP
    assert state(read(*at(stream, cuts))) == state(read(stream)) == state(read(*pieces(stream, 1)))


@pytest.mark.parametrize(
    ("parts", "usage", "final", "complete"),
    [
        ((START,), OPENING, False, False),
        ((START, DELTAS), OPENING, False, False),
        ((START, DELTAS, END), Usage(7, 5, 18, 12, 40, 0), True, False),
        ((START, END, STOP[:-2]), Usage(7, 5, 18, 12, 40, 0), True, True),
        ((START, END, STOP[:-4]), Usage(7, 5, 18, 12, 40, 0), True, False),
        ((START, event("message_delta", delta={}), STOP), OPENING, False, True),
        (
            (START, event("message_delta", delta={}, usage={"output_tokens": 9})),
            Usage(7, 5, 18, 12, 9, 0),
            False,
            False,
        ),
        ((START, START, END), Usage(7, 5, 18, 12, 40, 0), True, False),
        ((START, event("message_start", message={"usage": {"input_tokens": 2}})), Usage(2), False, False),
        ((DELTAS, STOP), None, False, True),
        ((event("message_start", message=None),), None, False, False),
        ((event("message_start"), event("message_delta"), event("content_block_delta", delta=7)), None, False, False),
    ],
)
def test_streams_in_all_states(parts, usage, final, complete):
    reader = read(*parts)
    assert (reader.usage, reader.usage_final, reader.complete) == (usage, final, complete)


@pytest.mark.parametrize(("kind", "status"), [*STATUS.items(), ("new_error", 500), (None, 500)])
def test_error_events(kind, status):
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "m"}}).encode()
    expected = Failure(status, body)
    assert read(b"event: error\ndata: " + body + b"\n\n").failure == expected
    assert read(b"data: " + body + b"\n\n").failure == expected
    later = read(START, DELTAS, b"event: error\ndata: " + body + b"\n\n", event("error"))
    assert (later.failure, later.complete, later.usage, later.usage_final) == (expected, False, OPENING, False)
    whole = listen(CODEC.reader(GENERATE, False), [body])
    assert (whole.failure, whole.complete, whole.usage) == (expected, False, None)


def test_the_required_statuses():
    assert {name: STATUS[name] for name in ("overloaded_error", "rate_limit_error", "api_error", "timeout_error")} == {
        "overloaded_error": 529,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
    }


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 0, 0, 0, 4)),
        ({"cache_creation_input_tokens": 9}, Usage(0, 0, 9, 0, 0)),
        ({"cache_creation_input_tokens": 9, "cache_creation": None}, Usage(0, 0, 9, 0, 0)),
        ({"cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 9}}, Usage(0, 0, 0, 9, 0)),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}}, Usage(0, 0, 2, 3, 0)),
        (
            {"cache_read_input_tokens": 8, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 5}},
            Usage(0, 8, 0, 0, 9, 5),
        ),
        ({"cache_creation": {"ephemeral_1h_input_tokens": -1}}, None),
    ],
)
def test_classes_of_an_answer_in_one_piece(figures, expected):
    body = json.dumps({"type": "message", "content": [], "usage": figures}).encode()
    reader = listen(CODEC.reader(GENERATE, False), pieces(body, 3))
    assert (reader.usage, reader.usage_final) == (expected, expected is not None)
    assert reader.complete


def test_characters_of_an_answer_without_figures():
    content = [
        {"type": "text", "text": "abc"},
        {"type": "thinking", "thinking": "de"},
        {"type": "tool_use", "input": {"a": 1}},
    ]
    body = json.dumps({"type": "message", "content": content}).encode()
    assert listen(CODEC.reader(GENERATE, False), [body]).characters == 5 + len('{"a":1}')


def test_counting_tokens_costs_none():
    reader = listen(CODEC.reader(COUNT, False), [b'{"input_tokens"', b":1114}"])
    assert (reader.usage, reader.usage_final, reader.complete) == (Usage(), True, True)
    failed = listen(CODEC.reader(COUNT, False), [b'{"type":"error","error":{"type":"overloaded_error"}}'])
    assert failed.failure is not None
    assert (failed.failure.status, failed.usage, failed.complete) == (529, None, False)


def test_the_event_of_a_broken_stream_is_one_that_its_own_reader_takes_for_a_failure():
    reader = read(START, CODEC.stream_error(Problem(502, "upstream_error", "broke off", None, "req_1")))
    assert reader.failure is not None
    assert reader.failure.status == 500
    assert not reader.complete
    assert json.loads(reader.failure.body)["error"]["code"] == "upstream_error"
