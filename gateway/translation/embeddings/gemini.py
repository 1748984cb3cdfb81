"""Gemini's embeddings: https://ai.google.dev/api/embeddings (`models.embedContent`, `models.batchEmbedContents`).

The model is in the path. Vertex keeps what is asked for beside the text in `embedContentConfig`.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols import gemini
from gateway.protocols.codec import Endpoint, InvalidBody
from gateway.protocols.reading import decode, mapping, written
from gateway.translation.embeddings.losses import GEMINIS, untranslatable
from gateway.translation.embeddings.vectors import Built, Embedding, Texts, Unreadable, Vectors, checked, figure, paired
from gateway.translation.gemini.members import Object
from gateway.translation.gemini.members import read as members


class _Vector(Struct):
    values: list[float]


class _Answer(Struct):
    embedding: _Vector | None = None
    embeddings: list[_Vector] | None = None
    usageMetadata: Any = None  # noqa: N815


_answer = msgspec.json.Decoder(_Answer)


class _One(Struct, frozen=True):
    """One request of a batch, or the only one."""

    text: str
    dimensions: int | None
    task: str | None
    title: str | None
    dropped: tuple[str, ...]


def parse(body: bytes, endpoint: Endpoint) -> Texts:
    """The model is "" where the body does not name it: it is in the path then."""
    peeked = gemini.peek(endpoint, body)
    request = members(body)
    alone = endpoint.action == "embedContent"
    places = [request] if alone else request.objects("requests")
    if not places:
        raise InvalidBody("requests must hold at least one request", "requests")
    each = [_one(place) for place in places]
    for place, one in zip(places, each, strict=True):
        if one.dimensions != each[0].dimensions:
            raise untranslatable("requests.outputDimensionality", place.under("outputDimensionality"))
    tasks, titles = {one.task for one in each}, {one.title for one in each}
    lost = dict.fromkeys(name for one in each for name in one.dropped)
    lost |= {name: None for name, found in (("requests.taskType", tasks), ("requests.title", titles)) if len(found) > 1}
    return Texts(
        model=peeked.model or "",
        inputs=tuple(one.text for one in each),
        dimensions=each[0].dimensions,
        task=each[0].task if len(tasks) == 1 else None,
        title=each[0].title if len(titles) == 1 else None,
        alone=alone,
        dropped=tuple(lost),
    )


def _one(request: Object) -> _One:
    content = request.object("content")
    if content is None:
        raise request.wrong("content", "an object")
    config = request.object("embedContentConfig")
    options = request if config is None else config
    return _One(
        _text(content),
        options.whole("outputDimensionality"),
        options.word("taskType"),
        options.text("title"),
        tuple(name for name in options.given() if name in GEMINIS),
    )


def _text(content: Object) -> str:
    parts = content.objects("parts")
    if not parts:
        raise content.wrong("parts", "an array of texts")
    texts = [part.text("text") for part in parts]
    for part, text in zip(parts, texts, strict=True):
        if text is None:
            raise untranslatable("content.parts", part.path)
    return "\n".join(text for text in texts if text is not None)


def build(texts: Texts) -> Built:
    lost = () if texts.user is None else ("user",)
    asked = {"taskType": texts.task, "title": texts.title, "outputDimensionality": texts.dimensions}
    options = {name: one for name, one in asked.items() if one is not None}
    each: list[dict[str, Any]] = [{"content": {"parts": [{"text": text}]}} | options for text in texts.inputs]
    if len(each) == 1:
        return Built("embedContent", written(each[0]), lost)
    requests = [{"model": f"models/{texts.model}"} | one for one in each]
    return Built("batchEmbedContents", written({"requests": requests}), lost)


def read(body: bytes) -> Vectors:
    found = decode(_answer, body) or _Answer()
    several = found.embeddings
    if several is None:
        if found.embedding is None:
            raise Unreadable("there are no embeddings in it")
        several = [found.embedding]
    vectors = checked([one.values for one in several])
    return Vectors(vectors, figure(mapping(found.usageMetadata).get("promptTokenCount")))


def write(texts: Texts, found: Vectors) -> bytes:
    """Figures only where the upstream said some, as Gemini itself."""
    vectors = [{"values": one} for one in paired(texts, found)]
    body: dict[str, Any] = {"embedding": vectors[0]} if texts.alone else {"embeddings": vectors}
    if (used := found.input_tokens) is not None:
        details = [{"modality": "TEXT", "tokenCount": used}]
        body["usageMetadata"] = {"promptTokenCount": used, "promptTokenDetails": details}
    return written(body)


EMBEDDING = Embedding(parse=parse, build=build, read=read, write=write)
