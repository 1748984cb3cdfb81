"""Parts of messages, there and back."""

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.openai_responses import content
from gateway.translation.prompt import Audio, Document, Image, Text, Untranslatable

BOTH = [
    ({"type": "input_text", "text": "a"}, Text("a")),
    ({"type": "input_text", "text": ""}, Text("")),
    (
        {"type": "input_image", "image_url": "https://x/a.png", "detail": "low"},
        Image(url="https://x/a.png", detail="low"),
    ),
    (
        {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "auto"},
        Image(media_type="image/png", data="iVBO", detail="auto"),
    ),
    (
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        Document(media_type="application/pdf", data="JVBE", name="a.pdf"),
    ),
    ({"type": "input_file", "file_url": "https://x/a.pdf"}, Document(url="https://x/a.pdf")),
]
READ = [
    ({"type": "output_text", "text": "a", "annotations": [{"type": "url_citation"}]}, Text("a")),
    ({"type": "text", "text": "a"}, Text("a")),
    ({"type": "refusal", "refusal": "no"}, Text("no")),
    ({"type": "input_file", "file_data": "JVBE"}, Document(media_type="application/pdf", data="JVBE")),
    (
        {"type": "input_image", "image_url": "data:image/png;charset=x;base64,iV\nBO"},
        Image(media_type="image/png", data="iVBO"),
    ),
    ({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}, Audio("audio/wav", "UklG")),
]
WRITTEN = [
    (Text("a", cache={"type": "ephemeral"}), {"type": "input_text", "text": "a"}),
    (Document(text="words", name="a.txt"), {"type": "input_text", "text": "a.txt\n\nwords"}),
    (Document(text="words"), {"type": "input_text", "text": "words"}),
    (
        Document(data="JVBE"),
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
    ),
    (Image(url="https://x"), {"type": "input_image", "image_url": "https://x", "detail": "auto"}),
]
REFUSED = [
    ({"type": "video"}, ".type"),
    ({"type": ["input_text"]}, ".type"),
    ({}, ".type"),
    ({"type": "input_text"}, ".text"),
    ({"type": "input_text", "text": 1}, ".text"),
    ({"type": "refusal", "refusal": None}, ".refusal"),
    ({"type": "input_image", "file_id": "file_1"}, ".file_id"),
    ({"type": "input_image"}, ".image_url"),
    ({"type": "input_image", "image_url": {"url": "https://x"}}, ".image_url"),
    ({"type": "input_image", "image_url": "https://x", "detail": 1}, ".detail"),
    ({"type": "input_image", "image_url": "data:image/png,abc"}, ".image_url"),
    ({"type": "input_image", "image_url": "data:;base64,abc"}, ".image_url"),
    ({"type": "input_image", "image_url": "data:image/png;base64"}, ".image_url"),
    ({"type": "input_file", "file_id": "file_1"}, ".file_id"),
    ({"type": "input_file"}, ".file_data"),
    ({"type": "input_file", "file_data": "data:text/plain,abc"}, ".file_data"),
    ({"type": "input_audio"}, ".input_audio"),
    ({"type": "input_audio", "input_audio": {"data": "x"}}, ".input_audio.format"),
]


@pytest.mark.parametrize(("said", "part"), BOTH + READ)
def test_read(said, part):
    assert content.read([said], "x") == [part]


@pytest.mark.parametrize(("part", "said"), [(part, said) for said, part in BOTH] + WRITTEN)
def test_write(part, said):
    assert content.write([part]) == [said]


def test_a_text_is_a_part():
    assert content.read("a", "x") == [Text("a")]


@pytest.mark.parametrize(("said", "path"), REFUSED)
def test_what_is_refused_names_its_path(said, path):
    with pytest.raises(InvalidBody) as refused:
        content.read([{"type": "text", "text": ""}, said], "input[0].content")
    assert refused.value.field == "input[0].content[1]" + path


@pytest.mark.parametrize("said", [{}, 1, True])
def test_content_is_a_text_or_an_array(said):
    with pytest.raises(InvalidBody) as refused:
        content.read(said, "input[0].content")
    assert refused.value.field == "input[0].content"


def test_sound_is_not_heard():
    with pytest.raises(Untranslatable) as refused:
        content.write([Audio("audio/wav", "UklG")])
    assert refused.value.field == "messages"
