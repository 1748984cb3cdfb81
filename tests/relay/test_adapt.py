"""The call as one account's upstream wants it."""

from typing import Any

import pytest

from gateway.core.domain import Account, Caller
from gateway.core.errors import InvalidRequest
from gateway.core.secret import Secret
from gateway.protocols import CODECS
from gateway.protocols.codec import Endpoint
from gateway.relay.adapt import adapt
from gateway.routing.authorise import EVERY, Destination, Route
from gateway.routing.call import Call
from gateway.routing.fitting import Candidate
from gateway.routing.speaking import spoken

CHAT = Endpoint("openai_chat", "generate", "/v1/chat/completions")
CLAUDE = Endpoint("anthropic", "generate", "/v1/messages")
GEMINI = next(one for one in CODECS["gemini"].endpoints if one.action == "generateContent")


async def _no_body() -> bytes:
    return b""


def adapted(
    endpoint: Endpoint, platform: str, sent: bytes, model: str, *, path: str = "", query: bytes = b"", **more: Any
) -> Any:
    headers = [(b"host", b"x"), (b"x-api-key", b"sk-client"), (b"content-type", b"application/json")]
    call = Call("req_1", 0, 0, endpoint, path or endpoint.path, query, headers, dict(headers), "", _no_body, body=sent)
    peek = CODECS[endpoint.protocol].peek(endpoint, sent)
    account = Account("a", "ten_1", "", platform, "https://up.example", {"api_key": Secret("sk-own")})
    caller = Caller("key_1", "ten_1", "", platforms=("*",), models=("*",))
    route = Route(caller, endpoint, model, EVERY, (Destination(model),))
    said = spoken(account, model, endpoint, peek.stream)
    assert said is not None
    return adapt(call, route, peek, Candidate(account, model, 1, said), **more)[1]


def test_the_body_is_the_very_same_when_the_name_is() -> None:
    sent = b'{"model":"m","messages":[]}'
    out = adapted(CLAUDE, "claude-console", sent, "m", query=b"beta=true&key=sk-client&x=%20")
    assert out.body is sent
    assert out.url == "https://up.example/v1/messages?beta=true&x=%20"
    assert (b"x-api-key", b"sk-own") in out.headers
    assert not [pair for pair in out.headers if pair[1] in {b"sk-client", b"x"}]


def test_only_the_name_changes() -> None:
    sent = b'{ "model" : "ccr,m" , "messages":[ ]}'
    assert adapted(CLAUDE, "claude-console", sent, "m").body == b'{ "model" : "m" , "messages":[ ]}'


@pytest.mark.parametrize(
    ("path", "kept"),
    [("/openai/deployments/m/chat/completions", b""), ("/v1/chat/completions", b"?api-version=1")],
)
def test_azures_version_is_not_forwarded(path: str, kept: bytes) -> None:
    out = adapted(CHAT, "openai", b'{"model":"m"}', "m", path=path, query=b"api-version=1")
    assert out.url == "https://up.example/v1/chat/completions" + kept.decode()


def test_usage_is_asked_for_in_the_same_pass() -> None:
    out = adapted(CHAT, "openai", b'{"model":"a,m","stream":true}', "m", asks_usage=True)
    assert out.body == b'{"stream_options":{"include_usage":true},"model":"m","stream":true}'
    with pytest.raises(InvalidRequest) as caught:
        adapted(CHAT, "openai", b'{"model":"m","stream":true,"stream_options":[1]}', "m", asks_usage=True)
    assert caught.value.field == "stream_options"


@pytest.mark.parametrize("model", ["..", "a/../b", "a//b", "./x"])
def test_a_name_that_would_lead_elsewhere_is_refused(model: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        adapted(GEMINI, "gemini", b'{"contents":[]}', model)
    assert caught.value.code == "invalid_model"
