import pytest

from gateway.platforms import validate
from gateway.platforms.gemini import PLATFORM, probe
from gateway.routing.authorise import matches
from tests.platforms.scene import GEMINI, GOOGLE, KEPT, KEY, STREAM, fault, signed, target

NAME = "gemini"


def test_sign() -> None:
    assert signed(NAME, {"api_key": "k"}) == [*KEPT, (b"x-goog-api-key", b"k")]


@pytest.mark.parametrize(
    ("base", "what", "expected"),
    [
        ("", GEMINI, GOOGLE + "/v1beta/models/m:generateContent"),
        (GOOGLE + "/v1beta", GEMINI, GOOGLE + "/v1beta/models/m:generateContent"),
        (GOOGLE + "/v1/", STREAM, GOOGLE + "/v1beta/models/m:streamGenerateContent"),
        ("https://host/gemini", GEMINI, "https://host/gemini/v1beta/models/m:generateContent"),
    ],
)
def test_url(base, what, expected) -> None:
    assert target(NAME, base, what) == expected


@pytest.mark.parametrize(
    ("model", "serves"),
    [
        ("gemini-2.5-pro", True),
        ("gemma-3-27b-it", True),
        ("embedding-001", True),
        ("text-embedding-004", True),
        ("tunedModels/mine-1", True),
        ("text-embedding-3-small", False),
        ("claude-x", False),
    ],
)
def test_the_names_that_are_googles(model, serves) -> None:
    assert matches(model, tuple(PLATFORM.models)) is serves


def test_the_probe_embeds_where_a_model_does_nothing_else() -> None:
    content = {"role": "user", "parts": [{"text": "hi"}]}
    asked = {"contents": [content], "generationConfig": {"maxOutputTokens": 1}}
    assert probe("gemini-2.5-pro") == (NAME, "generateContent", asked)
    assert probe("gemini-Embedding-2") == (NAME, "embedContent", {"content": content})


def test_accepted() -> None:
    validate(NAME, KEY, {}, None)


@pytest.mark.parametrize(
    ("credentials", "options", "field"),
    [({"key": "k"}, {}, "credentials.key"), (KEY, {"project": "p"}, "options.project")],
)
def test_refused(credentials, options, field) -> None:
    assert fault(NAME, credentials, options) == field
