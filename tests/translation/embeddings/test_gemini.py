"""Gemini's requests and answers, one by one; Google's SDK reads what is written in test_directions.py."""

import json

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.embeddings import Texts, Unreadable, Vectors
from gateway.translation.embeddings.gemini import EMBEDDING
from gateway.translation.prompt import Untranslatable
from tests.protocols.cuts import needs_fixtures
from tests.protocols.test_recorded import rows
from tests.translation.embeddings.relay import endpoint


def parse(action: str, body: dict) -> Texts:
    return EMBEDDING.parse(json.dumps(body).encode(), endpoint("gemini", action))


def one(*texts: str, **more) -> dict:
    return {"content": {"parts": [{"text": text} for text in texts]}} | more


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (one("hi"), Texts("", ("hi",), alone=True)),
        (one(""), Texts("", ("",), alone=True)),
        (one("a", "b", model="models/m"), Texts("m", ("a\nb",), alone=True)),
        (
            one("a", taskType="RETRIEVAL_DOCUMENT", title="T", outputDimensionality=8),
            Texts("", ("a",), 8, "RETRIEVAL_DOCUMENT", "T", alone=True),
        ),
        (
            one("a", task_type="TASK_TYPE_UNSPECIFIED", output_dimensionality="8"),
            Texts("", ("a",), 8, alone=True),
        ),
        (
            one(
                "a",
                embedContentConfig={"taskType": "X", "title": "T", "outputDimensionality": 8, "autoTruncate": False},
            ),
            Texts("", ("a",), 8, "X", "T", alone=True, dropped=("autoTruncate",)),
        ),
    ],
)
def test_one_content(body, expected):
    assert parse("embedContent", body) == expected


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([one("a"), one("b")], Texts("", ("a", "b"))),
        (one("a"), Texts("", ("a",))),
        (
            [one("a", taskType="X", title="T"), one("b", task_type="X", title="T")],
            Texts("", ("a", "b"), None, "X", "T"),
        ),
        (
            [one("a", taskType="X", title="T"), one("b", title="U")],
            Texts("", ("a", "b"), dropped=("requests.taskType", "requests.title")),
        ),
        ([one("a", outputDimensionality=8), one("b", output_dimensionality=8)], Texts("", ("a", "b"), 8)),
    ],
)
def test_batches(requests, expected):
    assert parse("batchEmbedContents", {"requests": requests}) == expected


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("embedContent", {}, "content"),
        ("embedContent", {"content": "hi"}, "content"),
        ("embedContent", {"content": {}}, "content.parts"),
        ("embedContent", {"content": {"parts": []}}, "content.parts"),
        ("embedContent", {"content": {"parts": [{"text": 7}]}}, "content.parts[0].text"),
        ("embedContent", one("a", taskType=7), "taskType"),
        ("embedContent", one("a", embedContentConfig={"outputDimensionality": 1.5}), None),
        ("batchEmbedContents", {}, "requests"),
        ("batchEmbedContents", {"requests": []}, "requests"),
        ("batchEmbedContents", {"requests": [one("a"), {}]}, "requests[1].content"),
        ("batchEmbedContents", one("a"), "requests"),
    ],
)
def test_what_is_wrong_is_named(action, body, field):
    with pytest.raises(InvalidBody) as caught:
        parse(action, body)
    assert caught.value.field == (field or "embedContentConfig.outputDimensionality")


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        (
            "embedContent",
            {"content": {"parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}},
            "content.parts[1]",
        ),
        (
            "batchEmbedContents",
            {"requests": [one("a"), {"content": {"parts": [{"file_data": {"file_uri": "gs://x/y"}}]}}]},
            "requests[1].content.parts[0]",
        ),
        (
            "batchEmbedContents",
            {"requests": [one("a", outputDimensionality=8), one("b", outputDimensionality=9)]},
            "requests[1].outputDimensionality",
        ),
    ],
)
def test_what_cannot_cross(action, body, field):
    with pytest.raises(Untranslatable) as caught:
        parse(action, body)
    assert caught.value.field == field


def test_built():
    options = {"taskType": "X", "title": "T", "outputDimensionality": 8}
    built = EMBEDDING.build(Texts("m", ("a",), 8, "X", "T", "u"))
    assert (built.operation, built.adjusted) == ("embedContent", ("user",))
    assert json.loads(built.body) == one("a", **options)
    built = EMBEDDING.build(Texts("m", ("a", "b"), 8, "X", "T"))
    assert (built.operation, built.adjusted) == ("batchEmbedContents", ())
    each = [{"model": "models/m"} | one(text, **options) for text in ("a", "b")]
    assert json.loads(built.body) == {"requests": each}
    assert json.loads(EMBEDDING.build(Texts("m", ("a",))).body) == one("a")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"embedding": {"values": [1, 0.5]}}, Vectors(([1.0, 0.5],))),
        ({"embeddings": [{"values": [1]}, {"values": [2]}]}, Vectors(([1.0], [2.0]))),
        ({"embeddings": [], "usageMetadata": {"promptTokenCount": 0}}, Vectors((), 0)),
        ({"embeddings": [{"values": [1]}], "usageMetadata": {"promptTokenCount": "7"}}, Vectors(([1.0],))),
    ],
)
def test_answers(answer, expected):
    assert EMBEDDING.read(json.dumps(answer).encode()) == expected


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"[]", b"{}", b'{"error":{}}', b'{"embedding":{}}', b'{"embeddings":[{"values":null}]}'),
        *(b'{"embeddings":[{"values":[1e39]}]}', b'{"embedding":{"values":[NaN]}}'),
    ],
)
def test_what_is_no_answer(answer):
    with pytest.raises(Unreadable):
        EMBEDDING.read(answer)


def test_written():
    used = {"promptTokenCount": 3, "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 3}]}
    answer = EMBEDDING.write(Texts("m", ("a", "b")), Vectors(([0.5], [-2.0]), 3))
    assert json.loads(answer) == {"embeddings": [{"values": [0.5]}, {"values": [-2.0]}], "usageMetadata": used}
    alone = EMBEDDING.write(Texts("m", ("a",), alone=True), Vectors(([0.5],)))
    assert json.loads(alone) == {"embedding": {"values": [0.5]}}


@needs_fixtures
def test_recorded():
    """What was asked is asked again the same way, but for the purpose that this form has not."""
    sizes = []
    for row in rows("gemini.embed"):
        action = row["path"].rpartition(":")[2]
        texts = parse(action, row["request"])
        asked = row["request"]["requests"] if action == "batchEmbedContents" else [row["request"]]
        assert texts.inputs == tuple(each["content"]["parts"][0]["text"] for each in asked)
        assert texts.dropped == ()
        built = EMBEDDING.build(texts)
        if len(asked) > 1:
            assert {name: each for name, each in json.loads(built.body)["requests"][0].items() if name != "model"} == {
                name: each for name, each in asked[0].items() if name != "model"
            }
        found = EMBEDDING.read(row["response"].encode())
        again = EMBEDDING.read(EMBEDDING.write(texts, found))
        assert again == found
        sizes.append((len(found.vectors), len(found.vectors[0])))
    assert len(sizes) == 12
    assert {count for count, _ in sizes} == {1, 2}
