"""Texts and the vectors of them, in no protocol; and what a protocol offers to embed. Pure.

Vectors cross as they are: none is cut, rounded or made of length one.
"""

from collections.abc import Callable
from math import isfinite
from typing import Any

from msgspec import Struct

from gateway.protocols.codec import Endpoint
from gateway.protocols.reading import Absurd, count
from gateway.translation.counting import size_of

_LARGEST = 3.4028234663852886e38
"""Of 32 bits: base64 holds no more."""


class Texts(Struct, frozen=True):
    """The request. `model` is the client's word for it; to ask an upstream, it is replaced by the upstream's."""

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    task: str | None = None
    """What the vectors are for, in Gemini's words (`taskType`)."""
    title: str | None = None
    """Gemini: of a document that is to be found."""
    user: str | None = None
    base64: bool = False
    """OpenAI: vectors are wanted as base64 of little-endian 32-bit floats."""
    alone: bool = False
    """The answer is one vector and not a list: Gemini's embedContent, Ollama's /api/embeddings."""
    dropped: tuple[str, ...] = ()
    """Members that the client gave and that no other protocol has a place for, by name: rows of the loss table."""


class Vectors(Struct, frozen=True):
    """The answer, in the order of the texts. `input_tokens` is None where the upstream does not say it."""

    vectors: tuple[list[float], ...]
    input_tokens: int | None = None
    elapsed: int = 0
    """Nanoseconds since the request came, from whoever asked: Ollama's clients are told."""


class Built(Struct, frozen=True):
    """A request for an upstream. `operation`: what its platform is asked for, as an Endpoint's action or operation."""

    operation: str
    body: bytes
    adjusted: tuple[str, ...] = ()
    """What was left out, for `x-poolgate-adjusted`."""


class Embedding(Struct, frozen=True, kw_only=True):
    """What one protocol offers."""

    parse: Callable[[bytes, Endpoint], Texts]
    """Raises InvalidBody, naming the field, and Untranslatable for what can be embedded in this protocol alone."""
    build: Callable[[Texts], Built]
    read: Callable[[bytes], Vectors]
    """Raises Unreadable."""
    write: Callable[[Texts, Vectors], bytes]
    """The client's answer, in one piece. Raises Unreadable unless each text has its vector."""


class Unreadable(ValueError):
    """The upstream's answer is none: it has another form, numbers that are none, or a text lacks its vector."""


def checked(vectors: list[list[float]]) -> tuple[list[float], ...]:
    """Raises Unreadable for what JSON or 32 bits cannot say."""
    for vector in vectors:
        if not isfinite(sum(vector)) or max(map(abs, vector), default=0) > _LARGEST:
            raise Unreadable("a vector holds what is no number")
    return tuple(vectors)


def figure(value: Any) -> int | None:
    """Tokens as the upstream said them; None for nothing, and for nonsense."""
    try:
        return None if value is None else count(value)
    except Absurd:
        return None


def paired(texts: Texts, found: Vectors) -> tuple[list[float], ...]:
    """The vectors, one a text: none is taken for that of another. Raises Unreadable."""
    if len(found.vectors) != len(texts.inputs):
        raise Unreadable(f"{len(found.vectors)} vectors for {len(texts.inputs)} texts")
    return found.vectors


def tokens(texts: Texts, found: Vectors) -> int:
    """For clients that must be told a number: estimated where the upstream says none."""
    if found.input_tokens is not None:
        return found.input_tokens
    return max(1, round(sum(map(size_of, texts.inputs))))
