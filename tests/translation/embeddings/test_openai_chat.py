"""OpenAI's requests and answers, one by one; the SDK reads what is written in test_directions.py."""

import json
from base64 import b64encode
from struct import pack

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.embeddings import Texts, Unreadable, Vectors
from gateway.translation.embeddings.openai_chat import EMBEDDING
from gateway.translation.prompt import Untranslatable
from tests.protocols.cuts import needs_fixtures
from tests.protocols.test_recorded import rows
from tests.translation.embeddings.relay import endpoint

EMBED = endpoint("openai_chat")


def parse(**members) -> Texts:
    return EMBEDDING.parse(json.dumps({"model": "m"} | members).encode(), EMBED)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"input": "hi"}, Texts("m", ("hi",))),
        ({"input": ""}, Texts("m", ("",))),
        ({"input": ["a", "", "b"]}, Texts("m", ("a", "", "b"))),
        (
            {"input": ["a"], "dimensions": 0, "user": "", "encoding_format": "float"},
            Texts("m", ("a",), dimensions=0, user=""),
        ),
        ({"input": "a", "dimensions": 8.0, "encoding_format": "base64"}, Texts("m", ("a",), dimensions=8, base64=True)),
        ({"input": "a", "dimensions": None, "user": None, "encoding_format": None}, Texts("m", ("a",))),
        ({"input": "a", "truncation": True}, Texts("m", ("a",))),
    ],
)
def test_requests(members, expected):
    assert parse(**members) == expected


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {}}, "input"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": "a", "model": ""}, "model"),
        ({"input": "a", "dimensions": -1}, "dimensions"),
        ({"input": "a", "dimensions": "8"}, "dimensions"),
        ({"input": "a", "user": 7}, "user"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_what_is_wrong_is_named(members, field):
    with pytest.raises(InvalidBody) as caught:
        parse(**members)
    assert caught.value.field == field
    assert caught.value.message.startswith(field)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 10_000])
def test_bodies_that_are_none(body):
    with pytest.raises(InvalidBody) as caught:
        EMBEDDING.parse(body, EMBED)
    assert caught.value.field is None


@pytest.mark.parametrize("tokens", [[1, 2], [[1], [2, 3]], [[]]])
def test_tokens_cannot_cross(tokens):
    with pytest.raises(Untranslatable) as caught:
        parse(input=tokens)
    assert caught.value.field == "input"
    assert "tokens" in caught.value.message


def test_built():
    built = EMBEDDING.build(Texts("m", ("a", "b"), 8, "RETRIEVAL_QUERY", "T", "u", base64=True))
    assert built.operation == "embed"
    assert json.loads(built.body) == {"model": "m", "input": ["a", "b"], "dimensions": 8, "user": "u"}
    assert built.adjusted == ("taskType", "title")
    assert json.loads(EMBEDDING.build(Texts("m", ("a",))).body) == {"model": "m", "input": ["a"]}


def test_half_an_emoji_is_sent_on_as_it_came():
    texts = EMBEDDING.parse(b'{"model":"m","input":"\\ud83d"}', EMBED)
    assert json.loads(EMBEDDING.build(texts).body)["input"] == ["\ud83d"]


def item(embedding, **more):
    return {"object": "embedding", "embedding": embedding} | more


FLOATS = b64encode(pack("<2f", 0.5, -2)).decode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"data": [item([1, 2.5], index=0)], "usage": {"prompt_tokens": 3}}, Vectors(([1.0, 2.5],), 3)),
        ({"data": [item([2], index=1), item([1], index=0)]}, Vectors(([1.0], [2.0]))),
        ({"data": [item([1]), item([2])], "usage": {"total_tokens": 0}}, Vectors(([1.0], [2.0]), 0)),
        ({"data": [item(FLOATS, index=0)], "usage": {"prompt_tokens": -1}}, Vectors(([0.5, -2.0],))),
        ({"data": [], "usage": None}, Vectors(())),
    ],
)
def test_answers(answer, expected):
    assert EMBEDDING.read(json.dumps(answer).encode()) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"error":{"message":"no"}}',
        b'{"data":[{}]}',
        b'{"data":[{"embedding":null}]}',
        b'{"data":[{"embedding":["1"]}]}',
        b'{"data":[{"embedding":"AAA"}]}',
        b'{"data":[{"embedding":"AAAA"}]}',
        b'{"data":[{"embedding":"*"}]}',
        b'{"data":[{"embedding":"\xc3\xa9"}]}',
        b'{"data":[{"embedding":[NaN]}]}',
        b'{"data":[{"embedding":[1e999]}]}',
        b'{"data":[{"embedding":[1e39]}]}',
        json.dumps({"data": [item(b64encode(pack("<f", float("nan"))).decode())]}).encode(),
        json.dumps({"data": [item(b64encode(pack("<2f", float("inf"), float("-inf"))).decode())]}).encode(),
        json.dumps({"data": [item([1], index=0), item([2], index=0)]}).encode(),
        json.dumps({"data": [item([1], index=1)]}).encode(),
        json.dumps({"data": [item([1], index=0), item([2])]}).encode(),
    ],
)
def test_what_is_no_answer(answer):
    with pytest.raises(Unreadable):
        EMBEDDING.read(answer)


def test_written():
    answer = EMBEDDING.write(Texts("m", ("a", "b")), Vectors(([0.5], [-2.0]), 3))
    assert json.loads(answer) == {
        "object": "list",
        "data": [item([0.5], index=0), item([-2.0], index=1)],
        "model": "m",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    coded = EMBEDDING.write(Texts("m", ("a",), base64=True), Vectors(([0.5, -2.0],), 0))
    assert json.loads(coded)["data"] == [item(FLOATS, index=0)]
    assert json.loads(coded)["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


@needs_fixtures
def test_recorded():
    found = []
    for row in rows("openai.embeddings"):
        assert EMBEDDING.parse(json.dumps(row["request"]).encode(), EMBED).inputs == ("Hello, world!",)
        if row["status"] == 200:
            found.append(EMBEDDING.read(row["response"].encode()))
        else:
            with pytest.raises(Unreadable):
                EMBEDDING.read(row["response"].encode())
    assert [(len(each.vectors[0]), each.input_tokens) for each in found] == [(1024, 3)]
    assert sum(value**2 for value in found[0].vectors[0]) == pytest.approx(1, abs=1e-3)
