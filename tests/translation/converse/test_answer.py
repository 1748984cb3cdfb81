"""Answers of Converse against what AWS' own client reads; events in every state; errors."""

import json
import random
import time
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.codec import Problem, Usage
from gateway.protocols.reading import Absurd
from gateway.translation import converse, held
from gateway.translation.converse import answer as reading
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Opened, Sealing
from gateway.translation.prompt import Sealed
from tests.protocols.cuts import at, needs_fixtures, pieces
from tests.translation.converse.recorded import aws_events, aws_message, aws_whole, reframed, rows, told
from tests.translation.generate import content, faults


def read(parts, stream: bool = True) -> list[Event]:
    reader = converse.reader(stream)
    events = [event for part in parts for event in reader.feed(part)]
    events += reader.close()
    assert faults(events) == []
    assert list(reader.close()) == []
    return events


def ours(events: list[Event]) -> list[dict[str, Any]]:
    found = []
    for block in content(events):
        if block["kind"] == "call":
            found.append({name: block[name] for name in ("kind", "id", "name")} | {"input": json.loads(block["text"])})
        elif block["kind"] == "thinking":
            sealed = "".join(each.data for each in block["sealed"]) or None
            found.append({"kind": "thinking", "text": block["text"], "sealed": sealed})
        else:
            found.append({"kind": "text", "text": block["text"]})
    return found


STOPS = {"end_turn": "end", "tool_use": "tool_use", "max_tokens": "length", "stop_sequence": "stop_sequence"}


def same(events: list[Event], answer: dict[str, Any]) -> None:
    assert ours(events) == told(answer)
    ended = events[-1]
    assert isinstance(ended, Ended)
    called = any(block["kind"] == "call" for block in told(answer))
    stop = STOPS[answer["stopReason"]]
    assert ended.stop == ("end" if stop == "tool_use" and not called else stop)
    figures = answer.get("usage")
    if figures is None:
        assert ended.usage is None
        return
    used = ended.usage
    assert used is not None
    writes = used.cache_write_5m_tokens + used.cache_write_1h_tokens
    assert (used.input_tokens, used.output_tokens) == (figures["inputTokens"], figures["outputTokens"])
    assert used.cache_read_tokens == figures.get("cacheReadInputTokens", 0)
    assert writes == figures.get("cacheWriteInputTokens", 0)
    assert used.input_tokens + used.cache_read_tokens + writes + used.output_tokens == figures["totalTokens"]


@needs_fixtures
def test_every_recorded_answer():
    seen = 0
    for row in rows("bedrock.converse"):
        body = row["response"].encode()
        if row["status"] != 200:
            assert converse.failure(row["status"], body).message == json.loads(body)["message"]
            continue
        events = read([body], stream=False)
        same(events, aws_whole(row["response"]))
        assert read(pieces(body, 97), stream=False) == events
        seen += 1
    assert seen == 113


@needs_fixtures
def test_every_recorded_stream_however_it_is_cut():
    chance, seen = random.Random(7), 0
    for row in rows("bedrock.converse-stream"):
        data = reframed(b64decode(row["response_b64"]))
        events = read([data])
        same(events, aws_message(aws_events(row)))
        assert read(pieces(data, 1)) == events
        crlf = data.replace(b"\n", b"\r\n")
        for _ in range(20):
            cuts = [chance.randrange(len(data)) for _ in range(chance.randrange(1, 30))]
            assert read(at(data, cuts)) == read(at(crlf, cuts)) == events
        assert read([data.rstrip()]) == events
        seen += 1
    assert seen == 9


def sse(*events: tuple[str, object]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps(said, ensure_ascii=False).encode())
        for name, said in events
    )


def delta(index: int, **said: object) -> tuple[str, object]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": said}


def start(index: int, call_id: str, name: str, **more: str) -> tuple[str, object]:
    said = {"toolUse": {"toolUseId": call_id, "name": name, **more}}
    return "contentBlockStart", {"contentBlockIndex": index, "start": said}


def stop(index: int) -> tuple[str, object]:
    return "contentBlockStop", {"contentBlockIndex": index}


FIRST = ("messageStart", {"role": "assistant"})
LAST = ("messageStop", {"stopReason": "end_turn"})
FIGURES = {
    "inputTokens": 3,
    "outputTokens": 4,
    "totalTokens": 18,
    "cacheReadInputTokens": 5,
    "cacheWriteInputTokens": 6,
}
METERED = ("metadata", {"usage": FIGURES, "metrics": {"latencyMs": 1}})
USED = Usage(3, 5, 6, 0, 4)
REDACTED = b64encode(b"EtkE+/=").decode()


def anthropic(data: str) -> Sealed:
    return Sealed("anthropic", data)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([delta(0, text="Hé")], [Opened(0, "text"), Delta(0, "Hé"), Closed(0)]),
        ([delta(0, text=""), stop(0), delta(1, text="a"), stop(1)], [Opened(0, "text"), Delta(0, "a"), Closed(0)]),
        (
            [
                delta(0, reasoningContent={"text": "a"}),
                delta(0, reasoningContent={"signature": "s"}),
                stop(0),
                delta(1, text="b"),
            ],
            [
                *(Opened(0, "thinking"), Delta(0, "a"), Sealing(0, anthropic("s")), Closed(0)),
                *(Opened(1, "text"), Delta(1, "b"), Closed(1)),
            ],
        ),
        (
            [delta(0, reasoningContent={"signature": "s"}), stop(0)],
            [Opened(0, "thinking"), Sealing(0, anthropic("s")), Closed(0)],
        ),
        (
            [
                delta(0, reasoningContent={"redactedContent": REDACTED[:4]}),
                delta(0, reasoningContent={"redactedContent": REDACTED[4:]}),
            ],
            [Opened(0, "thinking", redacted=True), Sealing(0, anthropic("EtkE+/=")), Closed(0)],
        ),
        (
            [delta(0, reasoningContent={"redactedContent": "no base64!"}), stop(0)],
            [Opened(0, "thinking", redacted=True), Sealing(0, anthropic("no base64!")), Closed(0)],
        ),
        (
            # Two calls side by side.
            [
                *(start(0, "c1", "f"), start(1, "c2", "g"), delta(1, toolUse={"input": "{"})),
                *(delta(0, toolUse={"input": '{"a":1}'}), delta(1, toolUse={"input": "}"}), stop(1), stop(0)),
            ],
            [
                *(Opened(0, "call", "c1", "f"), Opened(1, "call", "c2", "g"), Delta(1, "{"), Delta(0, '{"a":1}')),
                *(Delta(1, "}"), Closed(1), Closed(0)),
            ],
        ),
        (
            # Bedrock's own tool: it has run it, too.
            [
                *(start(0, "s", "nova_grounding", type="server_tool_use"), delta(0, toolUse={"input": "{}"}), stop(0)),
                ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "s"}}}),
                *(delta(1, toolResult=[{"text": "x"}]), stop(1), delta(2, text="a", citation={})),
                delta(2, citation={"title": "t"}),
            ],
            [Opened(0, "text"), Delta(0, "a"), Closed(0)],
        ),
        (
            # One number, two kinds.
            [delta(0, text="a"), delta(0, reasoningContent={"text": "b"}), start(0, "c", "f")],
            [
                *(Opened(0, "text"), Delta(0, "a"), Closed(0), Opened(1, "thinking"), Delta(1, "b"), Closed(1)),
                *(Opened(2, "call", "c", "f"), Closed(2)),
            ],
        ),
        (
            [delta(0, toolUse={"input": "{}"}), stop(7), ("contentBlockDelta", {"delta": {}}), ("new", {}), delta(0)],
            [],
        ),
    ],
)
@pytest.mark.parametrize("order", [[LAST, METERED], [METERED, LAST]])
def test_streams(events, expected, order):
    called = any(isinstance(event, Opened) and event.kind == "call" for event in expected)
    ended = Ended("tool_use" if called else "end", usage=USED)
    data = sse(FIRST, *events, *order)
    assert read([data]) == [Begun(), *expected, ended]
    assert read([data + sse(delta(9, text="more"))]) == [Begun(), *expected, ended]
    assert read([sse(*(events or [FIRST]), *order)])[-1] == ended


def whole(*blocks: object, **members: object) -> bytes:
    answer = {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": "end_turn"}
    return json.dumps(answer | {"usage": FIGURES} | members).encode()


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([], []),
        ([{"text": ""}, {"text": "a"}], [{"kind": "text", "text": "a"}]),
        (
            [{"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": []}}],
            [{"kind": "text", "text": "ab"}],
        ),
        (
            [{"reasoningContent": {"reasoningText": {"text": "a", "signature": "s"}}}],
            [{"kind": "thinking", "text": "a", "sealed": "s"}],
        ),
        (
            [{"reasoningContent": {"redactedContent": REDACTED}}],
            [{"kind": "thinking", "text": "", "sealed": "EtkE+/="}],
        ),
        (
            [
                {"toolUse": {"toolUseId": "c", "name": "f", "input": {"a": 1.0}}},
                {"toolUse": {"toolUseId": "d", "name": "g"}},
            ],
            [
                {"kind": "call", "id": "c", "name": "f", "input": {"a": 1.0}},
                {"kind": "call", "id": "d", "name": "g", "input": {}},
            ],
        ),
        ([{"image": {}}, {"toolResult": {}}, 7, {"text": 7}], []),
    ],
)
def test_answers_in_one_piece(blocks, expected):
    for size in (1, 4096):
        assert ours(read(pieces(whole(*blocks), size), stream=False)) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, Ended("end", usage=USED)),
        ({"stopReason": "max_tokens"}, Ended("length", usage=USED)),
        ({"stopReason": "model_context_window_exceeded"}, Ended("length", usage=USED)),
        ({"stopReason": "guardrail_intervened"}, Ended("refusal", usage=USED)),
        ({"stopReason": "content_filtered"}, Ended("refusal", usage=USED)),
        ({"stopReason": "tool_use"}, Ended("end", usage=USED)),
        ({"stopReason": "new"}, Ended("end", usage=USED)),
        (
            {"stopReason": "malformed_tool_use"},
            Failed(502, "The model's output was not usable (malformed_tool_use).", "upstream_error"),
        ),
        (
            {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "x"}},
            Ended("stop_sequence", "x", USED),
        ),
        (
            {"stopReason": "stop_sequence", "additionalModelResponseFields": {"delta": {"stop_sequence": "x"}}},
            Ended("stop_sequence", "x", USED),
        ),
        ({"stopReason": "stop_sequence", "additionalModelResponseFields": None}, Ended("stop_sequence", None, USED)),
        ({"usage": None}, Ended("end")),
        ({"usage": FIGURES | {"outputTokens": -1}}, Ended("end")),
        ({"usage": FIGURES | {"inputTokens": 10**9}}, Ended("end")),
    ],
)
def test_ends(members, expected):
    assert read([whole(**members)], stream=False)[-1] == expected
    given = json.loads(whole(**members))
    del given["output"]
    metadata = ("metadata", {"usage": given.pop("usage")})
    assert read([sse(FIRST, ("messageStop", given), metadata)])[-1] == expected


def test_figures_may_be_missing_at_the_end_of_a_stream():
    assert read([sse(FIRST, LAST)])[-1] == Ended("end")
    assert read([sse(FIRST, METERED)])[-1] == reading._CUT_OFF


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (FIGURES, USED),
        ({"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, Usage(1, output_tokens=2)),
        (
            FIGURES | {"cacheDetails": [{"ttl": "1h", "inputTokens": 2}, {"ttl": "5m", "inputTokens": 4}]},
            Usage(3, 5, 4, 2, 4),
        ),
    ],
)
def test_usage(figures, expected):
    assert converse.usage(figures) == expected


@pytest.mark.parametrize("wrong", [{"cacheDetails": [{"ttl": "1h", "inputTokens": 7}]}, {"outputTokens": "4"}])
def test_absurd_usage(wrong):
    with pytest.raises(Absurd):
        converse.usage(FIGURES | wrong)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("throttlingException", 429),
        ("ThrottlingException", 429),
        ("validationException", 400),
        ("internalServerException", 500),
        ("InternalServerError", 500),
        ("modelStreamErrorException", 502),
        ("modelTimeoutException", 504),
        ("serviceUnavailableException", 503),
        ("somethingNewException", 502),
    ],
)
def test_exceptions(name, status):
    events = read([sse(FIRST, delta(0, text="a"), (name, {"message": "why"}), LAST, METERED)])
    assert events == [Begun(), Opened(0, "text"), Delta(0, "a"), Failed(status, "why", "upstream_error")]
    assert read([sse((name, 7))]) == [Failed(status, "The upstream failed.", "upstream_error")]


@pytest.mark.parametrize("data", [b"event: x\ndata: {\n\n", b"event: x\ndata: []\n\n", b"data: \xff\n\n"])
def test_events_that_are_none(data):
    assert read([data]) == [reading._DAMAGED]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", reading._CUT_OFF),
        (b"{", reading._DAMAGED),
        (b"{}", reading._DAMAGED),
        (b'{"output":7}', reading._DAMAGED),
        (b'{"message":"no"}', reading._DAMAGED),
        (b'{"a":' * 100_000, reading._DAMAGED),
    ],
)
def test_answers_that_are_none(data, expected):
    assert read([data], stream=False) == [expected]


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_without_end_is_bounded(stream, monkeypatch):
    monkeypatch.setattr(held, "MAX_ANSWER", 1 << 20)
    reader = converse.reader(stream)
    events: list[Event] = []
    for _ in range(18):
        events += reader.feed(b"x" * (1 << 20))
    assert [*events, *reader.close()] == [reading._TOO_LONG]


def test_half_of_an_emoji_is_read():
    block = {"toolUse": {"toolUseId": "c", "name": "f", "input": {"a": "\ud83d"}}}
    assert [each["text"] for each in content(read([whole({"text": "\ud83d"}, block)], stream=False))] == [
        "\ud83d",
        '{"a": "\\ud83d"}',
    ]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"message":"bad"}', Problem(400, "invalid_request", "bad")),
        (403, b'{"Message":"no"}', Problem(403, "invalid_request", "no")),
        (503, b'{"message":7}', Problem(503, "upstream_error", '{"message":7}')),
        (500, b"", Problem(500, "upstream_error", "The upstream failed.")),
    ],
)
def test_failures(status, body, expected):
    assert converse.failure(status, body) == expected


some = st.sampled_from(
    [
        *(FIRST, LAST, METERED, delta(0, text="a"), delta(1, text="b"), delta(0, reasoningContent={"text": "c"})),
        *(delta(0, reasoningContent={"signature": "s"}), delta(1, reasoningContent={"redactedContent": REDACTED})),
        *(start(0, "c", "f"), start(1, "d", "g"), start(2, "s", "t", type="server_tool_use")),
        *(delta(1, toolUse={"input": "{}"}), stop(0), stop(1), stop(2), ("x", 7), ("throttlingException", {})),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(some, max_size=12))
def test_any_order_of_events_gives_valid_ones(events):
    data = sse(*events)
    found = read([data])
    assert isinstance(found[-1], Ended | Failed)
    assert read(pieces(data, 7)) == found


def test_it_is_quick():
    data = sse(FIRST, *[delta(0, text="some words ")] * 5000, LAST, METERED)
    begin = time.perf_counter()
    events = read(pieces(data, 200))
    taken = (time.perf_counter() - begin) / len(events)
    print(f"read: {taken * 1e6:.1f} µs an event")
    assert taken < 75e-6
