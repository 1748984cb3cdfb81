"""Chat completions and embeddings: figures, errors, and the usage that is asked for and taken out again."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.codec import InvalidBody, Problem, Usage
from gateway.protocols.openai_chat import CODEC, UsageFilter, with_usage
from tests.protocols.cuts import at, listen, pieces, places, state

GENERATE, EMBED = CODEC.endpoints
DONE = b"data: [DONE]\n\n"


def chunk(*choices: object, **members: object) -> bytes:
    return b"data: %s\n\n" % json.dumps({"object": "chat.completion.chunk", "choices": choices, **members}).encode()


def delta(finish: str | None = None, **members: object) -> dict[str, object]:
    return {"index": 0, "delta": members, "finish_reason": finish}


def read(*parts: bytes):
    return listen(CODEC.reader(GENERATE, True), list(parts))


FIGURES = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
EXPECTED = Usage(16, 4, 0, 0, 9, 3)
AZURE = chunk(prompt_filter_results=[{"prompt_index": 0}], usage=None)
TEXT = chunk(delta(role="assistant", content=""), usage=None) + chunk(delta(content="Hé😀"), usage=None)
CALL = chunk(delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}]))
STOP = chunk(delta("stop"), usage=None)
USAGE = chunk(usage=FIGURES)


def test_a_whole_stream():
    reader = read(AZURE, TEXT, CALL, STOP, USAGE, DONE)
    assert state(reader) == (True, None, True, EXPECTED, True, None, 7)


@settings(max_examples=100, deadline=None)
@given(places)
def test_a_stream_reads_the_same_however_it_is_cut(cuts):
    stream = AZURE + TEXT + CALL + STOP + USAGE + DONE
    assert state(read(*at(stream, cuts))) == state(read(stream)) == state(read(*pieces(stream, 1)))


@pytest.mark.parametrize(
    ("parts", "usage", "final", "complete"),
    [
        ((TEXT, STOP, DONE), None, False, True),
        ((TEXT, STOP), None, False, False),
        ((TEXT, STOP, USAGE), EXPECTED, True, True),
        ((TEXT, USAGE), EXPECTED, True, False),
        ((TEXT, STOP, USAGE, DONE[:-2]), EXPECTED, True, True),
        ((chunk(delta(content="x"), usage=FIGURES),), EXPECTED, False, False),
        ((chunk(delta("stop", content="x"), usage=FIGURES), DONE), EXPECTED, True, True),
        ((chunk(delta("stop"), x_groq={"usage": FIGURES}), DONE), EXPECTED, True, True),
        ((chunk(delta(content=None, tool_calls=None)), chunk(7), b'data: {"choices":null}\n\n'), None, False, False),
        ((b"data: [DONE]",), None, False, True),
    ],
)
def test_streams_in_all_states(parts, usage, final, complete):
    reader = read(*parts)
    assert (reader.usage, reader.usage_final, reader.complete) == (usage, final, complete)


@pytest.mark.parametrize(
    ("members", "characters"),
    [
        ({"content": "abc"}, 3),
        ({"refusal": "ab"}, 2),
        ({"reasoning_content": "abcd"}, 4),
        ({"reasoning": "abcd", "content": "x"}, 5),
        ({"reasoning_content": "abcd", "reasoning": "abcd"}, 4),
        ({"function_call": {"name": "f", "arguments": "{}"}}, 2),
        ({"tool_calls": [{"function": {"arguments": "{}"}}, {"function": {"arguments": "[1]"}}]}, 5),
        ({"content": [{"type": "text"}]}, 0),
    ],
)
def test_characters(members, characters):
    assert read(chunk(delta(**members))).characters == characters
    body = json.dumps({"choices": [{"message": members}]}).encode()
    assert listen(CODEC.reader(GENERATE, False), [body]).characters == characters


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (FIGURES, EXPECTED),
        ({"prompt_tokens": 8, "total_tokens": 8}, Usage(8)),
        ({"total_tokens": 3}, Usage(3)),
        ({"prompt_tokens": 0, "completion_tokens": 5, "total_tokens": 9}, Usage(0, 0, 0, 0, 5)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, Usage(5, 4, 0, 0, 1)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "num_cached_tokens": 4}, Usage(5, 4, 0, 0, 1)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 4}, Usage(5, 4, 0, 0, 1)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 6}}, Usage(1, 2, 6)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "reasoning_tokens": 2}, Usage(9, 0, 0, 0, 3, 2)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "completion_tokens_details": None}, Usage(9, 0, 0, 0, 3)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}, None),
        (
            {
                "prompt_tokens": 90,
                "completion_tokens": 40,
                "prompt_tokens_details": {"audio_tokens": 30, "image_tokens": 20, "cached_tokens": None},
                "completion_tokens_details": {"audio_tokens": 12, "image_tokens": 3, "reasoning_tokens": 5},
            },
            Usage(90, output_tokens=40, reasoning_tokens=5, audio_tokens=42, image_tokens=23),
        ),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"audio_tokens": 10}}, None),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"audio_tokens": -1}}, None),
        ({"prompt_tokens": 9, "num_search_queries": 2}, Usage(9, server_tool_calls=2)),
        ({"prompt_tokens": 9, "num_server_side_tools_used": 0, "num_search_queries": 2}, Usage(9)),
        ({"prompt_tokens": 9, "server_tool_use_details": {"web_search_requests": 1}}, Usage(9, server_tool_calls=1)),
        (
            {"prompt_tokens": 9, "server_tool_use_details": {"web_search_requests": 1, "tool_calls_executed": 3}},
            Usage(9, server_tool_calls=3),
        ),
        ({"prompt_tokens": 9, "server_tool_use_details": {"tool_calls_executed": -3}}, None),
    ],
)
def test_classes(figures, expected):
    body = json.dumps({"choices": [], "usage": figures}).encode()
    for endpoint in (GENERATE, EMBED):
        reader = listen(CODEC.reader(endpoint, False), pieces(body, 7))
        assert (reader.usage, reader.usage_final, reader.complete) == (expected, expected is not None, True)
    assert read(chunk(usage=figures), DONE).usage == expected


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "x", "type": "server_error"}, 500),
        ({"message": "x", "type": "rate_limit_error", "code": None}, 429),
        ({"code": "rate_limit_exceeded", "type": "tokens"}, 429),
        ({"code": "insufficient_quota", "type": "insufficient_quota"}, 429),
        ({"code": "invalid_api_key", "type": "invalid_request_error"}, 401),
        ({"code": "tool_use_failed", "type": "invalid_request_error", "status_code": 400}, 400),
        ({"code": 502, "message": "from OpenRouter"}, 502),
        ({"code": "429"}, 429),
        ({"code": 7, "type": 8}, 500),
        ("text", 500),
        ({}, 500),
    ],
)
def test_errors(error, status):
    body = json.dumps({"error": error}).encode()
    for stream, data in (
        (True, TEXT + b"data: " + body + b"\n\n"),
        (True, b"event: error\ndata: " + body + b"\n\n"),
        (False, body),
    ):
        reader = listen(CODEC.reader(GENERATE, stream), [data])
        assert reader.failure is not None
        assert (reader.failure.status, reader.failure.body) == (status, body)
        assert not reader.complete


def test_the_event_of_a_broken_stream():
    event = CODEC.stream_error(Problem(504, "upstream_timeout", "late"))
    reader = read(TEXT, event)
    assert reader.failure is not None
    assert not reader.complete
    assert event.startswith(b'data: {"error":')
    assert event.endswith(b"\n\n")


ASKED = b'{"include_usage":true}'


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, False),
        ({"stream_options": None}, False),
        ({"stream_options": {}}, False),
        ({"stream_options": {"include_usage": False}}, False),
        ({"stream_options": {"include_usage": True}}, True),
        ({"stream_options": []}, False),
    ],
)
def test_include_usage(options, asked):
    body = json.dumps({"model": "m", "stream": True, **options}).encode()
    peek = CODEC.peek(GENERATE, body)
    assert peek.include_usage is asked
    assert (peek.stream_options is not None) is bool(options)


@pytest.mark.parametrize(
    ("members", "answers"),
    [
        ({}, 1),
        ({"n": None}, 1),
        ({"n": 1}, 1),
        ({"n": 5}, 5),
        ({"n": 5.0, "stream_options": {"include_usage": True}}, 5),
        ({"n": 0}, 1),
        ({"n": -3}, 1),
        ({"n": 2.5}, 1),
        ({"n": True}, 1),
        ({"n": "7"}, 1),
        ({"n": 10**9}, 128),
        ({"metadata": {"n": 5}}, 1),
    ],
)
def test_the_number_of_answers(members, answers):
    assert CODEC.peek(GENERATE, json.dumps({"model": "m", **members}).encode()).answers == answers


def test_a_number_of_answers_that_is_given_twice_is_refused():
    with pytest.raises(InvalidBody) as caught:
        CODEC.peek(GENERATE, b'{"n":1,"n":9}')
    assert caught.value.field == "n"


@pytest.mark.parametrize(
    ("body", "asking"),
    [
        (b'{"model":"m","stream":true}', b'{"stream_options":{"include_usage":true},"model":"m","stream":true}'),
        (
            b'{"stream_options" : { } ,"model":"m","stream":true}',
            b'{"stream_options" : {"include_usage":true } ,"model":"m","stream":true}',
        ),
        (
            b'{"stream":true,"stream_options": null,"x":1.0}',
            b'{"stream":true,"stream_options": {"include_usage":true},"x":1.0}',
        ),
        (
            b'{"stream":true,"stream_options":{ "include_usage" : false , "y":1}}',
            b'{"stream":true,"stream_options":{ "include_usage" : true , "y":1}}',
        ),
        (
            b'{"stream":true,"stream_options":{"include_obfuscation":false}}',
            b'{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}',
        ),
        (b'{"stream":true,"stream_options":{"include_usage":true}}', None),
        (b'{"stream":false}', None),
        (b"{}", None),
    ],
)
def test_asking_for_usage(body, asking):
    asked = with_usage(body, CODEC.peek(GENERATE, body))
    assert asked == (body if asking is None else asking)
    if asking is not None:
        assert CODEC.peek(GENERATE, asked).include_usage


@pytest.mark.parametrize(
    "body", [b'{"stream":true,"model":"m"}', b'{"model":"m","stream_options":{},"stream":true}', b'{"stream":true}']
)
def test_asking_and_renaming_in_one_pass(body):
    peek = CODEC.peek(GENERATE, body)
    both = with_usage(body, peek, "new")
    assert json.loads(both) == {**json.loads(body), "model": "new", "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("value", [b"[]", b'"x"', b'{"include_usage":1,"include_usage":2}'])
def test_stream_options_of_another_kind(value):
    body = b'{"stream":true,"stream_options":' + value + b"}"
    with pytest.raises(InvalidBody) as caught:
        with_usage(body, CODEC.peek(GENERATE, body))
    assert caught.value.field in ("stream_options", "include_usage")


def filtered(parts, limit: int = 1 << 20) -> bytes:
    usage_filter = UsageFilter(limit)
    return b"".join([usage_filter.feed(part) for part in parts]) + usage_filter.close()


KEPT = [
    AZURE,
    TEXT,
    STOP,
    DONE,
    b": comment with usage\n\n",
    b"data: usage\n\n",
    chunk(delta(content='"usage": {"choices": []}')),
    chunk(delta("stop"), usage=FIGURES),
    chunk(usage=None),
    b'data: {"usage":{"prompt_tokens":1}}\n\n',
    b'data: {"choices":null,"usage":{"prompt_tokens":1}}\n\n',
    b'event: usage\ndata: {"choices": [],\ndata: "usage": null}\n\n',
    b'data: {"error":{"message":"usage"}}\n\n',
]
TAKEN = [
    USAGE,
    b'id: 7\ndata:{"usage":{},\ndata: "choices":[ ]}\n\n',
    b'data: {"choices":[],"usage":{"a":1},"x":"\\ud83d"}\n\n',
]


def mark(event: bytes, end: bytes) -> bytes:
    return event.replace(b"\n", end)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_filter_at_every_cut(end):
    stream = b"".join(mark(each, end) for each in (TEXT, USAGE, STOP, USAGE))
    kept = mark(TEXT + STOP, end)
    for cut in range(len(stream)):
        assert filtered([stream[:cut], stream[cut:]]) == kept
    assert filtered(pieces(stream, 1)) == kept


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(KEPT + TAKEN), max_size=6),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.sampled_from([b"", b"data: {", b'data: {"choices":[],"usage":1']),
    places,
)
def test_the_filter_keeps_every_other_byte(events, end, tail, cuts):
    stream = b"".join(mark(event, end) for event in events) + tail
    kept = b"".join(mark(event, end) for event in events if event not in TAKEN) + tail
    assert filtered(at(stream, cuts)) == kept


def test_a_last_event_without_its_blank_line():
    assert filtered([TEXT, USAGE.rstrip()]) == TEXT
    assert filtered([TEXT, DONE.rstrip()]) == TEXT + DONE.rstrip()


def test_events_are_forwarded_as_soon_as_they_are_whole():
    usage_filter = UsageFilter()
    assert usage_filter.feed(TEXT) == TEXT
    assert usage_filter.feed(STOP[:10]) == b""
    assert usage_filter.feed(STOP[10:]) == STOP
    assert usage_filter.feed(USAGE) == b""
    assert usage_filter.removed == 1
    plain = chunk(delta(content="x"))
    assert usage_filter.feed(plain) is plain


def test_an_event_beyond_the_bound_is_forwarded_as_it_comes():
    long = chunk(delta(content="usage" * 200))
    for size in (1, 7, 64, 10_000):
        assert filtered(pieces(TEXT + long + USAGE + DONE, size), limit=400) == TEXT + long + DONE
        assert filtered(pieces(long[:-9], size), limit=400) == long[:-9]
