"""Ollama's embeddings: https://docs.ollama.com/api/embed, and the older /api/embeddings, whose `prompt` is one text."""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.codec import Endpoint
from gateway.protocols.reading import decode, written
from gateway.translation.embeddings.inputs import inputs, members
from gateway.translation.embeddings.losses import OLLAMAS
from gateway.translation.embeddings.vectors import (
    Built,
    Embedding,
    Texts,
    Unreadable,
    Vectors,
    checked,
    figure,
    paired,
    tokens,
)
from gateway.translation.openai_chat.fields import maybe, natural, needed, text, word


class _Answer(Struct):
    embedding: list[float] | None = None
    embeddings: list[list[float]] | None = None
    prompt_eval_count: Any = None


_answer = msgspec.json.Decoder(_Answer)


def parse(body: bytes, endpoint: Endpoint) -> Texts:
    found = members(body)
    alone = endpoint.action == "embeddings"
    return Texts(
        model=needed(found, "model", word),
        inputs=(needed(found, "prompt", text),) if alone else needed(found, "input", inputs),
        dimensions=None if alone else maybe(found, "dimensions", natural),
        alone=alone,
        dropped=tuple(name for name in OLLAMAS if found.get(name) is not None),
    )


def build(texts: Texts) -> Built:
    body: dict[str, Any] = {"model": texts.model, "input": texts.inputs}
    if texts.dimensions is not None:
        body["dimensions"] = texts.dimensions
    asked = (("taskType", texts.task), ("title", texts.title), ("user", texts.user))
    return Built("embed", written(body), tuple(name for name, one in asked if one is not None))


def read(body: bytes) -> Vectors:
    found = decode(_answer, body) or _Answer()
    several = found.embeddings
    if several is None:
        if found.embedding is None:
            raise Unreadable("there are no embeddings in it")
        several = [found.embedding]
    return Vectors(checked(several), figure(found.prompt_eval_count))


def write(texts: Texts, found: Vectors) -> bytes:
    vectors = paired(texts, found)
    if texts.alone:
        return written({"embedding": vectors[0]})
    figures = {"total_duration": found.elapsed, "load_duration": 0, "prompt_eval_count": tokens(texts, found)}
    return written({"model": texts.model, "embeddings": vectors} | figures)


EMBEDDING = Embedding(parse=parse, build=build, read=read, write=write)
