"""Answers as OpenAI and as others give them, and the events that they are."""

import json

import pytest

from gateway.protocols.codec import Usage
from gateway.protocols.framing import MAX_EVENT
from gateway.protocols.reading import MAX_ANSWER
from gateway.translation.events import Begun, Closed, Delta, Ended, Failed, Logprobs, Opened
from tests.protocols.cuts import pieces
from tests.translation.generate import faults
from tests.translation.openai_chat.asked import chunk, read, sse

BEGUN = Begun("chatcmpl-1", "m")
FIGURES = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
USAGE = Usage(input_tokens=7, output_tokens=5)
LOGPROB = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
CUT = Failed(502, "The upstream's answer was cut off.")


def call(index=None, **members):
    about = members.pop("function", None)
    found = {name: value for name, value in {"index": index, **members}.items() if value is not None}
    return found if about is None else {**found, "function": about}


def first(index=None, call_id="c1", name="f", arguments="", **members):
    return call(index, id=call_id, type="function", function={"name": name, "arguments": arguments}, **members)


def more(index=None, arguments="", **members):
    return call(index, function={"arguments": arguments}, **members)


def block(number, kind, *texts, **members):
    return [Opened(number, kind, **members), *(Delta(number, text) for text in texts), Closed(number)]


def calls(*found):
    """Blocks that are closed at the end."""
    opened = [
        event
        for number, (call_id, name, *texts) in enumerate(found)
        for event in (Opened(number, "call", call_id, name), *(Delta(number, text) for text in texts))
    ]
    return [*opened, *(Closed(number) for number in range(len(found))), Ended("tool_use")]


def usage_chunk(**members):
    return {"id": "chatcmpl-1", "model": "m", "choices": [], "usage": FIGURES, **members}


STREAMS = [
    (
        "text",
        sse(chunk(role="assistant", content="", refusal=None), chunk(content="a"), chunk(content="b"), chunk("stop")),
        [*block(0, "text", "a", "b"), Ended("end")],
    ),
    ("nothing said", sse(chunk(role="assistant", content=None), chunk("stop")), [Ended("end")]),
    *(
        (
            f"thinking in {name}",
            sse(chunk(**{name: "t", "content": None}), chunk(**{name: "u", "content": "a"}), chunk("stop")),
            [*block(0, "thinking", "t", "u"), *block(1, "text", "a"), Ended("end")],
        )
        for name in ("reasoning_content", "reasoning")
    ),
    (
        "thinking twice in one delta is said once",
        sse(chunk(reasoning_content="t", reasoning="t"), chunk("stop")),
        [*block(0, "thinking", "t"), Ended("end")],
    ),
    (
        "Mistral's parts",
        sse(
            chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}]),
            chunk(content=[{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}]),
            chunk("model_length"),
        ),
        [*block(0, "thinking", "t"), *block(1, "text", "a"), Ended("length")],
    ),
    ("a refusal", sse(chunk(refusal="no"), chunk("stop")), [*block(0, "text", "no"), Ended("refusal")]),
    ("filtered", sse(chunk(content="a"), chunk("content_filter")), [*block(0, "text", "a"), Ended("refusal")]),
    (
        "calls that interleave",
        sse(
            chunk(tool_calls=[first(0, "c1", "f")]),
            chunk(tool_calls=[first(1, "c2", "g"), more(0, '{"a"')]),
            chunk(tool_calls=[more(1, "{}"), more(0, ":1}")]),
            chunk("tool_calls"),
        ),
        [
            Opened(0, "call", "c1", "f"),
            Opened(1, "call", "c2", "g"),
            *(Delta(0, '{"a"'), Delta(1, "{}"), Delta(0, ":1}"), Closed(0), Closed(1), Ended("tool_use")),
        ],
    ),
    (
        "stop although a tool is called",
        sse(chunk(content="a"), chunk(tool_calls=[first(0, arguments="{}")]), chunk("stop")),
        [*block(0, "text", "a"), *block(1, "call", "{}", id="c1", name="f"), Ended("tool_use")],
    ),
    (
        "cut short in a call",
        sse(chunk(tool_calls=[first(0)]), chunk("length")),
        [*block(0, "call", id="c1", name="f"), Ended("length")],
    ),
    ("tool_calls without a call", sse(chunk(content="a"), chunk("tool_calls")), [*block(0, "text", "a"), Ended("end")]),
    (
        "no indexes",
        sse(
            chunk(tool_calls=[first(None, "c1")]),
            chunk(tool_calls=[more(None, "{}")]),
            chunk(tool_calls=[first(None, "c2", "g", "[]")]),
            chunk("stop"),
        ),
        calls(("c1", "f", "{}"), ("c2", "g", "[]")),
    ),
    (
        "no indexes, but ids",
        sse(
            chunk(tool_calls=[first(None, "c1"), first(None, "c2", "g")]),
            chunk(tool_calls=[more(None, "{}", id="c1")]),
            chunk("stop"),
        ),
        [
            Opened(0, "call", "c1", "f"),
            Opened(1, "call", "c2", "g"),
            *(Delta(0, "{}"), Closed(0), Closed(1), Ended("tool_use")),
        ],
    ),
    (
        "all at index 0",
        sse(
            chunk(tool_calls=[first(0, "c1", "f", "{}")]), chunk(tool_calls=[first(0, "c2", "g", "[]")]), chunk("stop")
        ),
        calls(("c1", "f", "{}"), ("c2", "g", "[]")),
    ),
    (
        "the name and an id again and again",
        sse(
            chunk(tool_calls=[first(0)]),
            chunk(tool_calls=[first(0, arguments="{}")]),
            chunk(tool_calls=[call(0, id="other", function={"name": "", "arguments": " "})]),
            chunk("tool_calls"),
        ),
        calls(("c1", "f", "{}", " ")),
    ),
    (
        "a name that comes late",
        sse(
            chunk(tool_calls=[call(0, id="c1", function={"arguments": "{"})]),
            chunk(tool_calls=[call(0, function={"name": "f", "arguments": "}"})]),
            chunk("tool_calls"),
        ),
        calls(("c1", "f", "{", "}")),
    ),
    (
        "a name that never comes",
        sse(chunk(tool_calls=[more(0, "{}", id="c1")]), chunk("tool_calls")),
        calls(("c1", "", "{}")),
    ),
    (
        "arguments that are an object",
        sse(chunk(tool_calls=[first(0, arguments={"a": 1})]), chunk("stop")),
        calls(("c1", "f", '{"a":1}')),
    ),
    (
        "a free-form call",
        sse(
            chunk(tool_calls=[call(0, id="c1", type="custom", custom={"name": "p", "input": ""})]),
            chunk(tool_calls=[call(0, type="custom", custom={"input": "x <y>"})]),
            chunk("tool_calls"),
        ),
        [*block(0, "call", "x <y>", id="c1", name="p", custom=True), Ended("tool_use")],
    ),
    (
        "text after a call",
        sse(chunk(content="a"), chunk(tool_calls=[first(0)]), chunk(content="b"), chunk("stop")),
        [
            *block(0, "text", "a"),
            Opened(1, "call", "c1", "f"),
            *block(2, "text", "b"),
            *(Closed(1), Ended("tool_use")),
        ],
    ),
    (
        "figures in a chunk without choices",
        sse(chunk(content="a"), chunk("stop"), usage_chunk()),
        [*block(0, "text", "a"), Ended("end", usage=USAGE)],
    ),
    (
        "figures in the last chunk",
        sse(chunk(content="a") | {"usage": None}, chunk("stop") | {"usage": FIGURES}),
        [*block(0, "text", "a"), Ended("end", usage=USAGE)],
    ),
    (
        "Groq's figures",
        sse(chunk(content="a"), chunk("stop") | {"x_groq": {"usage": FIGURES}}),
        [*block(0, "text", "a"), Ended("end", usage=USAGE)],
    ),
    (
        "absurd figures are none",
        sse(chunk(content="a"), chunk("stop"), usage_chunk(usage={"prompt_tokens": -1})),
        [*block(0, "text", "a"), Ended("end")],
    ),
    (
        "Azure's first chunk has no choices",
        sse({"id": "", "model": "", "choices": [], "prompt_filter_results": []}, chunk(content="a"), chunk("stop")),
        [*block(0, "text", "a"), Ended("end")],
    ),
    (
        "the stop sequence that was met",
        sse(
            chunk(content="a"),
            {**chunk("stop"), "choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]},
        ),
        [*block(0, "text", "a"), Ended("stop_sequence", "END")],
    ),
    (
        "logprobs",
        sse({**chunk(), "choices": [{"delta": {"content": "a"}, "logprobs": {"content": [LOGPROB]}}]}, chunk("stop")),
        [Opened(0, "text"), Delta(0, "a"), Logprobs(0, (LOGPROB,)), Closed(0), Ended("end")],
    ),
    (
        "other choices are not read",
        sse(
            chunk(content="a"),
            {"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "length"}]},
            chunk("stop"),
        ),
        [*block(0, "text", "a"), Ended("end")],
    ),
    ("no [DONE]", sse(chunk(content="a"), chunk("stop"), end=b""), [*block(0, "text", "a"), Ended("end")]),
    ("no finish reason", sse(chunk(content="a"), chunk("")), [*block(0, "text", "a"), Ended("end")]),
    ("nothing after the end", sse(chunk("stop")) + sse(chunk(content="b")), [Ended("end")]),
    (
        "comments, lines without blanks, no blank line at the end",
        b": OPENROUTER PROCESSING\n\n" + sse(chunk(content="a"), chunk("stop")).replace(b"data: ", b"data:")[:-2],
        [*block(0, "text", "a"), Ended("end")],
    ),
    ("cut off", sse(chunk(content="a"), end=b""), [Opened(0, "text"), Delta(0, "a"), CUT]),
    (
        "an error",
        sse(chunk(content="a"), {"error": {"message": "m", "type": "server_error", "code": "overloaded_error"}}),
        [Opened(0, "text"), Delta(0, "a"), Failed(503, "m", "overloaded_error")],
    ),
    ("no JSON", sse(chunk("stop"), end=b"data: {\n\n"), [Failed(502, "The upstream's answer is not valid JSON.")]),
    ("an end with an error", sse(chunk("error")), [Failed(502, "The upstream broke off its answer.")]),
]


@pytest.mark.parametrize(("data", "events"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_streams(data, events):
    found = read(data)
    assert found == [BEGUN, *events]
    assert faults(found) == []
    for form in (data, data.replace(b"\n", b"\r\n")):
        assert read(list(pieces(form, 1))) == found
        for place in range(len(form)):
            assert read([form[:place], form[place:]]) == found, place


FIRST = [
    ("an error object", b'data: {"error":{"message":"m","code":429}}\n\n', Failed(429, "m")),
    ("an error that is a text", b'data: {"error":"m"}\n\n', Failed(500, "m")),
    (
        "vLLM's error",
        b'data: {"object":"error","message":"m","type":"BadRequestError","code":400}\n\n',
        Failed(400, "m", "BadRequestError"),
    ),
    ("nothing", b"", CUT),
    ("an end alone", b"data: [DONE]\n\n", Failed(502, "The upstream's answer is empty.")),
    ("a list", b"data: []\n\n", Failed(502, "The upstream's answer is not valid JSON.")),
]


@pytest.mark.parametrize(("data", "failed"), [row[1:] for row in FIRST], ids=[row[0] for row in FIRST])
def test_streams_that_fail_before_they_begin(data, failed):
    assert read(data) == [failed]


def answer(message, finish="stop", **members):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m",
        "choices": [choice],
        "usage": FIGURES,
        **members,
    }


WHOLE = [
    ("text", answer({"content": "a", "refusal": None}), [*block(0, "text", "a"), Ended("end", usage=USAGE)]),
    (
        "all at once",
        answer({"content": "a", "reasoning_content": "t", "tool_calls": [first(arguments="{}")]}, "tool_calls"),
        [
            *(*block(0, "thinking", "t"), *block(1, "text", "a")),
            *(*block(2, "call", "{}", id="c1", name="f"), Ended("tool_use", usage=USAGE)),
        ],
    ),
    (
        "calls without indexes, or all at index 0, or of one id",
        answer({"content": None, "tool_calls": [first(0, "c1"), first(0, "c2", "g"), first(None, "c3", "h")]}),
        [*calls(("c1", "f"), ("c2", "g"), ("c3", "h"))[:-1], Ended("tool_use", usage=USAGE)],
    ),
    (
        "empty members of a server in Go",
        answer(
            {
                "content": "4",
                "refusal": "",
                "tool_calls": None,
                "function_call": {"name": "", "arguments": ""},
                "audio": {"id": "", "data": ""},
            },
            "",
        ),
        [*block(0, "text", "4"), Ended("end", usage=USAGE)],
    ),
    (
        "a custom member beside a function",
        answer({"tool_calls": [first(arguments="{}", custom={"name": "", "input": ""})]}),
        [*block(0, "call", "{}", id="c1", name="f"), Ended("tool_use", usage=USAGE)],
    ),
    ("no figures", answer({"content": "a"}, usage=None), [*block(0, "text", "a"), Ended("end")]),
]


@pytest.mark.parametrize(("body", "events"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE])
def test_answers_in_one_piece(body, events):
    data = json.dumps(body).encode()
    found = read(data, stream=False)
    assert found == [BEGUN, *events]
    assert faults(found) == []
    assert read(list(pieces(data, 3)), stream=False) == found


BROKEN = [
    (b"", "The upstream's answer is empty."),
    (b"{", "The upstream's answer is not valid JSON."),
    (b"{}", "The upstream's answer is empty."),
    (b'{"choices":[]}', "The upstream's answer is empty."),
    (b'{"error":{"message":"m"}}', "m"),
]


@pytest.mark.parametrize(("data", "message"), BROKEN)
def test_answers_that_are_none(data, message):
    (failed,) = read(data, stream=False)
    assert isinstance(failed, Failed)
    assert failed.message == message


def test_ids_that_are_missing_are_made_and_differ():
    data = sse(
        chunk(tool_calls=[first(0, ""), first(1, None, "g"), first(2, "x", "h"), first(3, "x", "i")]), chunk("stop")
    )
    ids = [event.id for event in read(data) if isinstance(event, Opened)]
    assert len(set(ids)) == 4
    assert all(each.startswith("call_") and len(each) <= 40 for each in (ids[0], ids[1], ids[3]))
    assert ids == [event.id for event in read(list(pieces(data, 5))) if isinstance(event, Opened)]
    other = read(data.replace(b"chatcmpl-1", b"chatcmpl-2"))
    assert ids[0] not in [event.id for event in other if isinstance(event, Opened)]


def test_the_deprecated_call():
    data = sse(
        chunk(function_call={"name": "f", "arguments": ""}),
        chunk(function_call={"arguments": "{}"}),
        chunk("function_call"),
    )
    begun, opened, *rest = read(data)
    assert (begun, opened) == (BEGUN, Opened(0, "call", opened.id, "f"))
    assert opened.id.startswith("call_")
    assert rest == [Delta(0, "{}"), Closed(0), Ended("tool_use")]


def test_half_an_emoji_passes():
    data = sse(chunk(content="\ud83d"), chunk(content="\ude00"), chunk("stop"))
    assert [event.text for event in read(data) if isinstance(event, Delta)] == ["\ud83d", "\ude00"]


def test_an_event_without_end_is_given_up_and_memory_with_it():
    failed = [Failed(502, "An event of the upstream is too long.")]
    found = read([b"data: ", *[b"x" * (1 << 20)] * (MAX_EVENT // (1 << 20) + 2)])
    assert found == failed


def test_an_answer_without_end_is_given_up():
    piece = b"x" * (1 << 20)
    assert read([piece] * (MAX_ANSWER // (1 << 20) + 2), stream=False) == [
        Failed(502, "The upstream's answer is too long.")
    ]
