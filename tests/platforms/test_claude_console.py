import pytest

from gateway.platforms import validate
from tests.platforms.scene import BASE, COUNT, GENERATE, KEPT, KEY, VERSION, fault, signed, target

NAME = "claude-console"


@pytest.mark.parametrize(
    ("options", "own"),
    [
        ({}, (b"x-api-key", b"k")),
        ({"auth_header": "x-api-key"}, (b"x-api-key", b"k")),
        ({"auth_header": "bearer"}, (b"authorization", b"Bearer k")),
    ],
)
def test_sign(options, own) -> None:
    assert signed(NAME, {"api_key": "k"}, options) == [*KEPT, VERSION, own]


@pytest.mark.parametrize(
    ("base", "what", "expected"),
    [
        ("https://host/anthropic", GENERATE, "https://host/anthropic/v1/messages"),
        ("https://host/anthropic//", GENERATE, "https://host/anthropic/v1/messages"),
        ("https://host/anthropic/v1", GENERATE, "https://host/anthropic/v1/messages"),
        ("https://host/anthropic", COUNT, "https://host/anthropic/v1/messages/count_tokens"),
    ],
)
def test_url(base, what, expected) -> None:
    assert target(NAME, base, what) == expected


@pytest.mark.parametrize("options", [{}, {"auth_header": "bearer"}])
def test_accepted(options) -> None:
    validate(NAME, KEY, options, BASE)


@pytest.mark.parametrize(
    ("options", "base", "field"),
    [({"auth_header": "basic"}, BASE, "options.auth_header"), ({}, None, "base_url"), ({}, "", "base_url")],
)
def test_refused(options, base, field) -> None:
    assert fault(NAME, KEY, options, base) == field
