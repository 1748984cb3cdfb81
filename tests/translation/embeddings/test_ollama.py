"""Ollama's requests and answers, one by one; its own client reads what is written in test_directions.py."""

import json

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.embeddings import Texts, Unreadable, Vectors
from gateway.translation.embeddings.ollama import EMBEDDING
from gateway.translation.prompt import Untranslatable
from tests.translation.embeddings.relay import endpoint


def parse(action: str, **members) -> Texts:
    return EMBEDDING.parse(json.dumps({"model": "m"} | members).encode(), endpoint("ollama", action))


@pytest.mark.parametrize(
    ("action", "members", "expected"),
    [
        ("embed", {"input": "hi"}, Texts("m", ("hi",))),
        ("embed", {"input": ["a", "b"], "dimensions": 8}, Texts("m", ("a", "b"), 8)),
        (
            "embed",
            {"input": "a", "truncate": False, "options": {}, "keep_alive": 0},
            Texts("m", ("a",), dropped=("keep_alive", "options", "truncate")),
        ),
        ("embed", {"input": "a", "truncate": None}, Texts("m", ("a",))),
        ("embeddings", {"prompt": "a", "dimensions": 8}, Texts("m", ("a",), alone=True)),
        ("embeddings", {"prompt": "", "keep_alive": "5m"}, Texts("m", ("",), alone=True, dropped=("keep_alive",))),
    ],
)
def test_requests(action, members, expected):
    assert parse(action, **members) == expected


@pytest.mark.parametrize(
    ("action", "members", "field"),
    [
        ("embed", {}, "input"),
        ("embed", {"input": []}, "input"),
        ("embed", {"input": ["a", None]}, "input[1]"),
        ("embed", {"prompt": "a"}, "input"),
        ("embed", {"input": "a", "dimensions": "8"}, "dimensions"),
        ("embed", {"input": "a", "model": None}, "model"),
        ("embeddings", {}, "prompt"),
        ("embeddings", {"prompt": ["a"]}, "prompt"),
        ("embeddings", {"input": "a"}, "prompt"),
    ],
)
def test_what_is_wrong_is_named(action, members, field):
    with pytest.raises(InvalidBody) as caught:
        parse(action, **members)
    assert caught.value.field == field


def test_tokens_cannot_cross():
    with pytest.raises(Untranslatable) as caught:
        parse("embed", input=[1, 2])
    assert caught.value.field == "input"


def test_built():
    built = EMBEDDING.build(Texts("m", ("a",), 0, "X", "T", "u", alone=True))
    assert json.loads(built.body) == {"model": "m", "input": ["a"], "dimensions": 0}
    assert (built.operation, built.adjusted) == ("embed", ("taskType", "title", "user"))
    assert json.loads(EMBEDDING.build(Texts("m", ("a", "b"))).body) == {"model": "m", "input": ["a", "b"]}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"model": "m", "embeddings": [[1, 0.5]], "prompt_eval_count": 3}, Vectors(([1.0, 0.5],), 3)),
        ({"embeddings": []}, Vectors(())),
        ({"embedding": [1]}, Vectors(([1.0],))),
        ({"embedding": [], "prompt_eval_count": True}, Vectors(([],))),
    ],
)
def test_answers(answer, expected):
    assert EMBEDDING.read(json.dumps(answer).encode()) == expected


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"error":"no"}', b'{"embeddings":[1]}', b'{"embedding":[NaN]}']
)
def test_what_is_no_answer(answer):
    with pytest.raises(Unreadable):
        EMBEDDING.read(answer)


def test_written():
    texts, found = Texts("m", ("a", "b" * 41)), Vectors(([0.5], [-2.0]), elapsed=12)
    durations = {"total_duration": 12, "load_duration": 0, "prompt_eval_count": 10}
    assert json.loads(EMBEDDING.write(texts, found)) == {"model": "m", "embeddings": [[0.5], [-2.0]]} | durations
    alone = EMBEDDING.write(Texts("m", ("a",), alone=True), Vectors(([0.5],), 3))
    assert json.loads(alone) == {"embedding": [0.5]}
