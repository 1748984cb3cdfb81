"""Ollama: what a body asks for, lines of JSON and answers in one piece, figures, errors."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.codec import Failure, InvalidBody, Problem, Usage
from gateway.protocols.ollama import CODEC, LineSplitter
from tests.protocols.cuts import at, listen, pieces, places, state

BY_ACTION = {endpoint.action: endpoint for endpoint in CODEC.endpoints}
GENERATES, EMBEDS = ("chat", "generate"), ("embed", "embeddings")
HEAD = {"model": "gemma3", "created_at": "2026-11-20T12:00:00.123456789Z"}
FIGURES = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 174560334,
    "load_duration": 101397084,
    "prompt_eval_count": 20,
    "prompt_eval_duration": 13074791,
    "eval_count": 9,
    "eval_duration": 52479709,
}
EXPECTED = Usage(input_tokens=20, output_tokens=9)
PROBLEM = Problem(502, "upstream_error", 'it "broke" off', "model", "req_1")


def message(done: bool = False, **members: object) -> dict[str, object]:
    return HEAD | {"message": {"role": "assistant", "content": "", **members}, "done": done}


CALL = {"function": {"name": "f", "arguments": {"a": 1}}}
CHAT = [message(thinking="Hm"), message(content="Hé😀"), message(tool_calls=[CALL]), message() | FIGURES]
GENERATE = [
    HEAD | {"response": "", "thinking": "Hm", "done": False},
    HEAD | {"response": "Hé😀", "done": False},
    HEAD | {"response": "", "context": [1, 2, 3]} | FIGURES,
]
CHARACTERS = {"chat": 5 + len('{"a":1}'), "generate": 5}


def lines(*objects: object, end: bytes = b"\n") -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + end for each in objects)


def read(*parts: bytes, action: str = "chat", stream: bool = True):
    return listen(CODEC.reader(BY_ACTION[action], stream), list(parts))


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(("action", "said"), [("chat", CHAT), ("generate", GENERATE)])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_a_whole_stream(action, said, end):
    data = lines(*said, end=end)
    expected = (True, None, True, EXPECTED, True, None, CHARACTERS[action])
    assert state(read(data, action=action)) == expected
    assert state(read(*pieces(data, 1), action=action)) == expected
    assert state(read(data.rstrip(), action=action)) == expected


@settings(max_examples=100, deadline=None)
@given(places)
def test_a_stream_reads_the_same_however_it_is_cut(cuts):
    for said in (CHAT, GENERATE, [*CHAT[:2], {"error": "out"}]):
        data = lines(*said)
        assert state(read(*at(data, cuts))) == state(read(data))


def test_it_begins_with_its_first_line_and_ends_with_done():
    reader = CODEC.reader(BY_ACTION["chat"], True)
    seen = []
    for byte in pieces(lines(*CHAT), 1):
        reader.feed(byte)
        seen.append((reader.begun, reader.complete, reader.usage_final))
    first, whole = len(lines(CHAT[0])), len(lines(*CHAT))
    assert [at for at, (low, high) in enumerate(pairwise(seen), 2) if low != high] == [first, whole]
    assert seen[-1] == (True, True, True)


IDLE = {"done": True, "done_reason": "load"}


@pytest.mark.parametrize(
    ("parts", "usage", "final", "complete"),
    [
        ([], None, False, False),
        (CHAT[:3], None, False, False),
        ([CHAT[0] | {"prompt_eval_count": 20}], Usage(20), False, False),
        ([message() | FIGURES | {"eval_count": None}], Usage(20), True, True),
        ([message() | FIGURES | {"prompt_eval_count": None}], None, False, True),
        ([message() | FIGURES | {"prompt_eval_count": -1}], None, False, True),
        ([message() | FIGURES | {"prompt_eval_count": -1}, *CHAT], None, False, True),
        ([message(done=True)], None, False, True),
        ([message() | {"done": 1}], None, False, False),
        ([message() | IDLE], Usage(), True, True),
        ([message() | IDLE | {"done_reason": "unload"}], Usage(), True, True),
        ([message() | IDLE | {"done": False}], None, False, False),
        ([message() | IDLE | {"done_reason": []}], None, False, True),
        ([7, [], None, "done", {}], None, False, False),
        ([{"message": 7, "response": [], "thinking": {}}, {"message": {"tool_calls": [1, {}]}}], None, False, False),
    ],
)
def test_streams_in_all_states(parts, usage, final, complete):
    reader = read(lines(*parts))
    assert (reader.usage, reader.usage_final, reader.complete) == (usage, final, complete)
    assert reader.begun is bool(parts)


@pytest.mark.parametrize(
    ("action", "answer", "usage", "characters"),
    [
        ("chat", message(content="abc", thinking="d") | FIGURES, EXPECTED, 4),
        ("chat", message(tool_calls=[CALL]) | FIGURES, EXPECTED, 7),
        ("chat", message() | IDLE, Usage(), 0),
        ("generate", HEAD | {"response": "abc"} | FIGURES, EXPECTED, 3),
        ("generate", HEAD | {"response": "abc", "done": True}, None, 3),
        ("embed", {"model": "m", "embeddings": [[0.1]], "total_duration": 1, "prompt_eval_count": 4}, Usage(4), 0),
        ("embed", {"model": "m", "embeddings": []}, None, 0),
        ("embeddings", {"embedding": [0.1, -0.2]}, None, 0),
    ],
)
def test_answers_in_one_piece(action, answer, usage, characters):
    body = json.dumps(answer, indent=1).encode()
    for size in (1, 7, 4096):
        reader = read(*pieces(body, size), action=action, stream=False)
        assert (reader.usage, reader.usage_final, reader.complete) == (usage, usage is not None, True)
        assert reader.characters == characters
    cut = read(body[:-2], action=action, stream=False)
    assert (cut.complete, cut.usage, cut.characters > 0) == (False, None, action in GENERATES)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("model requires more system memory (9 GiB) than is available (1 GiB)", 500),
        ("", 500),
        ({"message": "no", "code": "rate_limit_exceeded"}, 429),
        ([], 500),
    ],
)
def test_errors(error, status):
    body = json.dumps({"error": error}).encode()
    expected = Failure(status, body)
    first = read(body + b"\r\n")
    assert (first.failure, first.failed_first, first.complete) == (expected, True, False)
    later = read(lines(*CHAT[:2]), body)
    assert (later.failure, later.failed_first, later.complete) == (expected, False, False)
    whole = read(body, stream=False)
    assert (whole.failure, whole.complete) == (expected, False)


def test_what_we_say():
    assert CODEC.error(PROBLEM) == b'{"error":"it \\"broke\\" off"}'
    broken = lines(*CHAT[:2]) + CODEC.stream_error(PROBLEM)
    assert [json.loads(line) for line in broken.splitlines()][-1] == {"error": PROBLEM.message}
    reader = read(broken)
    assert (reader.failure, reader.complete) == (Failure(500, CODEC.error(PROBLEM)), False)


def test_a_stream_that_broke_inside_a_line_never_looks_whole():
    data = lines(*CHAT)
    for cut in range(1, len(data) - 1):
        broken = data[:cut] + CODEC.stream_error(PROBLEM)
        assert not read(broken).complete
        last = broken.split(b"\n")[-2]
        if data[:cut].endswith(b"\n"):
            assert json.loads(last) == {"error": PROBLEM.message}
        else:
            with pytest.raises(ValueError):
                json.loads(last)


# ---------------------------------------------------------------- lines


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=12)), places)
def test_lines_are_found_however_they_are_cut(parts, cuts):
    data = b"\n".join(parts)
    splitter = LineSplitter()
    found = [line for part in at(data, cuts) for line in splitter.feed(part)] + splitter.close()
    assert found == [line for line in data.split(b"\n") if line and not line.isspace()]
    assert not splitter.lost


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_line_that_is_too_long_is_passed_over(size):
    splitter = LineSplitter(limit=10)
    data = b"short\n" + b"x" * 50 + b"\nafter\n" + b"y" * 11
    found = [line for part in pieces(data, size) for line in splitter.feed(part)] + splitter.close()
    assert [line for line in found if len(line) <= 10] == [b"short", b"after"]
    assert splitter.lost
    assert size > 10 or len(found) == 2


def test_what_waits_is_bounded():
    splitter = LineSplitter(limit=100)
    for _ in range(1000):
        splitter.feed(b"x" * 99)
        assert len(splitter._pending) <= 100


# ---------------------------------------------------------------- requests


def peek(action: str, body: object):
    return CODEC.peek(BY_ACTION[action], body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("stream", "expected"), [({}, True), ({"stream": None}, True), ({"stream": True}, True), ({"stream": False}, False)]
)
def test_a_stream_is_the_default_of_what_generates(stream, expected):
    for action in BY_ACTION:
        found = peek(action, {"model": "gemma3:12b", **stream})
        assert (found.model, found.stream) == ("gemma3:12b", expected and action in GENERATES)


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"options": {"num_predict": 7, "temperature": 0.1}}, 7),
        ({"options": {"num_predict": 7.0}}, 7),
        ({"options": {"num_predict": -1}}, None),
        ({"options": {"num_predict": "7"}}, None),
        ({"options": {}}, None),
        ({"options": None}, None),
        ({"options": [7]}, None),
        ({"num_predict": 7, "max_tokens": 8}, None),
    ],
)
def test_the_limit_of_the_output(body, limit):
    assert peek("chat", body).max_tokens == limit


def test_the_session_in_the_body():
    assert peek("chat", {"session_id": "s", "prompt_cache_key": "p"}).session == "p"
    assert peek("generate", {"prompt": "session_id"}).session is None


@pytest.mark.parametrize("action", BY_ACTION)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"model":"a","Model":"b"}', "Model"),
        (b'{"model":"a","\\u017ftream":false}', "\u017ftream"),
        (b'{"stream":true,"stream":false}', "stream"),
        (b'{"options":{"num_predict":1},"options":{}}', "options"),
        (b'{"options":{"num_predict":1,"num_predict":9}}', "num_predict"),
        (b'{"options":{"num_predict":1e999}}', "num_predict"),
        (b'{"model":7}', "model"),
        (b'{"model":""}', "model"),
        (b'{"model":"a","stream":"false"}', "stream"),
        (b"[]", None),
        (b"", None),
    ],
)
def test_what_cannot_be_used_names_the_field(action, body, field):
    with pytest.raises(InvalidBody) as caught:
        peek(action, body)
    assert caught.value.field == field
    assert caught.value.message


@pytest.mark.parametrize(
    ("body", "renamed"),
    [
        (b'{ "model" : "a:b" , "messages":[{"model":"a:b"}]}', b'{ "model" : "new" , "messages":[{"model":"a:b"}]}'),
        (b'{"options":{"model":"a"},"mod\\u0065l":"a"}', b'{"options":{"model":"a"},"mod\\u0065l":"new"}'),
        (b'{"input":["x"]}', b'{"model":"new","input":["x"]}'),
        (b"{}", b'{"model":"new"}'),
        (b'{"model":"new","prompt":"\\ud83d"}', b'{"model":"new","prompt":"\\ud83d"}'),
    ],
)  # fmt: skip
def test_only_the_models_name_is_replaced(body, renamed):
    for endpoint in CODEC.endpoints:
        assert CODEC.rename(endpoint, body, CODEC.peek(endpoint, body), "new") == renamed
