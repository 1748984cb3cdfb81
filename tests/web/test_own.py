"""Answers of our own: the key and its use."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.core import models as m
from gateway.core.services import tenants
from tests.support.installation import Site
from tests.web.test_lists import MOMENT, get


async def test_the_key_itself(site: Site) -> None:
    limits = [{"type": "requests", "per": "day", "max": 9}, {"type": "concurrency", "max": 3}]
    ends = datetime.now(UTC) + timedelta(days=1)
    identity, secret = await site.new_key(name="mine", models=["sandbox*"], limits=limits, expires_at=ends)
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello"}]}
    assert (await site.http.post("/v1/chat/completions", headers={"api-key": secret}, json=asked)).status_code == 200
    about = await get(site, "/v1/key", secret)
    shown = {name: about[name] for name in ("id", "name", "tenant_id", "platforms", "models", "groups")}
    assert shown == {
        "id": identity, "name": "mine", "tenant_id": await site.tenant(), "platforms": ["*"],
        "models": ["sandbox*"], "groups": ["*"],
    }  # fmt: skip
    assert MOMENT.fullmatch(about["expires_at"])
    day = next(one for one in about["limits"] if one["type"] == "requests")
    assert (day["per"], day["max"], day["used"], day["remaining"], day["scope"]) == ("day", 9, 1, 8, "key")
    assert MOMENT.fullmatch(day["resets_at"])
    assert secret not in str(about)


async def test_usage(site: Site) -> None:
    secret = await site.key()
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello"}]}
    rows: list[Any] = []
    for _ in range(2):
        got = await site.http.post("/v1/chat/completions", headers={"api-key": secret}, json=asked)
        rows.append(await site.row(got.headers["x-request-id"]))
    about = await get(site, "/v1/usage", secret)
    [day] = about["data"]
    assert (day["model"], day["requests"], day["day"]) == ("sandbox-echo", 2, f"{datetime.now(UTC):%Y-%m-%d}")
    assert (day["input_tokens"], day["output_tokens"]) == (
        sum(row.input_tokens for row in rows),
        sum(row.output_tokens for row in rows),
    )
    assert MOMENT.fullmatch(about["from"])
    part = await get(site, f"/v1/usage?from={day['day']}T00:00:00Z", secret)
    assert part["data"] == about["data"]
    assert (await get(site, "/v1/usage?from=2020-01-01T00:00:00Z&to=2020-01-02", secret))["data"] == []
    for wrong in ("from=yesterday", "to=12", "from=99999-01-01", "to=0001-01-01", "from=0001-01-01T00:00:00%2B14:00"):
        got = await site.http.get(f"/v1/usage?{wrong}", headers={"x-api-key": secret})
        assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_request"), wrong


async def test_lists_without_a_key_only_where_the_tenant_opened_them(site: Site) -> None:
    account = await site.account("openai", models=["named-model"])
    lists = ("/v1/models", "/v1beta/models", "/v1/providers")
    assert {(await site.http.get(path)).status_code for path in lists} == {401}
    tenant = await site.tenant()

    async def switch(opened: bool) -> None:
        async with site.sessions.begin() as session:
            row = await session.get(m.Tenant, tenant)
            assert row is not None
            await tenants.change(session, row, {"public_lists": opened})
        await site.reload()

    await switch(opened=True)
    try:
        shown = await site.http.get("/v1/models")
        assert "named-model" in {one["id"] for one in shown.json()["data"]}
        assert {(await site.http.get(path)).status_code for path in lists} == {200}
        assert account not in shown.text and "base_url" not in (await site.http.get("/v1/providers")).text
        # A wrong key is not turned into no key, and nothing else opens.
        assert (await site.http.get("/v1/models", headers={"x-api-key": "sk-wrong"})).status_code == 401
        assert {(await site.http.get(path)).status_code for path in ("/v1/key", "/v1/usage")} == {401}
    finally:
        await switch(opened=False)
