"""Goldens of the rows of the loss table where texts are embedded; `tests.translation.test_losses` runs them, and misses
none."""

import json
from typing import Any

from gateway.protocols.codec import InvalidBody
from gateway.translation.embeddings import EMBEDDINGS, Texts, Vectors
from gateway.translation.embeddings.losses import GEMINIS, OLLAMAS, untranslatable
from gateway.translation.prompt import Untranslatable
from tests.translation.embeddings.relay import endpoint
from tests.translation.golden import Golden, Goldens, says

HI = ("hi",)


def parse(protocol: str, action: str, body: dict[str, Any]) -> Texts:
    return EMBEDDINGS[protocol].parse(json.dumps(body).encode(), endpoint(protocol, action))


def one(**more: Any) -> dict[str, Any]:
    return {"content": {"parts": [{"text": "a"}]}} | more


def batch(*requests: dict[str, Any]) -> dict[str, Any]:
    return {"requests": list(requests)}


def dropped(protocol: str, action: str, body: dict[str, Any], name: str) -> Golden:
    return says(lambda: parse(protocol, action, body).dropped, (name,))


def refused(row: str, field: str, protocol: str, action: str, body: dict[str, Any]) -> Golden:
    def seen() -> tuple[Any, Any]:
        try:
            found: Any = parse(protocol, action, body)
        except (InvalidBody, Untranslatable) as error:
            found = (error.field, error.message)
        return found, (field, untranslatable(row, field).message)

    return Golden(True, seen)


def unsaid(protocol: str, name: str, **member: str) -> Golden:
    def seen() -> Any:
        built, other = (EMBEDDINGS[protocol].build(Texts("m", HI, **each)) for each in (member, {}))
        return built.body == other.body, built.adjusted

    return says(seen, (True, (name,)))


def answer(found: Vectors, **members: Any) -> Any:
    codec = EMBEDDINGS["openai_chat"]
    return codec.read(codec.write(Texts("m", ("a" * 40,), **members), found))


GOLDENS: Goldens = {
    # From its clients.
    "input": refused("input", "input", "openai_chat", "", {"model": "m", "input": [1]}),
    "content.parts": refused(
        "content.parts", "content.parts[0]", "gemini", "embedContent", {"content": {"parts": [{"inlineData": {}}]}}
    ),
    "content.parts.text": says(
        lambda: parse("gemini", "embedContent", {"content": {"parts": [{"text": "a"}, {"text": "b"}]}}).inputs,
        ("a\nb",),
    ),
    "requests.outputDimensionality": refused(
        "requests.outputDimensionality",
        "requests[1].outputDimensionality",
        "gemini",
        "batchEmbedContents",
        batch(one(), one(outputDimensionality=8)),
    ),
    "requests.taskType": dropped(
        "gemini", "batchEmbedContents", batch(one(taskType="X"), one(taskType="Y")), "requests.taskType"
    ),
    "requests.title": dropped("gemini", "batchEmbedContents", batch(one(title="T"), one(title="U")), "requests.title"),
    **{name: dropped("gemini", "embedContent", one(embedContentConfig={name: True}), name) for name in GEMINIS},
    **{name: dropped("ollama", "embed", {"model": "m", "input": "a", name: 1}, name) for name in OLLAMAS},
    # To its accounts.
    "taskType": unsaid("openai_chat", "taskType", task="X"),
    "title": unsaid("ollama", "title", title="T"),
    "user": unsaid("gemini", "user", user="u"),
    # To its clients.
    "answer.embedding": says(lambda: answer(Vectors(([0.1],), 3), base64=True), Vectors(([0.10000000149011612],), 3)),
    "answer.usage": says(lambda: answer(Vectors(([0.5],))), Vectors(([0.5],), 10)),
}
