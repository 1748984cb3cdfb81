import base64
import json
from math import inf
from typing import Any

import msgspec
import pytest

from gateway.platforms import PLATFORMS, validate
from gateway.platforms.assembly import Assembler
from gateway.platforms.openai_responses import (
    REFUSED,
    chatgpt_body,
    claims,
    expires,
    framing,
    learned,
    probe,
    renew,
    speaks,
)
from gateway.platforms.platform import Asked, Reply, Speech
from gateway.platforms.target import placed
from gateway.protocols.codec import InvalidBody
from tests.platforms.scene import BASE, CHAT, KEPT, KEY, RESPONSES, account, fault, signed, target

NAME = "openai-responses"


def jwt(**said: Any) -> str:
    part = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJub25lIn0.{part}.c2ln"


OWN = jwt(**{"https://api.openai.com/auth": {"chatgpt_account_id": "ws-of-token", "other": 1}, "exp": 1_900_000_000})
PLAN = {"access_token": OWN, "refresh_token": "rt-1", "expires_at": "1900000100"}


def test_sign() -> None:
    assert signed(NAME, {"api_key": "k"}) == [*KEPT, (b"authorization", b"Bearer k")]


@pytest.mark.parametrize(
    ("token", "options", "workspace"),
    [
        (OWN, {}, b"ws-of-token"),
        (OWN, {"account_id": "ws-given"}, b"ws-given"),
        ("opaque", {"account_id": "ws-given"}, b"ws-given"),
        ("opaque", {}, None),
        (jwt(sub="x"), {}, None),
        (jwt(**{"https://api.openai.com/auth": {"chatgpt_account_id": "a\r\nb: c"}}), {}, None),
    ],
)
def test_sign_with_a_plan(token, options, workspace) -> None:
    own = [
        (b"authorization", b"Bearer " + token.encode()),
        (b"accept", b"text/event-stream"),
        (b"openai-beta", b"responses=experimental"),
    ]
    own += [(b"chatgpt-account-id", workspace)] if workspace else []
    # The client's own user agent stays, and nothing of another client is put in.
    assert signed(NAME, {"access_token": token}, options) == [*KEPT, *own]


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


def asked(body: bytes, *, stream: bool = False, query: bytes = b"") -> Asked:
    return Asked(*RESPONSES, "m", stream, query, [(b"user-agent", b"sdk/1")], body)


def test_place() -> None:
    body = b'{"model": "m", "input":"hi", "temperature":1 }'
    by_key = placed(asked(body, query=b"a=1"), account(NAME, KEY, base_url="https://host/v1"), PLATFORMS[NAME])
    assert (by_key.method, by_key.url) == ("POST", "https://host/v1/responses?a=1")
    assert by_key.body is body, "byte for byte"
    plan = placed(asked(body), account(NAME, PLAN, base_url="https://host/codex/"), PLATFORMS[NAME])
    assert (plan.url, plan.headers) == ("https://host/codex/responses", [(b"user-agent", b"sdk/1")])
    assert plan.body == chatgpt_body(body)
    # Where the row names no address the platform's own stands in (see `configuration.opened`).
    assert PLATFORMS[NAME].base_url == "https://chatgpt.com/backend-api/codex"


PUT = b'{"store":false,"stream":true,"instructions":""'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"model":"m","input":[ {"role":"user"} ],"instructions":"Be.","store":false,"stream":true}',
            b'{"model":"m","input":[ {"role":"user"} ],"instructions":"Be.","store":false,"stream":true}',
        ),
        (
            b'{"stream" : false, "model":"m","store":true,"input":[],"instructions":null}',
            b'{"stream" : true, "model":"m","store":false,"input":[],"instructions":""}',
        ),
        (b'{"model":"m","input":[]}', PUT + b',"model":"m","input":[]}'),
        (b'{"input":"h\\u00e4\\n"}', PUT + b',"input":[{"role":"user","content":"h\\u00e4\\n"}]}'),
        (b'{"model":"m"}', PUT + b',"model":"m"}'),
        (
            b'{"model":"m","temperature": 1,"x":[1.50,{"temperature":2}],"max_output_tokens":5,"user":"u"}',
            PUT + b',"model":"m","x":[1.50,{"temperature":2}]}',
        ),
        (
            b'{"input":[{"role":"system","x":"\\"system\\""}, {"x":"system","role" : "system"},"system"]}',
            PUT + b',"input":[{"role":"developer","x":"\\"system\\""}, {"x":"system","role" : "developer"},"system"]}',
        ),
        (
            b'{"input":[{"role":"user","content":[{"role":"system"}]}]}',
            PUT + b',"input":[{"role":"user","content":[{"role":"system"}]}]}',
        ),
        # What would change the meaning stays, and is refused by the backend itself.
        (b'{"previous_response_id":"resp_1","input":[]}', PUT + b',"previous_response_id":"resp_1","input":[]}'),
        (b'{"background":true,"input":[]}', PUT + b',"background":true,"input":[]}'),
    ],
)
def test_the_body_for_a_plan(body, expected) -> None:
    assert chatgpt_body(body) == expected


def test_every_member_that_is_refused_goes() -> None:
    body: dict[str, Any] = {"model": "m", "input": [], **dict.fromkeys(REFUSED, 1)}
    left = json.loads(chatgpt_body(json.dumps(body).encode()))
    assert set(left) == {"model", "input", "store", "stream", "instructions"}
    assert all(reason for reason in REFUSED.values())


@pytest.mark.parametrize("body", [b'{"input":1,"input":"x"}', b'{"store":1,"store":0}', b"[]", b"{"])
def test_a_body_that_cannot_be_changed_safely(body) -> None:
    with pytest.raises(InvalidBody):
        chatgpt_body(body)


@pytest.mark.parametrize(
    ("credentials", "what", "stream", "speech"),
    [
        (KEY, RESPONSES, False, Speech.NATIVE),
        (KEY, RESPONSES, True, Speech.NATIVE),
        (PLAN, RESPONSES, True, Speech.NATIVE),
        (PLAN, RESPONSES, False, Speech.TRANSLATED),
        (PLAN, CHAT, True, Speech.NONE),
        (KEY, CHAT, False, Speech.NONE),
    ],
)
def test_speaks(credentials, what, stream, speech) -> None:
    assert speaks(account(NAME, credentials), "m", *what, stream) is speech


@pytest.mark.parametrize(
    ("stream", "content_type", "framed"),
    [
        (False, b"text/event-stream; charset=utf-8", True),
        (False, b"application/json", False),
        (True, b"text/event-stream", False),
    ],
)
def test_framing(stream, content_type, framed) -> None:
    assert isinstance(framing(asked(b"{}", stream=stream), content_type), Assembler) == framed


@pytest.mark.parametrize(
    ("credentials", "end"),
    [
        (PLAN, 1_900_000_100.0),
        ({**PLAN, "expires_at": "1900000100000"}, 1_900_000_100.0),
        ({**PLAN, "expires_at": "2030-03-17T17:48:20Z"}, 1_900_000_100.0),
        ({"access_token": OWN, "refresh_token": "r"}, 1_900_000_000.0),
        ({"access_token": "opaque", "refresh_token": "r"}, inf),
        ({"access_token": OWN, "expires_at": "5"}, None),
        (KEY, None),
    ],
)
def test_expires(credentials, end) -> None:
    assert expires(account(NAME, credentials)) == end


@pytest.mark.parametrize(
    ("options", "url", "client"),
    [
        ({}, "https://auth.openai.com/oauth/token", b"client_id=app_"),
        ({"token_url": "https://t.example/x", "client_id": "mine"}, "https://t.example/x", b"client_id=mine"),
    ],
)
def test_renew(options, url, client) -> None:
    renewal = renew(account(NAME, PLAN, options), 1000.0)
    request = next(renewal)
    assert (request.method, request.url) == ("POST", url)
    assert dict(request.headers)[b"content-type"] == b"application/x-www-form-urlencoded"
    assert b"grant_type=refresh_token" in request.body and b"refresh_token=rt-1" in request.body
    assert client in request.body
    answer = {"access_token": "new", "refresh_token": "rt-2", "expires_in": 60}
    with pytest.raises(StopIteration) as done:
        renewal.send(Reply(200, {}, msgspec.json.encode(answer)))
    assert done.value.value == {"access_token": "new", "refresh_token": "rt-2", "expires_at": 1060.0}


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.!!.c", "a.bnVsbA.c", "a.W10.c", "ä.ä.ä", "a." + "A" * 9 + ".c"])
def test_a_token_that_is_no_jwt_claims_nothing(token) -> None:
    assert (claims(token).auth.chatgpt_account_id, claims(token).exp) == (None, None)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ({"access_token": OWN, "id_token": OWN}, {}),
        ({"access_token": "opaque", "id_token": OWN}, {"account_id": "ws-of-token"}),
        ({"access_token": "opaque"}, {}),
    ],
)
def test_what_an_authorisation_tells(tokens, expected) -> None:
    assert learned(tokens) == expected


def test_the_probe_stores_nothing() -> None:
    asked = {"model": "gpt-x", "input": "Say ok.", "max_output_tokens": 16, "store": False}
    assert probe("gpt-x") == ("openai_responses", "generate", asked)


@pytest.mark.parametrize(
    ("credentials", "options", "base"),
    [
        (KEY, {}, "https://api.openai.com/v1"),
        ({"access_token": "t"}, {}, None),
        ({"access_token": "t", "refresh_token": "r", "expires_at": 1.5}, {"account_id": "ws"}, BASE),
        ({"access_token": "t"}, {"token_url": "https://t", "authorize_url": "https://a", "client_id": "c"}, None),
    ],
)
def test_accepted(credentials, options, base) -> None:
    validate(NAME, credentials, options, base)


@pytest.mark.parametrize(
    ("credentials", "options", "base", "field"),
    [
        (KEY, {}, None, "base_url"),
        (KEY, {}, "ftp://x", "base_url"),
        (KEY, {"organization": "o"}, BASE, "options.organization"),
        ({"access_token": "x: y"}, {}, None, "credentials.access_token"),
        ({"refresh_token": "r"}, {}, None, "credentials.access_token"),
        ({"access_token": "t", "api_key": "kkkk"}, {}, None, "credentials.access_token"),
        ({"access_token": "t", "expires_at": "soon"}, {}, None, "credentials.expires_at"),
        ({"access_token": "t"}, {"account_id": "a b"}, None, "options.account_id"),
        ({"access_token": "t"}, {"token_url": "x"}, None, "options.token_url"),
    ],
)
def test_refused(credentials, options, base, field) -> None:
    assert fault(NAME, credentials, options, base) == field
