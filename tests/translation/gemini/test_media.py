"""Pictures, sound and files."""

from base64 import b64encode
from typing import Any

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.media import build, of_result, parse
from gateway.translation.gemini.members import Object
from gateway.translation.prompt import Audio, Document, Image

TEXT = b64encode("é".encode()).decode()


def inline(media_type: str, data: str, **more: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": data, **more}}


def file(url: str, media_type: str | None = None) -> dict[str, Any]:
    return {"fileData": ({} if media_type is None else {"mimeType": media_type}) | {"fileUri": url}}


BOTH_WAYS = [
    (inline("image/png", "AAAA"), Image("image/png", "AAAA")),
    (inline("audio/wav", "AAAA"), Audio("audio/wav", "AAAA")),
    (inline("application/pdf", "AAAA"), Document("application/pdf", "AAAA")),
    (inline("text/plain", TEXT), Document("text/plain", text="é")),
    (inline("text/csv", TEXT), Document("text/csv", text="é")),
    (file("https://example.org/a", "image/webp"), Image("image/webp", url="https://example.org/a")),
    (file("https://example.org/a", "application/pdf"), Document("application/pdf", url="https://example.org/a")),
]


@pytest.mark.parametrize(("part", "found"), BOTH_WAYS)
def test_both_ways(part: dict[str, Any], found: Image | Document | Audio):
    assert parse(Object(part)) == found
    assert build(found) == part


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"inline_data": {"mime_type": "image/png", "data": "_-8"}}, Image("image/png", "/+8=")),
        (inline("application/pdf", "AAAA", displayName="a.pdf"), Document("application/pdf", "AAAA", name="a.pdf")),
        (inline("text/plain", "/w=="), Document("text/plain", "/w==")),
        (file("https://example.org/a.png"), Image("image/png", url="https://example.org/a.png")),
        (file("https://example.org/a"), Document(url="https://example.org/a")),
    ],
)
def test_only_read(part: dict[str, Any], found: Image | Document):
    assert parse(Object(part)) == found


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (inline("", "AAAA"), "p.inlineData.mimeType"),
        (inline("video/mp4", "AAAA"), "p.inlineData"),
        (file("https://www.youtube.com/watch?v=x"), "p.fileData.fileUri"),
        (file("https://example.org/a.mp4"), "p.fileData"),
        (file("https://example.org/a", "audio/mp3"), "p.fileData"),
        (file("gs://bucket/a.png", "image/png"), "p.fileData.fileUri"),
        (file("https://generativelanguage.googleapis.com/v1beta/files/x", "image/png"), "p.fileData.fileUri"),
        ({"fileData": {}}, "p.fileData.fileUri"),
        ({"inlineData": "x"}, "p.inlineData"),
    ],
)
def test_refused_by_name(part: dict[str, Any], field: str):
    with pytest.raises(InvalidBody) as caught:
        parse(Object(part, "p"))
    assert caught.value.field == field


@pytest.mark.parametrize("part", [inline("audio/wav", "AAAA"), {"text": "x"}])
def test_a_result_holds_pictures_and_files(part: dict[str, Any]):
    with pytest.raises(InvalidBody):
        of_result(Object(part, "p"))
    assert of_result(Object(inline("image/png", "AAAA"))) == Image("image/png", "AAAA")


@pytest.mark.parametrize(
    ("found", "part"),
    [
        (Image(data="AAAA"), inline("image/png", "AAAA")),
        (Image(url="https://example.org/a.jpg", detail="low"), file("https://example.org/a.jpg", "image/jpeg")),
        (Image(url="https://example.org/a"), file("https://example.org/a")),
        (Document(data="AAAA", name="a.pdf"), inline("application/pdf", "AAAA")),
        (Document(text="é"), inline("text/plain", TEXT)),
    ],
)
def test_only_written(found: Image | Document, part: dict[str, Any]):
    assert build(found) == part
