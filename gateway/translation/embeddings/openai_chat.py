"""OpenAI's embeddings: https://platform.openai.com/docs/api-reference/embeddings

Whoever speaks its protocol leaves out or adds: figures have other names, `index` is missing, base64 comes unasked for.
"""

from base64 import b64decode, b64encode
from struct import pack, unpack
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.codec import Endpoint, InvalidBody
from gateway.protocols.reading import decode, mapping, written
from gateway.translation.embeddings.inputs import inputs, members
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


class _Item(Struct):
    embedding: list[float] | str
    index: int | None = None


class _Answer(Struct):
    data: list[_Item]
    usage: Any = None


_answer = msgspec.json.Decoder(_Answer)


def parse(body: bytes, endpoint: Endpoint) -> Texts:
    found = members(body)
    form = maybe(found, "encoding_format", text)
    if form not in (None, "float", "base64"):
        raise InvalidBody("encoding_format must be float or base64", "encoding_format")
    return Texts(
        model=needed(found, "model", word),
        inputs=needed(found, "input", inputs),
        dimensions=maybe(found, "dimensions", natural),
        user=maybe(found, "user", text),
        base64=form == "base64",
    )


def build(texts: Texts) -> Built:
    """Without `encoding_format`: some servers take no `float`, which is the default of all, others no `base64`."""
    asked = {"dimensions": texts.dimensions, "user": texts.user}
    body = {"model": texts.model, "input": texts.inputs} | {name: one for name, one in asked.items() if one is not None}
    lost = [name for name, one in (("taskType", texts.task), ("title", texts.title)) if one is not None]
    return Built("embed", written(body), tuple(lost))


def read(body: bytes) -> Vectors:
    found = decode(_answer, body)
    if found is None:
        raise Unreadable("this is no list of embeddings")
    items = found.data
    places = [one.index for one in items if one.index is not None]
    if places:
        if sorted(places) != [*range(len(items))]:
            raise Unreadable("the embeddings are not those of texts in a row")
        items = [one for _, one in sorted(zip(places, items, strict=True), key=lambda each: each[0])]
    vectors = checked([_floats(one.embedding) for one in items])
    usage = mapping(found.usage)
    prompt, total = usage.get("prompt_tokens"), usage.get("total_tokens")
    return Vectors(vectors, figure(total if prompt is None else prompt))


def _floats(given: list[float] | str) -> list[float]:
    if isinstance(given, list):
        return given
    try:
        data = b64decode(given, validate=True)
    except ValueError:
        raise Unreadable("an embedding is neither numbers nor base64") from None
    if len(data) % 4:
        raise Unreadable("an embedding is cut short")
    return [*unpack(f"<{len(data) // 4}f", data)]


def write(texts: Texts, found: Vectors) -> bytes:
    vectors: list[Any] = [*paired(texts, found)]
    if texts.base64:
        vectors = [b64encode(pack(f"<{len(one)}f", *one)).decode() for one in vectors]
    used = tokens(texts, found)
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)]
    usage = {"prompt_tokens": used, "total_tokens": used}
    return written({"object": "list", "data": data, "model": texts.model, "usage": usage})


EMBEDDING = Embedding(parse=parse, build=build, read=read, write=write)
