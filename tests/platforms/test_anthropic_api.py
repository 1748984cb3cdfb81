"""What Anthropic's API asks of every platform that speaks it."""

import msgspec
import pytest

from gateway.local.sandbox.routes import find
from gateway.local.sandbox.server import Request
from gateway.platforms.anthropic_api import SERVES, ApiKey, NoOptions, probe


@pytest.mark.parametrize("operation", ["generate", "count"])
def test_the_paths_are_those_at_which_the_vendors_client_finds_the_sandbox(operation: str) -> None:
    found = find(Request("POST", SERVES["anthropic", operation], [], b"", True))
    assert found is not None
    assert (found[0].name, found[1].operation) == ("anthropic", operation)


def test_the_probe_asks_for_one_token() -> None:
    protocol, operation, body = probe("claude-x")
    assert (protocol, operation) in SERVES
    assert body == {"model": "claude-x", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}


def test_nothing_but_the_key_is_taken() -> None:
    assert msgspec.convert({"api_key": "k"}, ApiKey).api_key == "k"
    assert msgspec.convert({}, NoOptions) == NoOptions()
    for values, kind in (({}, ApiKey), ({"api_key": "k", "more": 1}, ApiKey), ({"more": 1}, NoOptions)):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(values, kind)
