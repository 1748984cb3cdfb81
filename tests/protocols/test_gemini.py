"""Gemini: copies of the model in the body, streams in both forms, figures, errors."""

import json

import pytest
from hypothesis import given, settings
from msgspec import structs

from gateway.protocols.codec import Failure, InvalidBody, Problem, Usage
from gateway.protocols.gemini import CODEC, array_error
from tests.protocols.cuts import at, listen, pieces, places, state

BY_ACTION = {endpoint.action: endpoint for endpoint in CODEC.endpoints}
GENERATE, STREAM = BY_ACTION["generateContent"], BY_ACTION["streamGenerateContent"]


def sse(*objects: object) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in objects)


def array(*objects: object) -> bytes:
    return b"[" + b"\n,\r\n".join(json.dumps(each, indent=2).encode() for each in objects) + b"\n]\n"


def text(said: str, finish: str | None = None) -> dict[str, object]:
    candidate = {"content": {"parts": [{"text": said}], "role": "model"}, "index": 0}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})]}


FIGURES = {
    "promptTokenCount": 20,
    "cachedContentTokenCount": 4,
    "toolUsePromptTokenCount": 3,
    "candidatesTokenCount": 9,
    "thoughtsTokenCount": 5,
    "totalTokenCount": 37,
}
EXPECTED = Usage(19, 4, 0, 0, 14, 5)
CALL = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}}]}
PARTS = [
    text("Hé😀") | {"usageMetadata": {"promptTokenCount": 20}},
    CALL,
    text("!", "STOP") | {"usageMetadata": FIGURES},
]


def read(stream: bool, *parts: bytes):
    return listen(CODEC.reader(STREAM, stream), list(parts))


@pytest.mark.parametrize("stream", [True, False])
def test_a_whole_stream_in_both_forms(stream):
    data = (sse if stream else array)(*PARTS)
    expected = (True, None, True, EXPECTED, True, None, 4 + len('{"a":1}'))
    assert state(read(stream, data)) == expected
    assert state(read(stream, *pieces(data, 1))) == expected


@settings(max_examples=100, deadline=None)
@given(places)
def test_a_stream_reads_the_same_however_it_is_cut(cuts):
    for stream, data in ((True, sse(*PARTS)), (False, array(*PARTS))):
        assert state(read(stream, *at(data, cuts))) == state(read(stream, data))


TRAFFIC = {"usageMetadata": {"trafficType": "ON_DEMAND"}}


@pytest.mark.parametrize(
    ("parts", "usage", "final", "complete"),
    [
        (PARTS[:1], Usage(20), False, False),
        (PARTS[:2], Usage(20), False, False),
        ([*PARTS, {"usageMetadata": {"promptTokenCount": 21}}], Usage(21), True, True),
        ([*PARTS, TRAFFIC], EXPECTED, True, True),
        ([text("x") | TRAFFIC, text("", "STOP")], None, False, True),
        (
            [{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}}],
            Usage(7),
            True,
            True,
        ),
        ([{"promptFeedback": {}}], None, False, False),
        ([{"candidates": [7, {"content": None}, {"content": {"parts": [None]}}]}], None, False, False),
        ([{"candidates": None, "usageMetadata": None}], None, False, False),
    ],
)
def test_streams_in_all_states(parts, usage, final, complete):
    for stream, form in ((True, sse), (False, array)):
        reader = read(stream, form(*parts))
        assert (reader.usage, reader.usage_final, reader.complete) == (usage, final, complete)


def test_an_array_without_its_bracket_is_not_complete():
    reader = read(False, array(*PARTS).rstrip(b"]\n"))
    assert (reader.complete, reader.usage, reader.usage_final) == (False, EXPECTED, True)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (FIGURES, EXPECTED),
        ({"promptTokenCount": 7}, Usage(7)),
        ({"promptTokenCount": 7, "candidatesTokenCount": None}, Usage(7)),
        ({"promptTokenCount": 3, "cachedContentTokenCount": 4}, None),
        ({"promptTokenCount": 3, "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 5}, None),
        ({"trafficType": "ON_DEMAND"}, None),
        ({}, None),
        (
            {
                "promptTokenCount": 60,
                "cachedContentTokenCount": 20,
                "toolUsePromptTokenCount": 6,
                "candidatesTokenCount": 9,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 10},
                    {"modality": "AUDIO", "tokenCount": 30},
                    {"modality": "IMAGE", "tokenCount": 15},
                    {"modality": "VIDEO", "tokenCount": 5},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}],
                "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 6}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 8}, {"modality": "AUDIO"}, 7],
            },
            Usage(46, 20, output_tokens=9, audio_tokens=30, image_tokens=29),
        ),
        (
            {"promptTokenCount": 7, "promptTokenDetails": [{"modality": "IMAGE", "tokenCount": 3}]},
            Usage(7, image_tokens=3),
        ),
        ({"promptTokenCount": 7, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 8}]}, None),
        ({"promptTokenCount": 7, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": -8}]}, None),
    ],
)
def test_classes_of_an_answer_in_one_piece(figures, expected):
    body = json.dumps(text("abc", "STOP") | {"usageMetadata": figures}).encode()
    for action in ("generateContent", "embedContent", "batchEmbedContents"):
        reader = listen(CODEC.reader(BY_ACTION[action], False), pieces(body, 9))
        assert (reader.usage, reader.usage_final, reader.complete) == (expected, expected is not None, True)
        assert reader.characters == 3


@pytest.mark.parametrize("stream", [True, False])
def test_queries_of_its_search_are_counted(stream):
    """Each chunk says all that were made until then, and the figures of the last chunk count."""
    first = {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a"]}}]}
    last = {"candidates": [{"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a", "b"]}}]}
    parts = [PARTS[0], first, last | {"usageMetadata": FIGURES}]
    reader = read(stream, sse(*parts) if stream else array(*parts))
    assert reader.usage == structs.replace(EXPECTED, server_tool_calls=2)


def test_counting_tokens_costs_none():
    reader = listen(CODEC.reader(BY_ACTION["countTokens"], False), [b'{"totalTokens":5}'])
    assert (reader.usage, reader.usage_final, reader.complete) == (Usage(), True, True)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}, 429),
        ({"code": 503, "status": "UNAVAILABLE"}, 503),
        ({"status": "UNAUTHENTICATED"}, 401),
        ({"code": 7, "status": "DEADLINE_EXCEEDED"}, 504),
        ({"code": True}, 500),
        ("text", 500),
    ],
)
def test_errors(error, status):
    body = json.dumps({"error": error}).encode()
    expected = Failure(status, body)
    assert read(True, b"data: " + body + b"\n\n").failure == expected
    assert read(True, sse(*PARTS[:1]) + b"data: " + body).failure == expected
    assert read(False, b"[" + body + b"]").failure == expected
    assert read(False, body).failure == expected
    whole = listen(CODEC.reader(GENERATE, False), [body])
    assert (whole.failure, whole.complete) == (expected, False)


def peek(action: str, body: bytes):
    return CODEC.peek(BY_ACTION[action], body)


def test_the_action_says_whether_it_is_a_stream():
    body = b'{"contents":[],"stream":true}'
    assert [action for action in BY_ACTION if peek(action, body).stream] == ["streamGenerateContent"]


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (b'{"generationConfig":{"maxOutputTokens":7}}', 7),
        (b'{"generation_config":{"max_output_tokens":8}}', 8),
        (b'{"generationConfig":{}}', None),
        (b'{"generationConfig":null}', None),
        (b'{"maxOutputTokens":7}', None),
    ],
)
def test_the_limit_of_the_output(body, limit):
    assert peek("generateContent", body).max_tokens == limit


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        (b"{}", 1),
        (b'{"generationConfig":{"candidateCount":3}}', 3),
        (b'{"generation_config":{"candidate_count":4}}', 4),
        (b'{"generationConfig":{"candidate_count":5,"candidateCount":2}}', 5),
        (b'{"generationConfig":{"candidateCount":2},"generation_config":{"candidateCount":6}}', 6),
        (b'{"generationConfig":{"candidateCount":null}}', 1),
        (b'{"generationConfig":{"candidateCount":0}}', 1),
        (b'{"generationConfig":{"candidateCount":1000000}}', 128),
        (b'{"candidateCount":3}', 1),
    ],
)
def test_the_number_of_answers(body, answers):
    assert peek("generateContent", body).answers == answers


@pytest.mark.parametrize(
    ("action", "body", "renamed"),
    [
        ("generateContent", b'{"contents":[{"model":"a"}]}', None),
        ("generateContent", b'{ "model" : "models/a" , "x":1.0}', b'{ "model" : "models/new" , "x":1.0}'),
        ("generateContent", b'{"model":"a"}', b'{"model":"new"}'),
        ("generateContent", b'{"model":"publishers/google/models/a"}', b'{"model":"publishers/google/models/new"}'),
        (
            "countTokens",
            b'{"generateContentRequest": {"model": "models/a", "contents":[]}}',
            b'{"generateContentRequest": {"model": "models/new", "contents":[]}}',
        ),
        (
            "countTokens",
            b'{"generate_content_request":{"model":"a"},"model":"models/a"}',
            b'{"generate_content_request":{"model":"new"},"model":"models/new"}',
        ),
        (
            "batchEmbedContents",
            b'{"requests": [ {"model":"models/a","x":"]"}, {"content":{}} ,{"y":[1],"model" : "b"},7]}',
            b'{"requests": [ {"model":"models/new","x":"]"}, {"content":{}} ,{"y":[1],"model" : "new"},7]}',
        ),
        ("batchEmbedContents", b'{"requests":{"model":"a"}}', None),
        ("embedContent", b'{"model":"models/new","content":{}}', None),
        ("embedContent", b"{}", None),
    ],
)
def test_every_copy_of_the_model_is_renamed(action, body, renamed):
    endpoint = BY_ACTION[action]
    assert CODEC.rename(endpoint, body, CODEC.peek(endpoint, body), "new") == (body if renamed is None else renamed)


def test_the_model_of_the_body_is_shown_bare():
    assert peek("generateContent", b'{"model":"models/a"}').model == "a"
    assert peek("generateContent", b'{"model":"tunedModels/a"}').model == "tunedModels/a"
    assert peek("generateContent", b"{}").model is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"generateContentRequest":{"model":"a","mod\\u0065l":"b"}}', "model"),
        (b'{"generateContentRequest":{"model":"a"},"generateContentRequest":{"model":"b"}}', "generateContentRequest"),
        (b'{"requests":[{"model":"a"},{"model":"a","model":"b"}]}', "model"),
        (b'{"requests":[],"requests":[]}', "requests"),
        (b'{"requests":[{"model":7}]}', "model"),
        (b'{"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}}', "maxOutputTokens"),
        (b'{"generationConfig":{"candidateCount":1,"candidateCount":9}}', "candidateCount"),
        (b'{"requests":[' + b"{}," * 10_000 + b"{}]}", "requests"),
        (b"[]", None),
        (b"", None),
    ],
)
def test_what_cannot_be_used_names_the_field(body, field):
    with pytest.raises(InvalidBody) as caught:
        peek("batchEmbedContents", body)
    assert caught.value.field == field


def test_the_end_of_a_broken_event_stream():
    problem = Problem(502, "upstream_error", "broke off")
    assert read(True, sse(*PARTS[:1]) + CODEC.stream_error(problem)).failure is not None


def test_the_end_of_a_broken_array_wherever_it_broke():
    problem = Problem(502, "upstream_error", "broke off")
    whole = array(*PARTS)
    seen: set[bool] = set()
    for cut in range(1, len(whole)):
        sent = CODEC.reader(STREAM, False)
        sent.feed(whole[:cut])
        said = array_error(problem, sent)
        seen.add(said is None)
        if said is None:
            continue
        broken = whole[:cut] + said
        assert json.loads(broken)[-1]["error"]["code"] == 502
        reader = read(False, broken)
        assert reader.failure is not None
    assert seen == {True, False}
    assert array_error(problem, read(True, sse(*PARTS))) is None
