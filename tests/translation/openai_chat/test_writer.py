"""Events, and what a client reads of them: goldens, the SDK, the grammar, and back again."""

import json

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.codec import Usage
from gateway.translation.events import Begun, Closed, Delta, Ended, Failed, Logprobs, Opened, Sealing
from gateway.translation.openai_chat import SPEECH
from gateway.translation.prompt import Sealed, Tool
from tests.translation.generate import answers, content, faults
from tests.translation.grammar_openai_chat import check
from tests.translation.openai_chat.asked import REQUEST, asking, chunks, read, whole, written
from tests.translation.openai_chat.judge import judging, parsed

FRAME = {
    "id": f"chatcmpl-{REQUEST}",
    "object": "chat.completion.chunk",
    "created": 1_790_000_000,
    "model": "gpt-5",
    "system_fingerprint": "fp_poolgate",
}
ROLE = {"role": "assistant", "content": "", "refusal": None}
USAGE = Usage(
    input_tokens=10,
    cache_read_tokens=20,
    cache_write_5m_tokens=3,
    cache_write_1h_tokens=4,
    output_tokens=7,
    reasoning_tokens=5,
)
FIGURES = {
    "prompt_tokens": 37,
    "completion_tokens": 7,
    "total_tokens": 44,
    "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 7, "audio_tokens": 0, "image_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 5,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
LOGPROB = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
APPLY = Tool("apply_patch", custom=True)


def deltas(data):
    return [found["choices"][0]["delta"] for found in chunks(data) if found.get("choices")]


def first(index, call_id, name):
    return {
        "tool_calls": [{"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}]
    }


def more(index, text):
    return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}


def test_a_stream_to_the_byte():
    data = written(
        [Begun("x", "y"), Opened(0, "text"), Delta(0, "é"), Delta(0, ""), Closed(0), Ended("end", usage=USAGE)]
    )
    bare = [
        {"choices": [{"index": 0, "delta": ROLE, "logprobs": None, "finish_reason": None}], "usage": None},
        {"choices": [{"index": 0, "delta": {"content": "é"}, "logprobs": None, "finish_reason": None}], "usage": None},
        {"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}], "usage": None},
        {"choices": [], "usage": FIGURES},
    ]
    lines = [json.dumps(FRAME | each, separators=(",", ":"), ensure_ascii=False) for each in bare]
    assert data.decode() == "".join(f"data: {line}\n\n" for line in (*lines, "[DONE]"))
    assert check(data) == []


@pytest.mark.parametrize(("usage", "asked"), [(USAGE, False), (None, True)])
def test_no_figures_for_those_who_did_not_ask_and_none_that_are_not_known(usage, asked):
    data = written([Begun(), Ended("end", usage=usage)], include_usage=asked)
    assert all(found["choices"] and found.get("usage") is None for found in chunks(data))
    assert all(("usage" in found) == asked for found in chunks(data))
    assert check(data) == []


STREAMS = [
    (
        "thinking",
        [Opened(0, "thinking"), Delta(0, "t"), Sealing(0, Sealed("anthropic", "s")), Closed(0)],
        [{"reasoning_content": "t"}],
    ),
    ("redacted thinking", [Opened(0, "thinking", redacted=True), Sealing(0, Sealed("anthropic", "s")), Closed(0)], []),
    (
        "calls count from 0, whatever stands before them",
        [
            *(
                Opened(0, "text"),
                Delta(0, "a"),
                Closed(0),
                Opened(1, "call", "c1", "f"),
                Delta(1, '{"a"'),
                Delta(1, ":1}"),
            ),
            *(Closed(1), Opened(2, "call", "c2", "g"), Delta(2, "{}"), Closed(2)),
        ],
        [{"content": "a"}, first(0, "c1", "f"), more(0, '{"a"'), more(0, ":1}"), first(1, "c2", "g"), more(1, "{}")],
    ),
    (
        "calls interleave",
        [
            *(Opened(0, "call", "c1", "f"), Opened(1, "call", "c2", "g"), Delta(1, "["), Delta(0, "{"), Delta(1, "]")),
            *(Closed(1), Delta(0, "}"), Closed(0)),
        ],
        [first(0, "c1", "f"), first(1, "c2", "g"), more(1, "["), more(0, "{"), more(1, "]"), more(0, "}")],
    ),
    (
        "no arguments are an empty object",
        [Opened(0, "call", "c1", "f"), Delta(0, ""), Closed(0)],
        [first(0, "c1", "f"), more(0, "{}")],
    ),
    (
        "a call without an id",
        [Opened(0, "call", None, "f"), Closed(0)],
        [first(0, f"call_{REQUEST}_0", "f"), more(0, "{}")],
    ),
    (
        "two texts at once: the second waits for the first",
        [
            *(
                Opened(0, "text"),
                Opened(1, "text"),
                Delta(1, "c"),
                Delta(0, "a"),
                Opened(2, "text"),
                Delta(2, "e"),
                Closed(2),
            ),
            *(Delta(0, "b"), Closed(0), Delta(1, "d"), Closed(1)),
        ],
        [{"content": each} for each in "abcde"],
    ),
    (
        "thinking and text at once do not wait",
        [Opened(0, "thinking"), Opened(1, "text"), Delta(1, "a"), Delta(0, "t"), Closed(1), Closed(0)],
        [{"content": "a"}, {"reasoning_content": "t"}],
    ),
]


@pytest.mark.parametrize(("events", "expected"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_deltas(events, expected):
    data = written([Begun(), *events, Ended("end")])
    assert deltas(data) == [ROLE, *expected, {}]
    assert check(data) == []


STOPS = [
    ("end", "stop"),
    ("stop_sequence", "stop"),
    ("length", "length"),
    ("refusal", "content_filter"),
    ("pause", "stop"),
    ("tool_use", "tool_calls"),
]


@pytest.mark.parametrize(("stop", "finish"), STOPS)
def test_stop_reasons_are_the_same_whole_and_in_a_stream(stop, finish):
    events = [Begun(), Opened(0, "call", "c1", "f"), Closed(0), Ended(stop)]
    assert chunks(written(events))[-1]["choices"][0]["finish_reason"] == finish
    assert whole(events)["choices"][0]["finish_reason"] == finish


def test_logprobs_wait_with_their_text():
    second = [Opened(1, "text"), Delta(1, "b"), Logprobs(1, (LOGPROB | {"token": "b"},)), Closed(1)]
    events = [Begun(), Opened(0, "text"), *second, Delta(0, "a"), Logprobs(0, (LOGPROB,)), Closed(0), Ended("end")]
    data = written(events)
    found = [(each["choices"][0]["delta"], each["choices"][0]["logprobs"]) for each in chunks(data)]
    assert found[1:-1] == [
        ({"content": "a"}, None),
        ({}, {"content": [LOGPROB], "refusal": None}),
        ({"content": "b"}, None),
        ({}, {"content": [LOGPROB | {"token": "b"}], "refusal": None}),
    ]
    assert check(data) == []


@pytest.mark.parametrize(
    ("event", "text", "expected"),
    [
        (Opened(0, "call", "c1", "apply_patch"), '{"input": "x \\"y\\""}', 'x "y"'),
        (Opened(0, "call", "c1", "apply_patch"), "no JSON", "no JSON"),
        (Opened(0, "call", "c1", "apply_patch"), '{"a": 1}', '{"a": 1}'),
        (Opened(0, "call", "c1", "apply_patch", custom=True), '{"input": 1}', '{"input": 1}'),
        (Opened(0, "call", "c1", "apply_patch", custom=True), "", ""),
    ],
)
def test_a_free_form_call_is_unwrapped(event, text, expected):
    events = [Begun(), event, *(Delta(0, each) for each in text), Closed(0), Ended("tool_use")]
    data = written(events, tools=(APPLY,))
    opening, *rest = (delta["tool_calls"][0] for delta in deltas(data)[1:-1])
    assert opening == {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "apply_patch", "input": ""}}
    assert "".join(each["custom"]["input"] for each in rest) == expected
    assert check(data) == []
    (call,) = whole(events, tools=(APPLY,))["choices"][0]["message"]["tool_calls"]
    assert call == {"id": "c1", "type": "custom", "custom": {"name": "apply_patch", "input": expected}}


def test_an_answer_in_one_piece():
    events = [
        *(Begun(), Opened(0, "thinking"), Delta(0, "t"), Closed(0), Opened(1, "text"), Delta(1, "a")),
        *(Logprobs(1, (LOGPROB,)), Closed(1), Opened(2, "call", "c1", "f"), Closed(2), Ended("tool_use", usage=USAGE)),
    ]
    message = {
        "role": "assistant",
        "content": "a",
        "refusal": None,
        "annotations": [],
        "reasoning_content": "t",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    logprobs = {"content": [LOGPROB], "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "tool_calls"}
    assert whole(events) == FRAME | {"object": "chat.completion", "choices": [choice], "usage": FIGURES}


@pytest.mark.parametrize(
    ("events", "expected"),
    [([], ""), ([Opened(0, "text"), Closed(0)], ""), ([Opened(0, "call", "c1", "f"), Closed(0)], None)],
)
def test_the_content_is_null_only_beside_calls(events, expected):
    body = whole([Begun(), *events, Ended("end")])
    assert body["choices"][0]["message"]["content"] == expected
    assert "usage" not in body


@pytest.mark.parametrize("before", [[], [Begun(), Opened(0, "text"), Delta(0, "a")]])
def test_an_error_ends_it_without_done(before):
    writer = SPEECH.writer(asking())
    data = b"".join(map(writer.write, [*before, Failed(503, "busy", "overloaded_error")]))
    error = {"message": "busy", "type": "server_error", "param": None, "code": "overloaded_error"}
    assert chunks(data)[-1] == {"error": error}
    assert b"[DONE]" not in data
    assert check(data) == []
    assert writer.write(Delta(0, "b")) == writer.write(Ended("end")) == writer.ping() == b""


def test_pings_are_comments():
    writer = SPEECH.writer(asking())
    data = writer.write(Begun()) + writer.ping() + writer.write(Ended("end"))
    assert b"\n\n: ping\n\n" in data
    assert check(data) == []
    assert writer.content_type == b"text/event-stream; charset=utf-8"


async def test_the_sdk_says_the_error():
    async with judging() as judge:
        data = written([Begun(), Opened(0, "text"), Delta(0, "a"), Failed(503, "busy", "overloaded_error")])
        with pytest.raises(openai.APIError, match="busy"):
            await judge.stream(data)


def joined(events):
    """What of an answer a chat client can be told: text, thinking, calls with their arguments."""
    blocks = content(events)
    text, thinking = ("".join(each["text"] for each in blocks if each["kind"] == kind) for kind in ("text", "thinking"))
    calls = [(each["id"], each["name"], each["text"] or "{}") for each in blocks if each["kind"] == "call"]
    return text, thinking, calls, events[-1].usage and merged(events[-1].usage)


def merged(usage):
    return (
        *(usage.input_tokens, usage.cache_read_tokens, usage.cache_write_5m_tokens + usage.cache_write_1h_tokens),
        *(usage.output_tokens, usage.reasoning_tokens),
    )


@settings(max_examples=300, deadline=None)
@given(answers(), st.booleans())
def test_whatever_comes_the_grammar_holds_and_all_of_it_is_read_again(events, asked):
    data = written(events, include_usage=asked)
    assert check(data) == []
    again = read(data)
    assert joined(again)[:3] == joined(events)[:3]
    if asked:
        assert joined(again)[3] == joined(events)[3]
    assert faults(again) == []
    at_once = read(SPEECH.whole(asking(), events), stream=False)
    assert joined(at_once) == joined(events)
    assert at_once[-1].stop == again[-1].stop


@settings(max_examples=25, deadline=None)
@given(data=st.data())
async def test_the_sdk_reads_what_is_written(data):
    batch = data.draw(st.lists(answers(), min_size=4, max_size=4))
    async with judging() as judge:
        for events in batch:
            text, thinking, calls, _ = joined(events)
            expected = (text, thinking, [("function", call_id, name, parsed(said)) for call_id, name, said in calls])
            for found in (
                await judge.accumulated(written(events)),
                await judge.stream(written(events)),
                await judge.whole(SPEECH.whole(asking(), events)),
            ):
                assert (found.text, found.thinking, found.calls) == expected
                assert (found.usage and merged(found.usage)) == (events[-1].usage and merged(events[-1].usage))
