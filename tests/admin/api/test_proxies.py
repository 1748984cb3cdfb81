"""Outbound proxies: written by owners, shown without what is secret, named by accounts."""

import json
from typing import Any

import pytest

from tests.admin.conftest import Api, Site, Tenant

URL = "http://some:s3cret-of-the-proxy@proxy.example:3128"


async def test_a_proxy_from_its_beginning_to_its_end(north: Tenant):
    owner, operator = north.as_("owner"), north.as_("operator")
    proxy = await owner("POST /proxies", {"name": "way out", "url": URL}, expect=201)
    assert {**proxy, "created_at": "", "updated_at": ""} == {
        "id": proxy["id"], "tenant_id": north.id, "name": "way out", "scheme": "http", "host": "proxy.example",
        "port": 3128, "has_credentials": True, "created_at": "", "updated_at": "",
    }  # fmt: skip
    for role in ("operator", "viewer"):
        assert await north.as_(role)(f"GET /proxies/{proxy['id']}") == proxy
        assert proxy in (await north.as_(role)("GET /proxies"))["data"]
    await operator("POST /proxies", {"name": "x", "url": URL}, expect=403)
    await operator(f"PATCH /proxies/{proxy['id']}", {"name": "x"}, expect=403)
    await operator(f"DELETE /proxies/{proxy['id']}", expect=403)
    await north.as_("member")("GET /proxies", expect=403)

    draft = {"name": "sent out", "platform": "openai", "credentials": {"api_key": "sk-x"}, "proxy_id": proxy["id"]}
    account = await operator("POST /accounts", draft, expect=201)
    assert account["proxy_id"] == proxy["id"]
    assert account["id"] in (await owner(f"DELETE /proxies/{proxy['id']}", expect=409))["detail"]
    changed = await owner(f"PATCH /proxies/{proxy['id']}", {"url": "socks5h://10.0.0.1"})
    assert [changed[name] for name in ("name", "scheme", "host", "port", "has_credentials")] == [
        "way out", "socks5h", "10.0.0.1", 1080, False,
    ]  # fmt: skip
    assert (await operator(f"PATCH /accounts/{account['id']}", {"proxy_id": None}))["proxy_id"] is None
    await owner(f"DELETE /proxies/{proxy['id']}", expect=204)
    await owner(f"GET /proxies/{proxy['id']}", expect=404)
    refused = await operator(f"PATCH /accounts/{account['id']}", {"proxy_id": proxy["id"]}, expect=400)
    assert refused["errors"][0]["field"] == "proxy_id"


async def test_an_account_that_is_deleted_lets_its_proxy_go(north: Tenant):
    owner = north.as_("owner")
    proxy = await owner("POST /proxies", {"name": "held", "url": URL}, expect=201)
    draft = {"name": "holder", "platform": "openai", "credentials": {"api_key": "sk-x"}, "proxy_id": proxy["id"]}
    account = await owner("POST /accounts", draft, expect=201)
    await owner(f"DELETE /accounts/{account['id']}", expect=204)
    await owner(f"DELETE /proxies/{proxy['id']}", expect=204)


async def test_a_tenants_proxies_are_its_own(root: Api, north: Tenant, south: Tenant):
    foreign = await root("POST /proxies", {"name": "far", "url": URL, "tenant_id": south.id}, expect=201)
    assert foreign["tenant_id"] == south.id
    owner = north.as_("owner")
    for act, body in (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None)):
        await owner(f"{act} /proxies/{foreign['id']}", body, expect=404)
    assert foreign["id"] not in [one["id"] for one in (await owner("GET /proxies"))["data"]]
    await owner("POST /proxies", {"name": "x", "url": URL, "tenant_id": south.id}, expect=404)
    draft = {"name": "thief", "platform": "openai", "credentials": {"api_key": "sk-x"}, "proxy_id": foreign["id"]}
    refused = await owner("POST /accounts", draft, expect=400)
    assert refused["errors"][0]["field"] == "proxy_id"
    await south.as_("owner")("POST /proxies", {"name": "far", "url": URL}, expect=409)


async def test_nothing_secret_is_told(root: Api, north: Tenant, site: Site):
    owner = north.as_("owner")
    proxy = await owner("POST /proxies", {"name": "told", "url": URL}, expect=201)
    await owner(f"PATCH /proxies/{proxy['id']}", {"url": URL.replace("3128", "3129")})
    await owner(f"DELETE /proxies/{proxy['id']}", expect=204)
    audit = (await root("GET /audit", target=proxy["id"]))["data"]
    told = [one for one in audit if one["target"] == proxy["id"]]
    assert [one["action"] for one in told] == ["proxies.delete", "proxies.change_url", "proxies.create"]
    assert told[1]["before"]["port"] == 3128
    assert told[1]["after"]["port"] == 3129
    assert "s3cret" not in json.dumps([proxy, told])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "x"}, "url"),
        ({"name": "x", "url": ""}, "url"),
        ({"name": "x", "url": "socks5://p"}, "url"),
        ({"name": "x", "url": "ftp://p"}, "url"),
        ({"name": "x", "url": "http://user:s3cret@2130706433"}, "url"),
        ({"name": "x", "url": "http://good@127.0.0.1\\@p"}, "url"),
        ({"name": "x", "url": URL, "a": 1}, "a"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, body: dict[str, Any], field: str):
    refused = await root("POST /proxies", body, expect=400)
    assert refused["errors"][0]["field"] == field
    assert "s3cret" not in json.dumps(refused)
