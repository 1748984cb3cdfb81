"""Responses: events, figures, failures, the id that later requests name."""

import json

import pytest
from hypothesis import given, settings

from gateway.protocols.codec import Failure, InvalidBody, Problem, Usage
from gateway.protocols.openai_responses import CODEC
from tests.protocols.cuts import at, listen, pieces, places, state

(GENERATE,) = CODEC.endpoints


def event(kind: str, **members: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **members}).encode())


def read(*parts: bytes):
    return listen(CODEC.reader(GENERATE, True), list(parts))


FIGURES = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 29,
}
EXPECTED = Usage(16, 4, 0, 0, 9, 3)
CREATED = event("response.created", response={"id": "resp_1", "status": "in_progress", "usage": None, "error": None})
TEXT = (
    event("response.output_text.delta", delta="Hé😀")
    + event("response.reasoning_summary_text.delta", delta="hm")
    + event("response.function_call_arguments.delta", delta="{}")
    + event("response.audio.delta", delta="AAAAAAAA")
    + event("response.output_text.done", text="Hé😀")
)


def ended(kind: str, **members: object) -> bytes:
    return event(f"response.{kind}", response={"id": "resp_1", "status": kind, "error": None, **members})


@pytest.mark.parametrize("kind", ["completed", "incomplete"])
def test_a_whole_stream(kind):
    reader = read(CREATED, TEXT, ended(kind, usage=FIGURES))
    assert state(reader) == (True, None, True, EXPECTED, True, "resp_1", 7)


@settings(max_examples=100, deadline=None)
@given(places)
def test_a_stream_reads_the_same_however_it_is_cut(cuts):
    stream = CREATED + TEXT + ended("completed", usage=FIGURES)
    assert state(read(*at(stream, cuts))) == state(read(stream)) == state(read(*pieces(stream, 1)))


def test_a_stream_that_is_cut():
    reader = read(CREATED, TEXT)
    assert state(reader) == (True, None, False, None, False, "resp_1", 7)


def test_the_kind_counts_and_not_the_name_of_the_event():
    stream = ended("completed", usage=FIGURES).split(b"\n", 1)[1]
    assert read(stream).complete


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": "server_error", "message": "m"}, 500),
        ({"code": "rate_limit_exceeded", "message": "m"}, 429),
        ({"code": "insufficient_quota", "message": "m"}, 429),
        ({"code": "server_is_overloaded", "message": "m"}, 503),
        ({"code": "context_length_exceeded", "message": "m"}, 400),
        (None, 500),
    ],
)
def test_failures(error, status):
    reader = read(CREATED, ended("failed", error=error, usage=FIGURES))
    assert reader.failure is not None
    assert reader.failure.status == status
    assert json.loads(reader.failure.body) == {"error": error}
    assert (reader.complete, reader.usage, reader.usage_final) == (False, EXPECTED, True)
    body = json.dumps(
        {"id": "resp_1", "object": "response", "status": "failed", "error": error, "usage": None}
    ).encode()
    whole = listen(CODEC.reader(GENERATE, False), [body])
    assert whole.failure is not None
    assert (whole.failure.status, whole.complete, whole.response_id) == (status, False, "resp_1")


def test_error_events_flat_and_nested():
    flat = {"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": None, "sequence_number": 2}
    reader = read(event("error", **{name: value for name, value in flat.items() if name != "type"}))
    assert reader.failure is not None
    assert reader.failure.status == 429
    assert json.loads(reader.failure.body) == {"error": flat}
    nested = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "m"}}).encode()
    assert read(b"data: " + nested + b"\n\n").failure == Failure(400, nested)


def test_an_error_answer_in_one_piece():
    body = b'{"error":{"message":"m","type":"invalid_request_error","code":"model_not_found"}}'
    reader = listen(CODEC.reader(GENERATE, False), [body])
    assert reader.failure is not None
    assert (reader.failure.status, reader.complete) == (404, False)
    assert json.loads(reader.failure.body) == json.loads(body)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (FIGURES, EXPECTED),
        ({"input_tokens": 5, "output_tokens": 1}, Usage(5, 0, 0, 0, 1)),
        ({"input_tokens": 88, "input_tokens_details": {"cache_write_tokens": 86}}, Usage(2, 0, 86)),
        ({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}, None),
        (
            {
                "input_tokens": 9,
                "output_tokens": 8,
                "input_tokens_details": {"image_tokens": 4},
                "output_tokens_details": {"audio_tokens": 2, "image_tokens": 3},
            },
            Usage(9, output_tokens=8, audio_tokens=2, image_tokens=7),
        ),
        ({"input_tokens": 9, "num_server_side_tools_used": 6}, Usage(9, server_tool_calls=6)),
        (None, None),
    ],
)
def test_classes_of_an_answer_in_one_piece(figures, expected):
    body = json.dumps({"id": "resp_2", "status": "completed", "usage": figures, "error": None}).encode()
    reader = listen(CODEC.reader(GENERATE, False), pieces(body, 5))
    assert (reader.usage, reader.usage_final) == (expected, expected is not None)
    assert (reader.complete, reader.response_id) == (True, "resp_2")


CALLS = [
    *(
        {"type": f"{name}_call"}
        for name in ("web_search", "file_search", "code_interpreter", "image_generation", "mcp")
    ),
    *({"type": name} for name in ("message", "reasoning", "function_call", "custom_tool_call", "mcp_list_tools", 7)),
]


def test_calls_of_the_providers_own_tools_are_counted():
    figures = {"input_tokens": 5, "output_tokens": 1}
    whole = json.dumps({"id": "resp_2", "status": "completed", "usage": figures, "output": CALLS}).encode()
    expected = Usage(5, output_tokens=1, server_tool_calls=5)
    assert listen(CODEC.reader(GENERATE, False), pieces(whole, 5)).usage == expected
    added = [event("response.output_item.added", item=each) for each in CALLS]
    done = [event("response.output_item.done", item=each) for each in [*CALLS, None, 7, []]]
    stream = b"".join([CREATED, *added, *done, event("response.output_item.done"), ended("completed", usage=figures)])
    assert read(*pieces(stream, 11)).usage == expected
    # xAI says the number itself, and shows some of the calls.
    said = ended("completed", usage={**figures, "num_server_side_tools_used": 9})
    assert read(*done, said).usage == Usage(5, output_tokens=1, server_tool_calls=9)


def test_characters_of_an_answer_without_figures():
    output = [
        {"type": "reasoning", "summary": [{"text": "ab"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "cde"}, {"type": "refusal", "refusal": "f"}]},
        {"type": "function_call", "arguments": "{}"},
        {"type": "custom_tool_call", "input": "xyz"},
    ]
    body = json.dumps({"id": "resp_2", "status": "completed", "output": output}).encode()
    assert listen(CODEC.reader(GENERATE, False), [body]).characters == 11


def test_the_event_of_a_broken_stream():
    problem = Problem(502, "upstream_error", "broke off", None, "req_019a9a3c-7c00-7def-8123-456789abcdef")
    event = CODEC.stream_error(problem)
    name, data = event.removesuffix(b"\n\n").split(b"\n")
    said = json.loads(data.removeprefix(b"data: "))
    assert name == b"event: response.failed"
    assert said["type"] == "response.failed"
    assert said["response"]["status"] == "failed"
    assert said["response"]["error"] == {"code": "upstream_error", "message": "broke off"}
    assert said["response"]["created_at"] == 0x019A9A3C7C00 // 1000
    reader = read(CREATED, event)
    assert reader.failure is not None
    assert not reader.complete
    assert (
        json.loads(CODEC.stream_error(Problem(500, "internal", "x")).split(b"data: ")[1])["response"]["created_at"] == 0
    )


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"background": False},
        {"background": None},
        {"background": "true"},
        {"background": 1},
        {"metadata": {"background": True}},
        {"input": [{"background": True}]},
    ],
)
def test_what_is_no_background_response_passes(members):
    assert CODEC.peek(GENERATE, json.dumps({"model": "m", "input": "x", **members}).encode()).model == "m"


@pytest.mark.parametrize(
    "members",
    [
        b'"background":true',
        b'"background" : true ,"stream":true',
        b'"b\\u0061ckground":true',
        b'"background":false,"background":true',
        b'"background":true,"background":false',
        b'"background":true,"store":true,"previous_response_id":"resp_1"',
    ],
)
def test_a_background_response_is_refused(members):
    with pytest.raises(InvalidBody) as caught:
        CODEC.peek(GENERATE, b'{"model":"m",' + members + b"}")
    assert caught.value.field == "background"


SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA-1=="}


def test_a_response_that_is_not_kept_has_no_id():
    assert read(event("response.created", response={"id": "resp_1", "store": False})).response_id is None
    assert read(event("response.created", response={"id": "resp_1", "store": True})).response_id == "resp_1"
    whole = json.dumps({"id": "resp_1", "status": "completed", "store": False}).encode()
    for parts in ([whole], pieces(whole, 1)):
        assert listen(CODEC.reader(GENERATE, False), parts).response_id is None


def test_the_id_of_an_answer_in_one_piece_is_known_at_its_beginning():
    reader = CODEC.reader(GENERATE, False)
    reader.feed(b'{\n  "id": "resp_0abc",\n  "object": "resp')
    assert reader.response_id == "resp_0abc"
    for start in (b'{"id": "resp_0ab', b'{"object": "response", "id": "resp_1"', b'{"id": "chatcmpl-1", '):
        reader = CODEC.reader(GENERATE, False)
        reader.feed(start)
        assert reader.response_id is None


@settings(max_examples=50, deadline=None)
@given(places)
def test_reasoning_is_collected_however_the_answer_is_cut(cuts):
    item = event("response.output_item.added", item={**SEALED, "encrypted_content": ""})
    item += event("response.output_item.done", item=SEALED)
    last = {**SEALED, "encrypted_content": "gAAAA-2=="}
    stream = CREATED + TEXT + item + ended("completed", usage=FIGURES, output=[SEALED, last])
    found = list(read(stream).reasoning)
    assert len(found) == 2
    assert list(read(*at(stream, cuts)).reasoning) == found
    whole = json.dumps({"id": "resp_1", "output": [SEALED, last]}, indent=1).encode()
    for parts in ([whole], pieces(whole, 1)):
        assert list(listen(CODEC.reader(GENERATE, False), parts).reasoning) == found
    body = json.dumps({"model": "m", "input": [last, {"role": "user", "content": "hi"}]}).encode()
    assert CODEC.peek(GENERATE, body).reasoning == found[1]
    assert CODEC.peek(GENERATE, b'{"model":"m","input":"hi"}').reasoning is None
