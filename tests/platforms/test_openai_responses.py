import pytest

from gateway.platforms import validate
from gateway.platforms.openai_responses import probe
from tests.platforms.scene import BASE, CHAT, KEPT, KEY, RESPONSES, fault, signed, target

NAME = "openai-responses"


def test_sign() -> None:
    assert signed(NAME, {"api_key": "k"}) == [*KEPT, (b"authorization", b"Bearer k")]


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/responses"),
        ("https://host/", "https://host/responses"),
    ],
)
def test_url(base, expected) -> None:
    assert target(NAME, base, RESPONSES) == expected


def test_it_serves_nothing_else() -> None:
    with pytest.raises(KeyError):
        target(NAME, BASE, CHAT)


def test_the_probe_stores_nothing() -> None:
    asked = {"model": "gpt-x", "input": "Say ok.", "max_output_tokens": 16, "store": False}
    assert probe("gpt-x") == ("openai_responses", "generate", asked)


def test_accepted() -> None:
    validate(NAME, KEY, {}, "https://api.openai.com/v1")


@pytest.mark.parametrize(
    ("options", "base", "field"), [({}, None, "base_url"), ({"organization": "o"}, BASE, "options.organization")]
)
def test_refused(options, base, field) -> None:
    assert fault(NAME, KEY, options, base) == field
