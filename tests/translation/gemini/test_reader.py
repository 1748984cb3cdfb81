"""Answers of Gemini as events."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.codec import Problem, Usage
from gateway.protocols.framing import MAX_EVENT
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened, Sealing
from gateway.translation.gemini.reader import BROKEN, STOPS, failure, reader
from gateway.translation.prompt import Sealed
from tests.protocols.cuts import at, pieces, places
from tests.translation.generate import faults

FIGURES = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 2, "cachedContentTokenCount": 4}
USAGE = Usage(input_tokens=6, cache_read_tokens=4, output_tokens=7, reasoning_tokens=2)
SEALED = Sealed("gemini", "c2ln")


def answer(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts), "role": "model"}} | (
        {} if finish is None else {"finishReason": finish}
    )
    return {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r/1", **more}


def stream(*objects: Any) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(each, ensure_ascii=False).encode() for each in objects)


def read(data: bytes | list[bytes], streams: bool = True) -> list[Event]:
    found = reader(streams)
    return [event for part in (data if isinstance(data, list) else [data]) for event in found.feed(part)] + [
        *found.close()
    ]


def whole(*parts: Any, **more: Any) -> list[Event]:
    return read(json.dumps(answer(*parts, **{"finish": "STOP", **more})).encode(), False)


def text(block: int, *deltas: str, kind: Any = "text") -> list[Event]:
    return [Opened(block, kind), *(Delta(block, delta) for delta in deltas), Closed(block)]


PARTS: dict[str, tuple[list[Any], list[Event]]] = {
    "text": ([{"text": "a"}, {"text": ""}, {"text": "b"}], text(0, "a", "b")),
    "thinking and text": (
        [{"text": "t", "thought": True}, {"text": "a"}],
        text(0, "t", kind="thinking") + text(1, "a"),
    ),
    "sealed thinking": (
        [{"text": "t", "thought": True, "thoughtSignature": "c2ln"}, {"text": "u", "thought": True}],
        [Opened(0, "thinking"), Delta(0, "t"), Sealing(0, SEALED), Closed(0), *text(1, "u", kind="thinking")],
    ),
    "a seal alone": (
        [{"text": "", "thought": True, "thoughtSignature": "c2ln"}],
        [Opened(0, "thinking"), Sealing(0, SEALED), Closed(0)],
    ),
    "a signature on text": ([{"text": "a", "thoughtSignature": "c2ln"}, {"text": "b"}], text(0, "a", "b")),
    "a call": (
        [{"functionCall": {"id": "a", "name": "f", "args": {"x": [1, 0.5]}}}],
        [Opened(0, "call", "a", "f"), Delta(0, '{"x":[1,0.5]}'), Closed(0)],
    ),
    "calls without ids": (
        [{"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"}, {"functionCall": {"name": "f", "args": {}}}],
        [
            *(Opened(0, "call", "call_r_1_0", "f"), Delta(0, "{}"), Sealing(0, SEALED), Closed(0)),
            *(Opened(1, "call", "call_r_1_1", "f"), Delta(1, "{}"), Closed(1)),
        ],
    ),
    "a call in pieces": (
        [
            {"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "c2ln"},
            {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": True}},
            {"functionCall": {"partialArgs": [{"jsonPath": "$.b", "numberValue": 1.0}], "willContinue": True}},
            {"functionCall": {}},
        ],
        [Opened(0, "call", "call_r_1_0", "f"), Delta(0, '{"a":"x","b":1}'), Sealing(0, SEALED), Closed(0)],
    ),
    "pieces without an end": (
        [
            {"functionCall": {"name": "f", "willContinue": True}},
            {"functionCall": {"willContinue": True}},
            {"text": "a"},
        ],
        [Opened(0, "call", "call_r_1_0", "f"), Delta(0, "{}"), Closed(0), *text(1, "a")],
    ),
    "what has no place": (
        [{"executableCode": {}}, {"toolCall": {}}, {"inlineData": {"data": "AAAA"}}, {"functionCall": {}}, 5, {}],
        [],
    ),
}


@pytest.mark.parametrize("row", PARTS)
def test_parts_whole_and_streamed(row: str):
    parts, expected = PARTS[row]
    called = any(isinstance(event, Opened) and event.kind == "call" for event in expected)
    events = [Begun("r/1", "gemini-x", USAGE), *expected, Ended("tool_use" if called else "end", usage=USAGE)]
    assert whole(*parts, usageMetadata=FIGURES) == events
    objects = [answer(part, usageMetadata=FIGURES) for part in parts]
    assert read(stream(*objects, answer(finish="STOP", usageMetadata=FIGURES))) == events
    assert read(json.dumps([*objects, answer(finish="STOP")]).encode(), False) == events
    assert not faults(events)


@pytest.mark.parametrize("reason", ["STOP", "OTHER", "UNEXPECTED_TOOL_CALL", "SOMETHING_NEW", *STOPS])
def test_why_it_ended(reason: str):
    assert whole({"text": "a"}, finish=reason)[-1] == Ended(STOPS.get(reason, "end"))
    called = whole({"functionCall": {"id": "a", "name": "f"}}, finish=reason)[-1]
    assert called == Ended(STOPS.get(reason, "tool_use"))


@pytest.mark.parametrize("reason", sorted(BROKEN))
def test_output_that_could_not_be_used_is_an_error(reason: str):
    for events in (whole(finish=reason), read(stream(answer({"text": "a"}), answer(finish=reason)))):
        assert events[-1] == Failed(502, f"The model's output could not be used: {reason}", reason.lower())


def test_a_refused_prompt():
    refused = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}, "responseId": "r"}
    events = [Begun("r", None, Usage(3)), Ended("refusal", usage=Usage(3))]
    assert read(json.dumps(refused).encode(), False) == read(stream(refused)) == events


def test_figures_that_come_last_or_never_or_cannot_be_true():
    late = [
        answer({"text": "a"}, finish="STOP", usageMetadata={"trafficType": "ON_DEMAND"}),
        {"usageMetadata": FIGURES},
    ]
    assert read(stream(*late))[-1] == Ended("end", usage=USAGE)
    assert read(stream(late[0]))[-1] == Ended("end")
    assert whole(usageMetadata={"promptTokenCount": -1})[-1] == Ended("end")


def test_nothing_follows_the_end():
    last = answer(finish="STOP", usageMetadata=FIGURES)
    assert read(stream(last, answer({"text": "a"}), {"error": {"code": 500}})) == read(stream(last))


ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
FAILED = Failed(503, "The model is overloaded.", "unavailable")


def test_errors_inside_a_200():
    assert read(stream(ERROR)) == [FAILED]
    assert read(stream(answer({"text": "a"}), ERROR, ERROR))[-2:] == [Delta(0, "a"), FAILED]
    assert read(json.dumps(ERROR).encode(), False) == [FAILED]


@pytest.mark.parametrize("data", [b"", b"data: {}\n\n", b"data: [1]\n\n", b": x\n\n", stream(answer({"text": "a"}))])
def test_a_stream_without_its_end(data: bytes):
    assert read(data)[-1] == Failed(502, "The upstream's answer ended before its end.", "upstream_error")


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[]", b"[{}]", b"[{", b"5", b"<html>", b'{"candidates": []}'])
def test_an_answer_that_is_none(data: bytes):
    assert isinstance(read(data, False)[-1], Failed)


def test_an_event_that_is_too_long():
    data = stream(answer({"text": "a" * (MAX_EVENT + (3 << 20))}), answer(finish="STOP", usageMetadata=FIGURES))
    assert read([*pieces(data, 1 << 20)]) == [Failed(502, "An event of the upstream's is too long.", "upstream_error")]


def test_half_a_character_is_replaced():
    data = (
        b'data: {"candidates":[{"content":{"parts":[{"text":"a\\ud83d \\ud83d\\ude00"}]},"finishReason":"STOP"}]}\n\n'
    )
    assert read(data)[2] == Delta(0, "a� 😀")


def test_log_probabilities_belong_to_the_text():
    found = {"chosenCandidates": [{"token": "a", "logProbability": -1.0}]}
    body = answer({"text": "a"}, finish="STOP")
    body["candidates"][0]["logprobsResult"] = found
    token = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}
    assert read(stream(body))[1:4] == [Opened(0, "text"), Delta(0, "a"), Logprobs(0, (token,))]
    assert not faults(read(stream(body)))


def test_ids_of_an_answer_without_one_are_its_own():
    one, other = ({"candidates": [{"content": {"parts": [{"functionCall": {"name": name}}]}}]} for name in "fg")
    ids = {event.id for body in (one, one, other) for event in read(stream(body)) if isinstance(event, Opened)}
    assert len(ids) == 2
    assert all(each is not None and len(each) <= 40 for each in ids)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (json.dumps(ERROR).encode(), Problem(503, "unavailable", "The model is overloaded.")),
        (json.dumps([ERROR]).encode(), Problem(503, "unavailable", "The model is overloaded.")),
        (b"<html>", Problem(503, "upstream_error", "The upstream answered with status 503.")),
        (b'{"error": "no"}', Problem(503, "upstream_error", "The upstream answered with status 503.")),
    ],
)
def test_an_error_of_the_upstream(body: bytes, problem: Problem):
    assert failure(503, body) == problem


SAMPLE = stream(
    answer({"text": "é😀", "thought": True}),
    answer({"text": "日本"}, {"functionCall": {"name": "f", "args": {"é": "😀"}}, "thoughtSignature": "c2ln"}),
    answer(finish="STOP", usageMetadata=FIGURES),
)


@given(places)
def test_however_it_is_cut(places: list[int]):
    assert read(at(SAMPLE, places)) == read(SAMPLE)
    lines = SAMPLE.replace(b"\r\n", b"\n").rstrip()
    assert read(at(lines, places)) == read(SAMPLE)


@given(st.binary(max_size=200), st.booleans())
def test_noise_is_never_an_exception(data: bytes, streams: bool):
    found = read(data, streams)
    assert isinstance(found[-1], Failed | Ended)
