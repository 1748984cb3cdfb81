import pytest

from gateway.platforms import validate
from gateway.platforms.claude_ccr import PLATFORM
from tests.platforms.scene import BASE, COUNT, GENERATE, KEPT, KEY, VERSION, fault, signed, target

NAME = "claude-ccr"


def test_sign() -> None:
    assert signed(NAME, {"api_key": "k"}) == [*KEPT, VERSION, (b"x-api-key", b"k")]


def test_url() -> None:
    assert target(NAME, "http://10.0.0.7:3456", GENERATE) == "http://10.0.0.7:3456/v1/messages"
    assert target(NAME, "http://10.0.0.7:3456/", COUNT) == "http://10.0.0.7:3456/v1/messages/count_tokens"


def test_it_takes_any_name_but_only_when_it_is_asked_for() -> None:
    assert (PLATFORM.models, PLATFORM.explicit_only) == (("*",), True)


def test_accepted() -> None:
    validate(NAME, KEY, {}, "http://10.0.0.7:3456")


@pytest.mark.parametrize(
    ("options", "base", "field"),
    [({}, "", "base_url"), ({}, None, "base_url"), ({"anything": 1}, BASE, "options.anything")],
)
def test_refused(options, base, field) -> None:
    assert fault(NAME, KEY, options, base) == field
