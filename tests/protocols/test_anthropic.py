"""Anthropic's streams, errors and figures."""

import json

import pytest
from hypothesis import given, settings
from msgspec import structs

from gateway.protocols.anthropic import CODEC, STATUS
from gateway.protocols.codec import Failure, Problem, Sampled, Share, Usage
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
FIGURES = event("message_delta", delta={}, usage={"output_tokens": 40})
REASON = event("message_delta", delta={"stop_reason": "end_turn"})
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
        # The figures and the stop reason in two deltas, in either order, or no stop reason at all: the stop makes them
        # the last ones. Without figures of a delta, or without the stop, they are not.
        ((START, FIGURES, REASON, STOP), Usage(7, 5, 18, 12, 40), True, True),
        ((START, REASON, FIGURES, STOP), Usage(7, 5, 18, 12, 40), True, True),
        ((START, FIGURES, STOP), Usage(7, 5, 18, 12, 40), True, True),
        ((START, END, REASON, STOP), Usage(7, 5, 18, 12, 40), True, True),
        ((START, FIGURES, REASON), Usage(7, 5, 18, 12, 40), False, False),
        ((START, REASON, STOP), OPENING, False, True),
        ((START, FIGURES, event("message_delta", usage={"output_tokens": -1}), REASON, STOP), None, False, True),
        ((START, FIGURES, START, REASON, STOP), OPENING, False, True),
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
        (
            {"input_tokens": 1, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 3, "note": "x"}},
            Usage(1, server_tool_calls=5),
        ),
        ({"input_tokens": 1, "server_tool_use": {"web_search_requests": -2}}, None),
        ({"input_tokens": 1, "output_tokens": 2, "iterations": None}, Usage(1, output_tokens=2)),
        ({"input_tokens": 1, "output_tokens": 2, "iterations": []}, Usage(1, output_tokens=2)),
        ({"input_tokens": 1, "output_tokens": 2, "iterations": [7]}, None),
        ({"input_tokens": 1, "output_tokens": 2, "iterations": [{"output_tokens": -2}]}, None),
    ],
)
def test_classes_of_an_answer_in_one_piece(figures, expected):
    body = json.dumps({"type": "message", "content": [], "usage": figures}).encode()
    reader = listen(CODEC.reader(GENERATE, False), pieces(body, 3))
    assert (reader.usage, reader.usage_final) == (expected, expected is not None)
    assert reader.complete


def tried(kind: str, asked: int, said: int, model: str | None = None, **more: int) -> dict[str, object]:
    return {"type": kind, "input_tokens": asked, "output_tokens": said, **({"model": model} if model else {}), **more}


ITERATIONS = [
    # The document's own example of compaction: https://platform.claude.com/docs/en/build-with-claude/compaction
    (
        {"input_tokens": 23000, "output_tokens": 1000, "output_tokens_details": {"thinking_tokens": 300}},
        [tried("compaction", 180000, 3500), tried("message", 23000, 1000)],
        Usage(203000, output_tokens=4500, reasoning_tokens=300),
        (Share(Usage(180000, output_tokens=3500)), Share(Usage(23000, output_tokens=1000))),
    ),
    # That of the advisor, whose sum is only begun at the top: …/agents-and-tools/tool-use/advisor-tool
    (
        {"input_tokens": 412, "output_tokens": 531, "server_tool_use": {"web_search_requests": 2}},
        [
            tried("message", 412, 89),
            tried("advisor_message", 823, 1612, "claude-opus-4-7"),
            tried("message", 1348, 442, cache_read_input_tokens=412),
        ],
        Usage(2583, 412, output_tokens=2143, server_tool_calls=2),
        (
            Share(Usage(412, output_tokens=89)),
            Share(Usage(823, output_tokens=1612), "claude-opus-4-7"),
            Share(Usage(1348, 412, output_tokens=442)),
        ),
    ),
    # A refusal before the first word is free, one after it is not.
    (
        {"input_tokens": 412, "output_tokens": 264},
        [tried("message", 408, 0, "claude-fable-5"), tried("fallback_message", 412, 264, "claude-opus-4-8")],
        Usage(412, output_tokens=264),
        (Share(Usage(412, output_tokens=264), "claude-opus-4-8"),),
    ),
    (
        {"input_tokens": 412, "output_tokens": 264},
        [tried("message", 408, 9, "claude-fable-5"), tried("fallback_message", 412, 264, "claude-opus-4-8")],
        Usage(820, output_tokens=273),
        (
            Share(Usage(408, output_tokens=9), "claude-fable-5"),
            Share(Usage(412, output_tokens=264), "claude-opus-4-8"),
        ),
    ),
    (
        {"input_tokens": 5, "output_tokens": 3, "cache_creation_input_tokens": 9},
        [tried("message", 5, 3, cache_creation_input_tokens=9)],
        Usage(5, 0, 9, 0, 3),
        (Share(Usage(5, 0, 9, 0, 3)),),
    ),
]


@pytest.mark.parametrize(("top", "iterations", "sums", "shares"), ITERATIONS)
def test_iterations_are_the_bill(top, iterations, sums, shares):
    figures = {**top, "iterations": iterations}
    expected = Sampled(**structs.asdict(sums), shares=shares)
    whole = json.dumps({"type": "message", "content": [], "usage": figures}).encode()
    assert listen(CODEC.reader(GENERATE, False), [whole]).usage == expected
    opening = event("message_start", message={"usage": {"input_tokens": 1, "output_tokens": 1}})
    reader = read(opening, event("message_delta", delta={"stop_reason": "end_turn"}, usage=figures), STOP)
    assert (reader.usage, reader.usage_final) == (expected, True)


def test_iterations_that_were_known_before_the_end_do_not_hide_it():
    first = {"input_tokens": 7, "output_tokens": 1, "iterations": [tried("message", 7, 1)]}
    opening = event("message_start", message={"usage": first})
    reader = read(opening, event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 40}), STOP)
    assert (reader.usage, reader.usage_final) == (Usage(7, output_tokens=40), True)


BEDROCK = {"inputTokenCount": 7, "outputTokenCount": 40, "cacheReadInputTokenCount": 5, "cacheWriteInputTokenCount": 30}
WHOLE = Usage(7, 5, 18, 12, 40)


@pytest.mark.parametrize(
    ("parts", "metrics", "usage", "final", "doubt"),
    [
        ((START, END), BEDROCK, WHOLE, True, ""),
        ((START, END), {"inputTokenCount": 7, "outputTokenCount": 40, "invocationLatency": 1}, WHOLE, True, ""),
        ((START, END), {}, WHOLE, True, ""),
        ((START, END), None, WHOLE, True, ""),
        ((START, END), BEDROCK | {"outputTokenCount": 41}, WHOLE, False, "disputed_usage"),
        ((START, END), BEDROCK | {"inputTokenCount": "7"}, WHOLE, False, "disputed_usage"),
        ((START, END), BEDROCK | {"cacheWriteInputTokenCount": 18}, WHOLE, False, "disputed_usage"),
        # Where the events say nothing of the end, the count stands in.
        ((START, DELTAS), BEDROCK, Usage(7, 5, 30, 0, 40), True, ""),
        ((DELTAS,), {"inputTokenCount": 3, "outputTokenCount": 2}, Usage(3, output_tokens=2), True, ""),
        # What came in two deltas is the last word all the same, so the count is a check.
        ((START, FIGURES, REASON), BEDROCK, WHOLE, True, ""),
        ((START, FIGURES, REASON), BEDROCK | {"outputTokenCount": 41}, WHOLE, False, "disputed_usage"),
        ((DELTAS,), {"inputTokenCount": 3}, None, False, ""),
        ((DELTAS,), {"inputTokenCount": 3, "outputTokenCount": -2}, None, False, "absurd_usage"),
        ((START, event("message_delta", usage={"output_tokens": -1})), BEDROCK, None, False, "absurd_usage"),
    ],
)
def test_bedrocks_own_count_is_a_check(parts, metrics, usage, final, doubt):
    reader = read(*parts, event("message_stop", **{"amazon-bedrock-invocationMetrics": metrics}))
    assert (reader.usage, reader.usage_final, reader.doubt) == (usage, final, doubt)
    assert reader.complete


@pytest.mark.parametrize("counted", [(203000, 4500), (23000, 1000)])
def test_bedrock_may_count_compaction_or_not(counted):
    top, iterations, *_ = ITERATIONS[0]
    end = event("message_delta", delta={"stop_reason": "x"}, usage={**top, "iterations": iterations})
    metrics = dict(zip(("inputTokenCount", "outputTokenCount"), counted, strict=True))
    reader = read(end, event("message_stop", **{"amazon-bedrock-invocationMetrics": metrics}))
    assert (reader.usage_final, reader.doubt) == (True, "")
    assert reader.usage is not None
    assert reader.usage.input_tokens == 203000


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
