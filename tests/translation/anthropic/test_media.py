from base64 import b64encode

import pytest

from gateway.translation.anthropic.media import document, image
from gateway.translation.prompt import Document, Image, Untranslatable


@pytest.mark.parametrize(
    ("given", "source"),
    [
        (Image("image/png", "AAAA"), {"type": "base64", "media_type": "image/png", "data": "AAAA"}),
        (Image("image/JPG", "AAAA"), {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}),
        (Image(url="https://x/y.png", detail="high"), {"type": "url", "url": "https://x/y.png"}),
    ],
)
def test_images(given, source):
    assert image(given) == {"type": "image", "source": source}


@pytest.mark.parametrize("given", [Image("image/bmp", "AAAA"), Image("image/png"), Image(data="AAAA")])
def test_images_that_cannot_cross(given):
    with pytest.raises(Untranslatable, match="image") as refused:
        image(given)
    assert refused.value.field == "messages"


TEXT = {"type": "text", "media_type": "text/plain", "data": "Äpfel"}


@pytest.mark.parametrize(
    ("given", "block"),
    [
        (
            Document("application/pdf", "JVBE", name="a.pdf"),
            {"source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, "title": "a.pdf"},
        ),
        (Document(url="https://x/y.pdf"), {"source": {"type": "url", "url": "https://x/y.pdf"}}),
        (Document("text/markdown", text="Äpfel"), {"source": TEXT}),
        (Document("text/csv; charset=utf-8", b64encode("Äpfel".encode()).decode()), {"source": TEXT}),
        (Document("application/json", b64encode("Äpfel".encode()).decode()), {"source": TEXT}),
    ],
)
def test_documents(given, block):
    assert document(given) == {"type": "document", **block}


@pytest.mark.parametrize(
    "given",
    [
        Document("application/zip", "AAAA"),
        Document("application/pdf"),
        Document("text/plain", "/w=="),
        Document("text/plain", "?"),
    ],
)
def test_documents_that_cannot_cross(given):
    with pytest.raises(Untranslatable, match="document"):
        document(given)
