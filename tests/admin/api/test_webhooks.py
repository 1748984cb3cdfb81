"""Webhooks: written by owners, their secrets never shown again, tested by a real message."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.core.ids import new_id
from gateway.core.services import deliveries
from tests.admin.conftest import Api, Site, Tenant
from tests.support.receiver import Receiver, receiving

NAMES = iter(range(1000))
URL = "https://hooks.example.com/services/T0/canary-of-the-url?key=canary-of-the-query"


def draft(**more: Any) -> dict[str, Any]:
    return {"name": f"w{next(NAMES)}", "kind": "plain", "url": URL, **more}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def test_a_webhook_from_its_beginning_to_its_end(north: Tenant):
    owner = north.as_("owner")
    made = await owner("POST /webhooks", draft(events=["account.disabled"]), expect=201)
    assert (made["tenant_id"], made["host"], made["signed"]) == (north.id, "hooks.example.com", True)
    assert (made["events"], made["enabled"]) == (["account.disabled"], True)
    secret = made.pop("secret")
    assert secret.startswith("whsec_") and len(base64.b64decode(secret[6:])) == 32
    assert await owner(f"GET /webhooks/{made['id']}") == made
    assert made in (await owner("GET /webhooks", q=made["name"]))["data"]
    changed = await owner(f"PATCH /webhooks/{made['id']}", {"events": None, "enabled": False})
    assert (changed["events"], changed["enabled"], "secret" in changed) == (["*"], False, False)
    again = await owner(f"PATCH /webhooks/{made['id']}", {"secret": None, "url": "https://other.example:444/x"})
    assert (again["host"], again["secret"] != secret) == ("other.example:444", True)
    await owner(f"DELETE /webhooks/{made['id']}", expect=204)
    await owner(f"GET /webhooks/{made['id']}", expect=404)
    trail = (await owner("GET /audit", target=made["id"]))["data"]
    assert [entry["action"] for entry in reversed(trail)] == [
        "webhooks.create", "webhooks.change", "webhooks.change_secrets", "webhooks.delete",
    ]  # fmt: skip
    for word in ("canary", secret, again["secret"]):
        assert word not in json.dumps(trail)


async def test_only_owners_have_to_do_with_them(north: Tenant, south: Tenant):
    made = await north.as_("owner")("POST /webhooks", draft(), expect=201)
    for role in ("operator", "viewer", "member"):
        await north.as_(role)("GET /webhooks", expect=403)
        await north.as_(role)("POST /webhooks", draft(), expect=403)
        await north.as_(role)(f"POST /webhooks/{made['id']}/test", expect=403)
    for act in ("GET", "DELETE"):
        await south.as_("owner")(f"{act} /webhooks/{made['id']}", expect=404)
    for path in ("test", "deliveries"):
        method = "POST" if path == "test" else "GET"
        await south.as_("owner")(f"{method} /webhooks/{made['id']}/{path}", expect=404)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"kind": "teams"}, "kind"),
        ({"url": "ftp://example.com/x"}, "url"),
        ({"url": "https://user:pass@example.com/x"}, "url"),
        ({"url": "https://2130706433/x"}, "url"),
        ({"url": "https://example.com/a b"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["key.made"]}, "events[0]"),
        ({"secret": "short"}, "secret"),
        ({"kind": "slack", "secret": "x"}, "secret"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, more: dict[str, Any], field: str):
    assert (await root("POST /webhooks", draft(**more), expect=400))["errors"][0]["field"] == field


async def test_a_name_is_taken_once(root: Api):
    made = await root("POST /webhooks", draft(), expect=201)
    assert (await root("POST /webhooks", draft(name=made["name"]), expect=409))["errors"][0]["field"] == "name"


async def test_a_test_is_a_real_message(root: Api, receiver: Receiver):
    made = await root("POST /webhooks", draft(url=receiver.url, enabled=False), expect=201)
    receiver.says(202, body=b"thanks")
    said = await root(f"POST /webhooks/{made['id']}/test")
    assert (said["ok"], said["status"], said["error"], said["message"]) == (True, 202, None, "thanks")
    (one,) = receiver.received
    assert one.json["type"] == "webhook.test"
    assert one.json["data"] == {"webhook": {"id": made["id"], "name": made["name"]}}
    signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
    mac = hmac.digest(base64.b64decode(made["secret"][6:]), signed, "sha256")
    assert one.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


async def test_what_goes_wrong_is_told_without_secrets(root: Api, receiver: Receiver):
    made = await root("POST /webhooks", draft(url=receiver.url), expect=201)
    receiver.says(500, body=f"{made['secret']} {receiver.url} {'x' * 900}".encode())
    said = await root(f"POST /webhooks/{made['id']}/test")
    assert (said["ok"], said["status"], said["error"], len(said["message"])) == (False, 500, "HTTP 500", 500)
    assert made["secret"] not in said["message"]
    assert "value-of-it" not in said["message"]
    chat = await root("POST /webhooks", draft(kind="dingtalk", url=receiver.url, secret="SECx"), expect=201)
    receiver.says(200, body=b'{"errcode":310000,"errmsg":"sign not match"}')
    assert (await root(f"POST /webhooks/{chat['id']}/test"))["error"] == "code 310000"
    inside = await root("POST /webhooks", draft(url="https://10.0.0.1/x"), expect=201)
    said = await root(f"POST /webhooks/{inside['id']}/test")
    assert (said["ok"], said["status"]) == (False, None)
    assert "is refused" in said["error"]


async def test_deliveries_are_shown(site: Site, north: Tenant):
    owner = north.as_("owner")
    made = await owner("POST /webhooks", draft(), expect=201)
    now = datetime.now(UTC)
    async with site.resources.database.begin() as session:
        for n in range(3):
            event = {"type": "account.trouble", "timestamp": "t", "data": {"reason": "limit", "n": n}}
            await deliveries.enqueue(session, made["id"], new_id("dlv"), f"acct_{n}|account", event, now)
        (due,) = await deliveries.claim(session, (), 9, now)
        await deliveries.failed(session, due, 500, "HTTP 500: words", now + timedelta(seconds=10))
    first = await owner(f"GET /webhooks/{made['id']}/deliveries", limit=2)
    assert (len(first["data"]), first["has_more"]) == (2, True)
    rest = await owner(f"GET /webhooks/{made['id']}/deliveries", cursor=first["next_cursor"])
    shown = first["data"] + rest["data"]
    assert [one["event"]["data"]["n"] for one in shown] == [2, 1, 0]
    failed = shown[-1]
    assert (failed["state"], failed["attempts"], failed["status"], failed["error"]) == (
        "waiting", 1, 500, "HTTP 500: words",
    )  # fmt: skip
    await owner(f"DELETE /webhooks/{made['id']}", expect=204)


@pytest.mark.parametrize("minutes", [0, 1441, -5])
async def test_how_often_an_account_may_be_probed(root: Api, minutes: int):
    body = {"name": f"p{next(NAMES)}", "platform": "openai", "credentials": {"api_key": "x"}}
    refused = await root("POST /accounts", {**body, "probe": {"every_minutes": minutes}}, expect=400)
    assert refused["errors"][0]["field"] == "probe.every_minutes"


async def test_the_probe_of_an_account(root: Api):
    body = {"name": f"p{next(NAMES)}", "platform": "openai", "credentials": {"api_key": "x"}}
    made = await root("POST /accounts", {**body, "probe": {"every_minutes": 5}}, expect=201)
    assert made["probe"] == {"every_minutes": 5, "model": None}
    changed = await root(f"PATCH /accounts/{made['id']}", {"probe": {"every_minutes": 1, "model": "gpt-x"}})
    assert changed["probe"] == {"every_minutes": 1, "model": "gpt-x"}
    assert (await root(f"GET /accounts/{made['id']}/state"))["probe"] is None
    assert (await root(f"PATCH /accounts/{made['id']}", {"probe": None}))["probe"] is None
