"""The head of an answer."""

import json
import re

import pytest

from gateway.core.domain import Account
from gateway.core.secret import Secret
from gateway.relay.reply import names_account
from tests.relay.world import OK, Raw, World, answer

ACCOUNT = Account(
    "a", "ten_1", "", "openai", "", {"api_key": Secret("sk-own-secret"), "short": Secret("abc")},
    options={
        "organization": "org-12345", "usage_probe": True, "project": "", "auth_header": "x-api-key",
        "region": "us-east-1",
    },
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (b"bad sk-own-secret!", True),
        (b"for org-12345", True),
        (b"abc", False),
        (b"", False),
        (b"True", False),
        (b"the x-api-key header is missing", False),
        (b"no such model in us-east-1", False),
    ],
)
def test_names_account(said: bytes, named: bool) -> None:
    assert names_account(said, ACCOUNT) is named


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (b"projects/my-project/locations", True),
        (b"a@my-pro.example", True),
        (b"aiplatform.googleapis.com", False),
        (b"service_account", False),
    ],
)
def test_a_key_file_is_named_by_what_is_its_own(said: bytes, named: bool) -> None:
    held = {"type": "service_account", "project_id": "my-project", "client_email": "a@my-pro.example"}
    secret = Secret(json.dumps({**held, "universe_domain": "googleapis.com"}))
    account = Account("a", "ten_1", "", "gemini", "", {"service_account": secret, "api_key": Secret("{not-json")})
    assert names_account(said, account) is named


async def test_what_is_added(world: World, raw: Raw) -> None:
    account = await world.account(secret="sk-raw-0001", base_url=raw.url)
    raw.say(
        "sk-raw-0001",
        OK.replace(b"content-type", b"x-request-id: theirs\r\nset-cookie: a=1\r\nx-theirs: 1\r\ncontent-type", 1),
    )
    got = await world.ask(await world.key(), "m", headers={"x-request-id": "mine-1"})
    assert re.fullmatch(
        r"req_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", got.headers["x-request-id"]
    )
    assert (got.headers["x-client-request-id"], got.headers["x-theirs"]) == ("mine-1", "1")
    assert "set-cookie" not in got.headers
    assert not [name for name in got.headers if name.startswith("x-poolgate")]
    steps = dict(part.split(";dur=") for part in got.headers["server-timing"].split(", "))
    assert list(steps) == ["auth", "choose", "admit", "upstream"]
    assert all(0 <= float(value) < 5000 for value in steps.values())
    row = await world.site.row(got.headers["x-request-id"])
    assert row.client_request_id == "mine-1"
    assert row.attempts[0]["upstream_request_id"] == "theirs"
    got = await world.ask(await world.key(debug=True), "m", headers={"x-request-id": "x" * 129})
    assert "x-client-request-id" not in got.headers
    assert [got.headers[f"x-poolgate-{name}"] for name in ("account", "platform", "attempts")] == [
        account,
        "claude-console",
        "1",
    ]


async def test_streams_are_not_to_be_held_back(world: World, raw: Raw) -> None:
    await world.account(secret="sk-raw-0001", base_url=raw.url)
    event = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    raw.say("sk-raw-0001", answer(200, event, "cache-control: max-age=5", content_type="text/event-stream"))
    got = await world.ask(await world.key(), "m", stream=True)
    assert got.headers.get_list("cache-control") == ["no-cache, no-transform"]
    assert got.headers["x-accel-buffering"] == "no"
